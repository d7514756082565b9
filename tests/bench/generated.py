"""What skiff adds to the time that a compiler takes."""

import os
import subprocess
import time

import contest
import harness
import test_java

CLASSES, CHANGED, TOO_LONG = 5000, 3, 30
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


def milliseconds(began):
    return (time.perf_counter_ns() - began) / 1e6


def wait_for(path, is_there, seconds):
    """Returns when the file's content is as wanted. The pause: without it this loop takes a core away from what it waits for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if is_there(path.read_bytes()):
                return
        except OSError:  # in the moment in which it is replaced
            pass
        time.sleep(0.001)
    raise harness.Failure(f"{path} did not come to hold what it should")


def classes(root, serial):
    for n in range(CHANGED):
        wait_for(root / f"srv/p{n % 100}/C{n}.class", lambda content: content == serial.ljust(2000), TOO_LONG)


def compiled(bench, every):
    """(from the compiler's end to the last of the changed classes being readable, the same files by the bare tar in an exec)."""
    project = harness.Project().site(harness.MANUAL)
    project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY made /srv\nCMD {harness.STAY_COMMAND}\n")
    project.write("compile", COMPILER % (CLASSES, CHANGED, every, CHANGED), mode=0o755)
    project.write("src/serial", "0".ljust(100))
    project.configure("auto:\n  generated:\n  - {command: [./compile], inputs: ['src/**'], sync: [{src: made, dest: /srv}]}")
    end = project.base / "end"
    os.environ["BENCH_END"] = str(end)
    subprocess.run([project.file("compile")], cwd=project.root, check=True)
    dev = bench.dev(project)
    root, added = contest.merged(dev), []
    for n in range(bench.fewer(3)):
        serial, mark = f"{n + 1:<100}".encode(), dev.mark()
        project.write("src/serial", serial)
        classes(root, serial)
        added.append((time.time_ns() - int(end.read_text())) / 1e6)
        dev.wait("idle", mark)
    bench.finish(dev)
    return added


def generated(bench):
    for every, what in ((False, f"{CHANGED} of {CLASSES:,} classes written"), (True, f"{CLASSES:,} classes written, {CHANGED} differ")):
        bench.add(f"{what}: the compiler's end → readable", compiled(bench, every), "50")


def maven(bench):
    """One class of the Java example: the Maven run that skiff starts, alone, and from the save to the class in the container."""
    try:
        project = test_java.JavaProject()
    except harness.Failure as failure:
        print(f"maven: {failure}")
        return
    project.example("java-jib")
    project.warm()
    dev = bench.dev(project, env=project.environment)
    dev.wait("idle", timeout=test_java.BUILD_LIMIT)
    source = project.file(test_java.SOURCE)
    target, text = contest.merged(dev) / test_java.IN_CONTAINER.lstrip("/"), source.read_text()
    command = project.maven()[-1].split()
    own, alone = [], []
    for n in range(5):
        mark = dev.mark()
        began = time.perf_counter_ns()
        source.write_text(text.replace("Hello from skiff", f"Hello {n}"))
        wait_for(target, lambda content: f"Hello {n}".encode() in content, test_java.BUILD_LIMIT)
        own.append(milliseconds(began))
        dev.wait("idle", mark)
    dev.end()
    for n in range(5):
        source.write_text(text.replace("Hello from skiff", f"Hello again {n}"))
        began = time.perf_counter_ns()
        subprocess.run(["mvn", *command], cwd=project.root, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **project.environment})
        alone.append(milliseconds(began))
    bench.add(".java saved → class readable, skiff with Maven", own, "Maven's time + 50")
    bench.add("    the same run of Maven alone", alone)
    bench.finish_files(dev)
