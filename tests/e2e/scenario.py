"""The base of each end-to-end test: makes projects and skiffs, and takes them away again whatever happens."""

import dataclasses
import http.client
import pathlib
import subprocess
import unittest
import urllib.request

import harness
from harness import Dev, Project


@dataclasses.dataclass
class Settings:
    skiff: pathlib.Path
    runtime: str
    seed: int | None
    rounds: int


settings = None


def on(*runtimes):
    """Where a test can run; without it: on both."""
    def mark(function):
        function.runtimes = runtimes
        return function
    return mark


def runtimes_of(test):
    method = getattr(type(test), test._testMethodName)
    return getattr(method, "runtimes", getattr(type(test), "runtimes", ("docker", "embedded")))


class Scenario(unittest.TestCase):
    maxDiff = 2000

    @property
    def on_docker(self):
        return settings.runtime == "docker"

    def project(self):
        project = Project()
        self.addCleanup(project.release)
        if self.on_docker:
            self.addCleanup(harness.remove_leftovers, project.image)
        return project

    def site(self, sync=harness.MANUAL, pages=None):
        return self.project().site(sync, pages)

    def dev(self, project, *arguments, **more):
        dev = Dev(settings.skiff, project, settings.runtime, *arguments, **more)
        self.addCleanup(self.stop, dev)
        return dev

    def stop(self, dev):
        if dev.process.poll() is None:
            dev.end()
        elif not dev.output.closed:
            dev.end()

    def base_image(self):
        """An image with a shell to start from, made without a registry."""
        return subprocess.run(["tests/e2e/base-image"], cwd=harness.ROOT, check=True,
                              capture_output=True, text=True).stdout.strip()

    def rest(self, dev, since=0, timeout=harness.DEADLINE):
        """Until nothing is left to do."""
        dev.wait("idle", since, timeout=timeout)
        dev.eventually(lambda: dev.events[-1]["type"] == "idle", timeout, "rest")

    def ask(self, dev, path="/"):
        """The server's answer, None while it gives none."""
        ports = [port for event in dev.events if event["type"] in ("ready", "deploy") for port in event.get("ports", [])]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[-1]['local']}{path}", timeout=10) as answer:
                return answer.read().decode()
        except (OSError, IndexError, http.client.HTTPException):
            return None

    def answers(self, dev, text, path="/", timeout=harness.DEADLINE):
        """Waits for just this answer; or one of which text, a function, says yes."""
        fits = text if callable(text) else lambda answer: answer == text
        try:
            dev.eventually(lambda: fits(self.ask(dev, path)), timeout, f"the answer {text!r} to {path}")
        except harness.Failure:
            print(f"# {path} answers {self.ask(dev, path)!r}")
            raise

    def assertCopied(self, dev, since):
        """Nothing after the mark was a rebuild."""
        decisions = [e for e in dev.events[since:] if e["type"] == "decision" and e.get("decision") == "rebuild"]
        self.assertEqual(decisions, [])

    def assertNothingLeft(self, project):
        if self.on_docker:
            self.assertEqual(harness.containers(project.image), [])
