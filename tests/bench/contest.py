"""One way of carrying files against another, in turns on the same container: skiff, a bare open session, one exec of tar, the archive API.

A file counts as readable when inotify, on the container's folder as the host sees it (GraphDriver's MergedDir), tells that it was closed or renamed into
place, and its content is right; stopwatch.c waits for that asleep, so that nothing is taken from what it times."""

import io
import pathlib
import random
import subprocess
import tarfile
import tempfile
import time

import harness

HERE = pathlib.Path(__file__).resolve().parent
SOCKET = "/var/run/docker.sock"


class Tools:
    """The programs of this folder, compiled."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="skiff-bench-")
        self.stopwatch = self._compile("stopwatch", ["stopwatch.c", "readable.c", "bare-session.c"])
        self.helper = self._compile("bare-helper", ["bare-helper.c"], "-static", "-s")

    def _compile(self, name, sources, *flags):
        program = pathlib.Path(self.folder.name) / name
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", *flags, "-o", program, *(HERE / source for source in sources)], check=True)
        return program


class Stopwatch:
    def __init__(self, tools, *arguments):
        self.process = subprocess.Popen([tools.stopwatch, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise harness.Failure(f"the stopwatch ended at {command!r}")
        return int(answer)

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def merged(dev):
    return pathlib.Path(harness.docker("inspect", "-f", "{{.GraphDriver.Data.MergedDir}}", dev.container()).decode().strip())


def tar_of(folder, name):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(folder, name)
    return memory.getvalue()


class Contest:
    """A project whose folder www is synced to /srv, its container, and /peer there for the others: what they write is nothing that skiff knows of."""

    def __init__(self, bench, count, size, rule=harness.MANUAL, beside=0):
        """beside: so many small files more are watched."""
        self.bench, self.count, self.samples, self.splits, self.order = bench, count, {}, [], random.Random(1)
        pages = {f"{n % 20}/f{n}": "x" * size for n in range(count)}
        self.project = harness.Project().site(rule, {**pages, **{f"more/{n // 100}/{n}": "x" * 100 for n in range(beside)}})
        for name in pages:
            self.project.write(f"peer/{name}", "x" * size)
        self.project.write("bin/bare-helper", bench.tools.helper.read_bytes(), mode=0o755)
        self.project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCOPY peer /peer\nCMD {harness.STAY_COMMAND}\n")
        self.dev = bench.dev(self.project)
        self.container, root = self.dev.container(), merged(self.dev)
        self.own = Stopwatch(bench.tools, self.project.file("www"), root / "srv", count, size)
        self.made = self.project.base / "made" / "peer"
        for n in range(min(count, 20)):
            (self.made / str(n)).mkdir(parents=True)
        self.peer = Stopwatch(bench.tools, self.made, root / "peer", count, size, SOCKET, self.container, "/bin/bare-helper", "/peer")

    def forget(self):
        """What came so far was for warming up."""
        self.samples, self.splits = {}, []

    def _note(self, name, ms):
        self.samples.setdefault(name, []).append(ms)

    def skiff(self, how=""):
        mark = self.dev.mark()
        took = self.own.ask(f"save {how}") / 1e6
        carried = 0
        while carried < self.count:
            synced = self.dev.wait("sync", mark)
            with self.dev.changed:
                mark = self.dev.events.index(synced, mark) + 1
            carried += synced["files"]
            if synced["files"] == self.count: # else it came in parts, of which none tells all
                self.splits.append(synced["ms"])
        self.dev.wait("idle", mark)
        self._note("skiff", took)

    def bare(self, how=""):
        self._note("bare session", self.peer.ask(f"bare {how}") / 1e6)

    def exec_tar(self, how=""):
        self._program("docker exec -i tar", ["docker", "exec", "-i", self.container, "/bin/busybox", "tar", "xmf", "-", "-C", "/"], how)

    def archive(self, how=""):
        url = f"http://d/containers/{self.container}/archive?path=/"
        self._program("archive API (curl)", ["curl", "-sf", "--unix-socket", SOCKET, "-T", "-", url], how)

    def _program(self, name, argv, how):
        self.peer.ask(f"made {how}")
        data = tar_of(self.made, "peer")
        began = time.monotonic_ns()
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process.stdin.write(data)
        process.stdin.close()
        self._note(name, (self.peer.ask("wait") - began) / 1e6)
        process.wait()

    def all(self, how=""):
        """One round of each: what else the machine does meets all of them. In no fixed order: an exec is still being taken down when the next begins."""
        for contestant in self.order.sample((self.skiff, self.bare, self.exec_tar, self.archive), 4):
            contestant(how)

    def report(self, what, budget=""):
        for name, samples in sorted(self.samples.items(), key=lambda one: one[0] != "skiff"):
            self.bench.add(f"{what}: {name}", samples, budget if name == "skiff" else "")
        for part in ("detect", "plan", "generate", "transfer", "total") if self.splits else ():
            samples = [split[part] for split in self.splits]
            if any(samples):
                self.bench.add(f"    its event's ms: {part}", samples)

    def end(self):
        self.own.end()
        self.peer.end()
        self.bench.finish(self.dev)
