#!/usr/bin/env python3
"""supervise.py AGENT [ARGUMENT]…: `agent supervise -- CMD` as a container's entry point, and sessions that restart its program. TAP on stdout."""

import ctypes
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile

AGENT = sys.argv[1:]
SUPERVISE, RESULT = 33, 64
NEW_NETWORK = 0x40000000  # CLONE_NEWNET
PATIENCE = 60


def frame(kind, number, body=b""):
    return struct.pack("<IBI", 5 + len(body), kind, number) + body


HELLO = frame(1, 0, struct.pack("<IHHIIIIQQQ", 0x46494B53, 1, 1, 0, 0, 0, 0, 0, 0, 0))


class Agent:
    """A running agent. `with` ends it, and looks at how it ended."""

    def __init__(self, arguments=(), **options):
        self.process = subprocess.Popen([*AGENT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, **options)
        self.held = b""
        self.send(HELLO)
        kind, _, self.hello = self.take()
        assert kind == 1

    def send(self, data):
        self.process.stdin.write(data)

    def take(self):
        """(type, id, body) of the next message; None at the end."""
        while len(self.held) < 4 or len(self.held) < 4 + struct.unpack_from("<I", self.held)[0]:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
            assert ready, "nothing came"
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                return None
            self.held += more
        size, kind, number = struct.unpack_from("<IBI", self.held)
        body, self.held = self.held[9 : 4 + size], self.held[4 + size :]
        return kind, number, body

    def until(self, wanted):
        while (message := self.take()) is not None:
            if message[0] == wanted:
                return message
        raise AssertionError(f"ended before {wanted}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


def supervised(command, **options):
    return subprocess.Popen([*AGENT, "supervise", "--", *command], **options)


def line_of(process):
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    assert ready, "no line came"
    return process.stdout.readline()


def ask(value, flags=0):
    with Agent() as agent:
        agent.send(frame(SUPERVISE, 3, struct.pack("<II", flags, value)))
        _, _, body = agent.until(RESULT)
        return struct.unpack_from("<I", body)[0]


def test_supervise_exit_codes(folder):
    """Exit codes and signals are passed on."""
    assert supervised(["sh", "-c", "exit 7"]).wait(PATIENCE) == 7
    assert supervised(["sh", "-c", "kill -KILL $$"]).wait(PATIENCE) == 128 + 9
    assert supervised(["no-such-program"], stderr=subprocess.DEVNULL).wait(PATIENCE) == 127
    assert supervised([folder], stderr=subprocess.DEVNULL).wait(PATIENCE) == 126
    with supervised(["sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"], stdout=subprocess.PIPE) as process:
        line_of(process)
        process.terminate()
        assert process.wait(PATIENCE) == 3


def test_supervise_mask(_):
    """The program finds the signal mask that the supervisor found."""
    with supervised(["sh", "-c", "grep SigBlk /proc/self/status"], stdout=subprocess.PIPE) as process:
        assert int(line_of(process).split()[1], 16) == 0
        assert process.wait(PATIENCE) == 0


def test_supervise_restart(_):
    """A session asks for a restart: the program's group is ended, and started anew; also one that ignores SIGTERM."""
    for trap in ("", "trap '' TERM; "):
        script = trap + "echo $$; sleep 10 & wait; while :; do sleep 0.05; done"
        with supervised(["sh", "-c", script], stdout=subprocess.PIPE) as process:
            first = int(line_of(process))
            assert ask(0) == 0
            second = int(line_of(process))
            assert first != second and process.poll() is None
            assert not os.path.exists(f"/proc/{first}")
            assert ask(signal.SIGKILL) == 0  # a signal to the program: it ends, and so does the supervisor
            assert process.wait(PATIENCE) == 128 + 9
    assert ask(0) != 0  # nobody there


def test_supervise_broken_program(folder):
    """A program that can't be started again does not end the container: the next change may mend it."""
    program = os.path.join(folder, "program")

    def put(content):
        with open(program + ".new", "w") as file:
            file.write(content)
        os.chmod(program + ".new", 0o755)
        os.rename(program + ".new", program)

    put("#!/bin/sh\necho one\nexec sleep 1000\n")
    with supervised([program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert line_of(process) == b"one\n"
        put("#!/no/such/shell\n")
        assert ask(0) == 2  # ENOENT
        assert process.poll() is None
        put("#!/bin/sh\necho two\nexec sleep 1000\n")
        assert ask(0) == 0
        assert line_of(process) == b"two\n"
        process.terminate()
        assert process.wait(PATIENCE) == 128 + 15


def test_supervise_reaps(_):
    """What the program leaves behind is reaped."""
    with supervised(["sh", "-c", "(sleep 0.1 &) ; (sh -c 'exit 0' &); sleep 0.5; echo $PPID; exec sleep 1000"],
                    stdout=subprocess.PIPE) as process:
        line_of(process)
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            children = file.read().split()
        states = [open(f"/proc/{child}/stat").read().rsplit(")", 1)[1].split()[0] for child in children]
        assert "Z" not in states, states
        process.terminate()
        process.wait(PATIENCE)


def test_supervise_nothing(folder):
    """What is missing is said clearly."""
    with supervised(["no-such-program", "-x"], stderr=subprocess.PIPE) as process:
        assert process.wait(PATIENCE) == 127
        assert b"no-such-program: not found" in process.stderr.read()
    with supervised([os.path.join(folder, "none")], stderr=subprocess.PIPE) as process:
        assert process.wait(PATIENCE) == 127
    with supervised([], stderr=subprocess.PIPE) as process:
        assert process.wait(PATIENCE) == 2
        assert b"usage:" in process.stderr.read()


def test_supervise_signals(_):
    """Each signal goes to the program, and to it alone; it may live on."""
    script = "for s in HUP USR1 USR2 WINCH QUIT INT; do trap \"echo $s\" $s; done; echo up; while :; do sleep 0.05; done"
    with supervised(["sh", "-c", script], stdout=subprocess.PIPE) as process:
        assert line_of(process) == b"up\n"
        for name in ("HUP", "USR1", "USR2", "WINCH", "QUIT", "INT"):
            process.send_signal(getattr(signal, "SIG" + name))
            assert line_of(process) == name.encode() + b"\n"
            assert ask(getattr(signal, "SIG" + name)) == 0  # the same by a session
            assert line_of(process) == name.encode() + b"\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + 15


def test_supervise_stdin(_):
    """Standard input is the program's, before and after a restart."""
    with supervised(["sh", "-c", "echo up; read a; echo got $a; read b; echo got $b"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert line_of(process) == b"up\n"
        assert ask(0) == 0
        assert line_of(process) == b"up\n"
        process.stdin.write(b"one\ntwo\n")
        process.stdin.flush()
        assert line_of(process) == b"got one\n"
        assert line_of(process) == b"got two\n"
        assert process.wait(PATIENCE) == 0


def read_until(terminal, wanted):
    seen = b""
    while wanted not in seen:
        ready, _, _ = select.select([terminal], [], [], PATIENCE)
        assert ready, f"nothing came after {seen!r}"
        seen += os.read(terminal, 1024)


def test_supervise_terminal(_):
    """On a terminal the program is in the foreground, also after a restart: it reads from it, and Ctrl-C is its."""
    pid, terminal = pty.fork()
    if pid == 0:
        script = "trap 'echo interrupted; exit 9' INT; test -t 0 && echo ready; read a; echo got-$a; while :; do sleep 0.05; done"
        os.execv(AGENT[0], [*AGENT, "supervise", "--", "sh", "-c", script])
    read_until(terminal, b"ready")
    assert ask(0) == 0
    read_until(terminal, b"ready")
    os.write(terminal, b"line\n")
    read_until(terminal, b"got-line")
    os.write(terminal, b"\x03")
    read_until(terminal, b"interrupted")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 9


def test_supervise_first_process(_):
    """As process 1 of a pid namespace: signals, exit codes, orphans."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", *AGENT, "supervise", "--"]
    if os.geteuid() != 0 or subprocess.run([*unshare, "true"], check=False).returncode != 0:
        return "no pid namespaces"
    assert subprocess.run([*unshare, "sh", "-c", "exit 5"], check=False).returncode == 5
    script = "test $PPID = 1 || exit 1; trap 'exit 6' TERM; (sh -c 'sleep 0.1' &); echo $$; while :; do sleep 0.05; done"
    with subprocess.Popen([*unshare, "sh", "-c", script], stdout=subprocess.PIPE) as process:
        first = line_of(process)
        assert ask(0) == 0
        assert line_of(process) != first
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            os.kill(int(file.read()), signal.SIGTERM)  # what `docker stop` does
        assert process.wait(PATIENCE) == 6
    return None


def test_supervise_many_restarts(_):
    """Restarts that come faster than the program ends: it runs once in the end, and each who asked has an answer."""
    with supervised(["sh", "-c", "trap 'sleep 0.1; exit' TERM; echo $$; while :; do sleep 0.01; done"], stdout=subprocess.PIPE) as process:
        line_of(process)
        for _ in range(5):
            assert ask(0) == 0
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            assert len(file.read().split()) == 1
        process.terminate()  # and with it the program, which nobody else would end
        process.wait(PATIENCE)


def main():
    for one in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):  # a background job, or one of nohup's, ignores them: so would all that starts here
        signal.signal(one, signal.SIG_DFL)
    if os.geteuid() == 0:  # agents meet by abstract sockets: those of other runs are not ours
        ctypes.CDLL(None).unshare(NEW_NETWORK)
    failed = 0
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    print(f"1..{len(tests)}")
    for number, (name, test) in enumerate(tests, 1):
        with tempfile.TemporaryDirectory(prefix="agent-supervise-") as folder:
            shown = f"{number} - {name[5:].replace('_', ' ')}"
            try:
                skipped = test(folder)
                print(f"ok {shown}" + (f" # SKIP {skipped}" if skipped else ""), flush=True)
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {shown}\n# {type(error).__name__}: {error} at line {error.__traceback__.tb_next.tb_lineno}", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
