#!/usr/bin/env python3
"""The tests behind script/test: builds with sanitizers, runs each part, counts each test function once.

Every part ends in TAP: cmocka's programs, the corpora of the fuzzers and the end-to-end tests all speak it; a check that is only a
command counts as one test. A part that can't run is a failed test, never a missing one."""

import argparse
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / os.environ.get("SKIFF_BUILD_TEST", "build-test")
SKIFF = BUILD / "src/cli/skiff"
PART_LIMIT = 1800  # seconds: Maven may have to fetch, on a busy machine

SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def ok(self):
        self.passed += 1

    def fail(self, name, output=""):
        self.failed += 1
        print(f"FAILED {name}", flush=True)
        for line in output.splitlines()[-60:]:
            print(f"    {line}")

    def skip(self, name, reason):
        self.skipped += 1
        print(f"skipped {name}: {reason}", flush=True)

    def tap(self, name, text, code):
        """Counts the results in a program's TAP; a program that ends badly without a failed result is one failed test."""
        failed_before, results, shown = self.failed, 0, []
        for line in text.splitlines():
            match = re.match(r"(not )?ok\b\s*\d*\s*-?\s*([^#]*)(?:#\s*(?i:skip)\s*(.*))?", line)
            if not match:
                shown.append(line)
                continue
            results += 1
            test = f"{name}: {match[2].strip()}"
            if match[3] is not None:
                self.skip(test, match[3])
            elif match[1]:
                self.fail(test, "\n".join(shown))
            else:
                self.ok()
            shown = []
        if (code != 0 and self.failed == failed_before) or results == 0:
            self.fail(f"{name}: ended with {code} after {results} results", "\n".join(shown) or text)


def ends_with_us():
    """In the child: SIGTERM when this program ends, whatever way (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def run(argv, limit=PART_LIMIT, env=None, cwd=ROOT):
    """(exit code, standard output and errors in their order)."""
    # Into a file: what a test left running would hold a pipe open.
    with tempfile.TemporaryFile() as output:
        try:
            code = subprocess.run([str(a) for a in argv], cwd=cwd, timeout=limit, stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=subprocess.STDOUT, preexec_fn=ends_with_us, env={**os.environ, **SANITIZERS, **(env or {})}).returncode
            late = ""
        except subprocess.TimeoutExpired:
            code, late = 124, f"\nnot done after {limit} s"
        except OSError as error:
            return 127, str(error)
        output.seek(0)
        return code, output.read().decode(errors="replace") + late


def build(tally):
    if not (BUILD / "build.ninja").exists():
        code, output = run(["meson", "setup", BUILD, "-Db_sanitize=address,undefined"])
        if code:
            tally.fail("meson setup", output)
            return False
    code, output = run(["ninja", "-C", BUILD, "all", "src/cli/skiff"])
    if code:
        tally.fail("build", output)
    return code == 0


def meson_suite(tally, suite, by=()):
    """Each program of a meson suite, by itself, so that its output can be read."""
    code, output = run(["meson", "introspect", "--tests", BUILD])
    if code:
        tally.fail(f"{suite}: can't list the tests", output)
        return
    tests = [t for t in json.loads(output) if any(s.split(":")[-1] == suite for s in t["suite"])]
    if not tests:
        tally.fail(f"{suite}: there are no such tests")
    for test in tests:
        code, output = run([*by, *test["cmd"]], test["timeout"], {**test["env"], "CMOCKA_MESSAGE_OUTPUT": "TAP"}, BUILD)
        tally.tap(test["name"], output, code)


def command(tally, name, argv):
    code, output = run(argv)
    if code:
        tally.fail(name, output)
    else:
        tally.ok()


def part_lint(tally):
    for check in ("format", "shell", "python", "tidy"):
        command(tally, f"lint {check}", ["script/lint", check])


def part_layers(tally):
    command(tally, "layers", ["python3", "tests/layers/check.py"])
    command(tally, "layers: the check itself", ["python3", "tests/layers/test_check.py"])


def end_to_end(tally, name, *options):
    code, output = run(["python3", "tests/e2e/run.py", "--skiff", SKIFF, *options])
    tally.tap(name, output, code)


class Engine:
    """An engine for the parts that need one: started where none answers, and stopped if it was started here."""

    def __init__(self):
        self.started = False

    def up(self):
        if run(["script/engine", "status"], 30)[0] == 0:
            return 0, ""
        code, output = run(["script/engine", "up"], 300)
        self.started = code == 0
        return code, output

    def down(self):
        if self.started:
            run(["script/engine", "down"], 120)


class Cluster(Engine):
    """A cluster of Kubernetes, likewise; the first time on a machine it is built, which takes some ten minutes: beside the parts before it."""

    def __init__(self):
        super().__init__()
        self.building = None

    def build(self):
        if "SKIFF_TEST_CONTEXT" not in os.environ:
            self.building = subprocess.Popen(["nice", "-n", "19", "script/cluster", "build"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL, preexec_fn=ends_with_us)

    def up(self):
        if self.building:
            self.building.wait()
        if "SKIFF_TEST_CONTEXT" in os.environ:
            return run(["script/cluster", "status"], 60)
        if run(["script/cluster", "status"], 60)[0] == 0:
            return run(["script/cluster", "registry"], 300)
        code, output = run(["script/cluster", "up"], 3000)
        self.started = code == 0
        return (code, output) if code else run(["script/cluster", "registry"], 300)

    def down(self):
        if self.started:
            run(["script/cluster", "down"], 120)


def part_kubernetes(cluster):
    def part(tally):
        code, output = cluster.up()
        if code:
            tally.fail("no cluster for the tests", output)
            return
        command(tally, "kubernetes: what it needs of the network", ["python3", "tests/e2e/run.py", "--skiff", SKIFF, "--prepare"])
        meson_suite(tally, "cluster", [ROOT / "script/cluster", "run", "--"])
        code, output = run(["script/cluster", "run", "--", "python3", "tests/e2e/run.py", "--skiff", SKIFF, "--runtime", "kubernetes"])
        tally.tap("kubernetes", output, code)
    return part


def with_engine(engine, part):
    def wrapped(tally):
        code, output = engine.up()
        if code:
            tally.fail("no Docker engine for the tests", output)
        else:
            part(tally)
    return wrapped


def parts(engine, cluster, seed, rounds):
    """name → what it runs, in the order in which they are run."""
    seeds = ["--seed", str(seed)] if seed is not None else []
    seeds += ["--rounds", str(rounds)] if rounds is not None else []
    return {
        "unit": lambda tally: meson_suite(tally, "unit"),
        "fuzz": lambda tally: meson_suite(tally, "fuzz"),
        "agent": lambda tally: meson_suite(tally, "agent"),
        "layers": part_layers,
        "lint": part_lint,
        "embedded": lambda tally: end_to_end(tally, "embedded", "--runtime", "embedded"),
        "engine": with_engine(engine, lambda tally: meson_suite(tally, "engine")),
        "docker": with_engine(engine, lambda tally: end_to_end(tally, "docker", "--runtime", "docker")),
        "laws": with_engine(engine, lambda tally: end_to_end(tally, "laws", "--laws", *seeds)),
        "faults": with_engine(engine, lambda tally: end_to_end(tally, "faults", "--faults", *seeds)),
        "java": with_engine(engine, lambda tally: end_to_end(tally, "java", "--java")),
        "kubernetes": with_engine(engine, part_kubernetes(cluster)),
    }


def main():
    engine, cluster = Engine(), Cluster()
    names = list(parts(engine, cluster, None, None))
    arguments = argparse.ArgumentParser(prog="script/test", description="Runs skiff's tests: all parts, or those named.")
    arguments.add_argument("parts", nargs="*", metavar="PART", help=f"one of: {', '.join(names)}")
    arguments.add_argument("--seed", type=int, help="of the random edits and faults of `laws` and `faults`")
    arguments.add_argument("--rounds", type=int, help="how long those two go on")
    options = arguments.parse_args()
    unknown = [part for part in options.parts if part not in names]
    if unknown:
        arguments.error(f"unknown part {unknown[0]} (one of: {', '.join(names)})")
    tally = Tally()
    try:
        if build(tally):
            if not options.parts or "kubernetes" in options.parts:
                cluster.build()
            for name, part in parts(engine, cluster, options.seed, options.rounds).items():
                if not options.parts or name in options.parts:
                    started, before = time.monotonic(), tally.passed + tally.failed
                    part(tally)
                    ran = tally.passed + tally.failed - before
                    print(f"-- {name}: {ran} tests in {time.monotonic() - started:.0f} s", flush=True)
    finally:
        cluster.down()
        engine.down()
    skipped = f", {tally.skipped} skipped" if tally.skipped else ""
    print(f"{tally.passed} passed, {tally.failed} failed{skipped}")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
