"""A Docker engine of a test's own, which may be killed: its folders, sockets and processes are its own, the shared one sees nothing of it."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import harness


class OwnEngine:
    """dockerd with its own root, exec-root, pidfile, socket and containerd."""

    def __init__(self, *options):
        self.options, self.process, self.containerd = options, None, None
        # A short path: that of a socket has at most 107 bytes.
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="skiff-engine-"))
        self.socket = self.base / "docker.sock"
        self.log = open(self.base / "log", "ab")
        try:
            self.start()
        except harness.Failure:
            self.end()
            raise

    def program(self, *arguments):
        return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
                                preexec_fn=harness.dies_with_its_parent)

    def start(self):
        (self.base / "pid").unlink(missing_ok=True)  # a killed one leaves it behind
        address = str(self.base / "containerd.sock")
        if not self.containerd: # a service of its own, as it is mostly installed: it outlives dockerd
            self.containerd = self.program("containerd", "--root", str(self.base / "containerd"), "--state", str(self.base / "run"),
                                           "--address", address)
        self.process = self.program( # in a network of its own: --bridge=none removes docker0, which is another engine's
            "unshare", "--net", "dockerd", "--host", f"unix://{self.socket}", "--data-root", str(self.base / "data"), "--exec-root", str(self.base / "exec"),
            "--pidfile", str(self.base / "pid"), "--containerd", address, "--iptables=false", "--bridge=none", *self.options)
        deadline = time.monotonic() + harness.DEADLINE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise harness.Failure("the engine does not start:\n" + (self.base / "log").read_text(errors="replace")[-3000:])
            time.sleep(0.05)  # it tells nobody when it is ready

    def answers(self):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(self.socket))
            client.sendall(b"GET /_ping HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return b"200 OK" in client.recv(4096)
        return False

    def kill(self):
        """kill -9: no container is told."""
        self.process.kill()
        self.process.wait()

    def environment(self):
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def processes(self):
        """What lives in its folders, and what that started: shims and containers outlive what started them."""
        parents, found = {}, set()
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                parents[int(entry.name)] = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
                if str(self.base).encode() in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
        found.discard(os.getpid())
        while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
            found |= more
        return found

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.containerd.wait()
        self.log.close()
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            below = [line.split()[1] for line in mounts if line.split()[1].startswith(str(self.base))]
        for mount in reversed(below):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        shutil.rmtree(self.base, ignore_errors=True)
