#!/usr/bin/env python3
"""Runs the end-to-end tests on one runtime, in TAP. A test says with @on(...) where it can run; elsewhere it does not exist."""

import argparse
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import scenario
import test_java

FILES = ["test_sync", "test_loop", "test_edges", "test_generate", "test_generated", "test_restart", "test_docker", "test_agent", "test_verify", "test_builders", "test_jib_tools",
         "test_attach"]
LAWS = ["test_laws"]
JAVA = ["test_java"]
FAULTS = ["test_faults"]
KUBERNETES = ["test_kubernetes"]


def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test


class Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.count = self.bad = 0

    def line(self, ok, test, more=""):
        self.count += 1
        self.bad += not ok
        name = test.id().split(".", 1)[-1].replace("#", "")
        print(f"{'' if ok else 'not '}ok {self.count} - {name}{more}", flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def addSuccess(self, test):
        self.line(True, test)

    def report(self, test, error):
        for line in self._exc_info_to_string(error, test).splitlines():
            print(f"# {line}")
        self.line(False, test)

    addError = addFailure = report

    def addSubTest(self, test, subtest, error):
        if error:
            self.report(subtest, error)

    def addSkip(self, test, reason):
        self.line(True, test, f" # SKIP {reason}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--skiff", required=True, type=pathlib.Path)
    arguments.add_argument("--runtime", choices=["docker", "embedded", "kubernetes"], default="docker")
    arguments.add_argument("--laws", action="store_true", help="random edits, compared with a fresh build")
    arguments.add_argument("--java", action="store_true", help="Maven and Jib")
    arguments.add_argument("--faults", action="store_true", help="what is killed, cut, filled and slow, and the laws after each")
    arguments.add_argument("--prepare", action="store_true", help="only fetches what the tests on Kubernetes need, which have no network there")
    arguments.add_argument("--seed", type=int)
    arguments.add_argument("--rounds", type=int, default=6)
    arguments.add_argument("-k", metavar="WORD", help="only tests whose name contains it")
    options = arguments.parse_args()
    scenario.settings = scenario.Settings(options.skiff.resolve(), options.runtime, options.seed, options.rounds)

    if options.prepare:
        test_java.prepare(scenario.settings.skiff)
        return 0
    loader, result = unittest.TestLoader(), Tap()
    for name in LAWS if options.laws else JAVA if options.java else FAULTS if options.faults else KUBERNETES if options.runtime == "kubernetes" else FILES:
        for test in tests_of(loader.loadTestsFromName(name)):
            if options.runtime in scenario.runtimes_of(test) and (not options.k or options.k in test.id()):
                test.run(result)
    print(f"1..{result.count}")
    return 1 if result.bad or not result.count else 0


if __name__ == "__main__":
    sys.exit(main())
