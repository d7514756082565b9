#!/usr/bin/env python3
"""The rows of the budget that hold for Docker: saved → readable in the container, many files, what skiff adds to a compiler's own time, many
watched files, explain, sizes.

A file counts as readable when the container's root, seen from the host (GraphDriver's MergedDir), holds its new content: looked at in a
tight loop. Medians and 95th percentiles; the peers run in the same minute on the same container."""

import argparse
import io
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness
import test_java

SOCKET = "/var/run/docker.sock"
TOO_LONG = 30  # seconds


def milliseconds(began):
    return (time.perf_counter_ns() - began) / 1e6


class Row:
    def __init__(self, work, samples, budget="", unit="ms"):
        self.work, self.samples, self.budget, self.unit = work, sorted(samples), budget, unit

    def __str__(self):
        middle = statistics.median(self.samples)
        high = self.samples[min(len(self.samples) - 1, int(len(self.samples) * 0.95))]
        shown = f"{high:9.2f}" if len(self.samples) > 1 else " " * 9
        return f"{self.work:<58} {middle:9.2f} {shown} {self.unit:<3} {self.budget}"


class Bench:
    def __init__(self, skiff, samples):
        self.skiff, self.samples, self.rows, self.serial = skiff, samples, [], 0

    def add(self, *row, **more):
        self.rows.append(Row(*row, **more))
        print(self.rows[-1], flush=True)

    def project(self, pages):
        return harness.Project().site(harness.MANUAL, pages)

    def dev(self, project):
        return harness.Dev(self.skiff, project, "docker", "--tail=false")

    def finish(self, dev):
        dev.end()
        self.finish_files(dev)

    def finish_files(self, dev):
        harness.remove_leftovers(dev.project.image)
        dev.project.release()

    def content(self, size=1024):
        self.serial += 1
        return f"{self.serial:<{size}}".encode()


def merged(dev):
    return os.fsencode(harness.docker("inspect", "-f", "{{.GraphDriver.Data.MergedDir}}", dev.container()).decode().strip())


def readable(files, pause=0):
    """Returns when each path holds its content; looks without pause, but where that would slow what it waits for."""
    deadline = time.monotonic() + TOO_LONG
    for path, content in files:
        while True:
            try:
                with open(path, "rb", buffering=0) as file:
                    if file.read(len(content) + 1) == content:
                        break
            except OSError:
                pass
            if pause:
                time.sleep(pause)
            if time.monotonic() > deadline:
                raise harness.Failure(f"{path!r} did not come")


def holds(path, text):
    """Returns when the file has the text in it."""
    deadline = time.monotonic() + test_java.BUILD_LIMIT
    while time.monotonic() < deadline:
        try:
            with open(path, "rb", buffering=0) as file:
                if text in file.read():
                    return
        except OSError:  # in the moment in which it is replaced
            pass
        time.sleep(0.001)  # without it this loop takes a core away from what it waits for
    raise harness.Failure(f"{path!r} never had {text!r}")


def tar_of(files):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files:
            member = tarfile.TarInfo("srv/" + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return memory.getvalue()


def save_all(files):
    """As fast as one process can: the time counts. All contents have one size: ext4 writes a truncated file to the disk as it is closed."""
    for path, content in files:
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(file, content)
        os.close(file)


def by_skiff(bench, dev, root, count):
    files = [(f"{n % 20}/f{n}" if count > 1 else "one", bench.content()) for n in range(count)]
    for name, _ in files:
        os.makedirs(os.path.dirname(dev.project.path(f"www/{name}")), exist_ok=True)
    sources = [(dev.project.path(f"www/{name}"), content) for name, content in files]
    mark = dev.mark()
    began = time.perf_counter_ns()
    save_all(sources)
    readable([(root + b"/srv/" + name.encode(), content) for name, content in files])
    took = milliseconds(began)
    dev.wait("idle", mark)
    return took


def by_program(bench, root, count, argv):
    files = [(f"peer{n}", bench.content()) for n in range(count)]
    data = tar_of(files)
    began = time.perf_counter_ns()
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.stdin.write(data)
    process.stdin.close()
    readable([(root + b"/srv/" + name.encode(), content) for name, content in files])
    took = milliseconds(began)
    process.wait()
    return took


def saves(bench):
    project = bench.project({"one": "first"})
    dev = bench.dev(project)
    root, container = merged(dev), dev.container()
    peers = {
        "tar | docker exec -i tar": ["docker", "exec", "-i", container, "/bin/busybox", "tar", "xmf", "-", "-C", "/"],
        "archive API by curl": ["curl", "-sf", "--unix-socket", SOCKET, "-T", "-", f"http://d/containers/{container}/archive?path=/"],
    }
    for count, what, budget in ((1, "1 KB saved → readable", "archive API + 5"), (100, "100 files of 1 KB", ""), (1000, "1,000 files of 1 KB", "")):
        rounds = max(5, bench.samples if count == 1 else bench.samples // 5)
        by_skiff(bench, dev, root, count)
        own, others = [], {name: [] for name in peers}
        for _ in range(rounds):  # in turns: what else the machine does meets all of them
            own.append(by_skiff(bench, dev, root, count))
            for name, argv in peers.items():
                others[name].append(by_program(bench, root, count, argv))
        bench.add(f"{what}: skiff", own, budget)
        for name, samples in others.items():
            bench.add(f"{what}: {name}", samples)
    bench.finish(dev)


def start(bench, pages):
    """A second start, with the image at hand: (ms to ready, the running dev)."""
    project = bench.project(pages)
    first = bench.dev(project)
    first.end()
    began = time.perf_counter_ns()
    dev = harness.Dev(bench.skiff, project, "docker", "--tail=false", state=first.state)
    return milliseconds(began), dev


def cpu_ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def anonymous_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) / 1024
    return 0


def large_tree(bench):
    small_ms, small = start(bench, {"one": "1"})
    bench.finish(small)
    pages = {f"d{n // 100}/f{n}": "x" * 100 for n in range(20000)}
    ms, dev = start(bench, pages)
    bench.add("start to ready, 1 watched file (image at hand)", [small_ms])
    bench.add("the same with 20,000 watched files", [ms], "+ 150")
    root = merged(dev)
    dev.project.write("www/one", "1")
    readable([(root + b"/srv/one", b"1")])
    bench.add("1 KB saved among 20,000 files → readable", [by_skiff(bench, dev, root, 1) for _ in range(max(5, bench.samples // 3))], "as in a small tree")
    before, seconds = cpu_ticks(dev.process.pid), 10
    try:
        dev.process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    used = (cpu_ticks(dev.process.pid) - before) / os.sysconf("SC_CLK_TCK") / seconds * 100
    bench.add("CPU while idle, 20,000 watched files", [used], "0", unit="%")
    bench.add("anonymous memory, 20,000 watched files", [anonymous_mb(dev.process.pid)], "8", unit="MB")
    bench.finish(dev)


def explain(bench):
    project = bench.project({"index.html": "1"})
    samples = []
    for _ in range(max(20, bench.samples)):
        began = time.perf_counter_ns()
        subprocess.run([str(bench.skiff), "explain", "www/index.html"], cwd=project.root, check=True, stdout=subprocess.DEVNULL)
        samples.append(milliseconds(began))
    bench.add("skiff explain, small project", samples, "10")
    project.release()


def sizes(bench):
    bench.add("skiff on disk", [bench.skiff.stat().st_size / (1 << 20)], "1", unit="MB")


CLASSES, CHANGED = 5000, 3
# Stands for a compiler: it notes when it is done. What it makes is as large as a class, in as many packages as a large project has.
COMPILER = """#!/usr/bin/env python3
import os, pathlib, sys, time
serial = pathlib.Path("src/serial").read_text().encode()
for n in range(%d):
    if n < %d or %r or not os.path.exists("made"):
        os.makedirs(f"made/p{n %% 100}", exist_ok=True) if n < 100 else None
        pathlib.Path(f"made/p{n %% 100}/C{n}.class").write_bytes((serial if n < %d else b"same").ljust(2000))
pathlib.Path(os.environ["BENCH_END"]).write_text(str(time.time_ns()))
"""


def compiled(bench, every):
    """(from the compiler's end to the last of the changed classes being readable, the same three by the archive API alone)."""
    project = bench.project({"index.html": "1"})
    project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY made /srv\nCMD {harness.STAY_COMMAND}\n")
    project.write("compile", COMPILER % (CLASSES, CHANGED, every, CHANGED), mode=0o755)
    project.write("src/serial", bench.content(100))
    project.configure("auto:\n  generated:\n  - {command: [./compile], inputs: ['src/**'], sync: [{src: made, dest: /srv}]}")
    end = project.base / "end"
    os.environ["BENCH_END"] = str(end)
    subprocess.run([project.file("compile")], cwd=project.root, check=True)
    dev = bench.dev(project)
    root, container = merged(dev), dev.container()
    plain = ["curl", "-sf", "--unix-socket", SOCKET, "-T", "-", f"http://d/containers/{container}/archive?path=/"]
    added, alone = [], []
    for _ in range(max(5, bench.samples // 3)):
        serial, mark = bench.content(100), dev.mark()
        project.write("src/serial", serial)
        readable([(root + f"/srv/p{n % 100}/C{n}.class".encode(), serial.ljust(2000)) for n in range(CHANGED)], pause=0.001)
        added.append((time.time_ns() - int(end.read_text())) / 1e6)
        dev.wait("idle", mark)
        alone.append(by_program(bench, root, CHANGED, plain))
    bench.finish(dev)
    return added, alone


def generated(bench):
    for every, what in ((False, f"{CHANGED} of {CLASSES:,} classes written"), (True, f"{CLASSES:,} classes written, {CHANGED} differ")):
        added, alone = compiled(bench, every)
        bench.add(f"{what}: end → readable, skiff", added, "plain + 50")
        bench.add(f"{what}: plain (archive API by curl)", alone)


def direct(bench):
    """A direct file of an auto mapping is as quick as a manual one."""
    rules = {"manual": harness.MANUAL, "auto, direct": "auto:\n  direct: [{src: 'www/**', dest: /srv, strip: www/}]"}
    devs, samples = {}, {name: [] for name in rules}
    for name, rule in rules.items():
        project = harness.Project().site(rule, {"one": "first"})
        devs[name] = bench.dev(project)
        by_skiff(bench, devs[name], merged(devs[name]), 1)
    roots = {name: merged(dev) for name, dev in devs.items()}
    for _ in range(bench.samples):
        for name, dev in devs.items():
            samples[name].append(by_skiff(bench, dev, roots[name], 1))
    for name, dev in devs.items():
        bench.add(f"1 KB saved → readable: {name}", samples[name], "as manual" if name != "manual" else "")
        bench.finish(dev)


def maven(bench):
    """One class of the Java example: the Maven run that skiff starts, alone, and from the save to the class in the container."""
    try:
        project = test_java.JavaProject()
    except harness.Failure as failure:
        print(f"maven: {failure}")
        return
    project.example("java-jib")
    project.warm()
    dev = harness.Dev(bench.skiff, project, "docker", "--tail=false", env=project.environment, wait=False)
    dev.wait("ready", timeout=test_java.BUILD_LIMIT)
    dev.wait("idle", timeout=test_java.BUILD_LIMIT)
    root, source = merged(dev), project.file(test_java.SOURCE)
    target, text = root + test_java.IN_CONTAINER.encode(), source.read_text()
    command = project.maven()[-1].split()
    own, alone = [], []
    for n in range(5):
        mark = dev.mark()
        began = time.perf_counter_ns()
        source.write_text(text.replace("Hello from skiff", f"Hello {n}"))
        holds(target, f"Hello {n}".encode())
        own.append(milliseconds(began))
        dev.wait("idle", mark)
    dev.end()
    for n in range(5):
        source.write_text(text.replace("Hello from skiff", f"Hello again {n}"))
        began = time.perf_counter_ns()
        subprocess.run(["mvn", *command], cwd=project.root, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **project.environment})
        alone.append(milliseconds(began))
    bench.add(".java saved → class readable, skiff with Maven", own, "Maven's time + 50")
    bench.add("the same run of Maven alone", alone)
    bench.finish_files(dev)


PARTS = {"saves": saves, "direct": direct, "generated": generated, "maven": maven, "tree": large_tree, "explain": explain, "sizes": sizes}


def main():
    arguments = argparse.ArgumentParser(prog="script/bench", description=__doc__.splitlines()[0])
    arguments.add_argument("--skiff", type=pathlib.Path, required=True)
    arguments.add_argument("--samples", type=int, default=50)
    arguments.add_argument("--only", choices=PARTS)
    options = arguments.parse_args()
    bench = Bench(options.skiff.resolve(), options.samples)
    print(f"{'work':<58} {'median':>9} {'95th':>9}     budget")
    failed = 0
    for name, part in PARTS.items():
        if options.only in (None, name):
            try:
                part(bench)
            except (harness.Failure, OSError, subprocess.SubprocessError) as error:
                print(f"{name}: {error}")
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
