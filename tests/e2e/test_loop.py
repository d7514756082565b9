"""The loop itself: builds, failures, configuration, endings."""

import os
import signal
import subprocess
import time

import harness
from harness import AUTO, INFER, MANUAL
from scenario import Scenario, on


class Rebuilds(Scenario):
    def test_a_changed_dockerfile_rebuilds(self):
        project = self.site()
        dev = self.dev(project)
        mark = dev.mark()
        project.write("extra", "more")
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCOPY extra /extra\nCMD {harness.STAY_COMMAND}\n")
        dev.wait("build", mark, status="succeeded")
        dev.expect("/extra", "more")
        decision = dev.wait("decision", mark, decision="rebuild")
        self.assertIn("deciding", decision)

    def test_infer_rebuilds_on_a_delete(self):
        project = self.site(INFER, {"a": "1", "b": "2"})
        dev = self.dev(project)
        mark = dev.mark()
        project.remove("www/a")
        dev.wait("decision", mark, decision="rebuild")
        dev.expect("/srv/a", None)
        self.assertEqual(dev.read("/srv/b"), b"2")

    def test_a_file_that_only_passed_rebuilds_nothing(self):
        """sed -i writes a temporary file beside, then renames it: the temporary one was never in the image."""
        project = self.site(INFER, {"a": "1 first\n"})
        dev = self.dev(project)
        mark = dev.mark()
        for n in range(2, 12):
            step = dev.mark()
            subprocess.run(["sed", "-i", f"s/.* first/{n} first/", project.path("www/a")], check=True)
            dev.wait("idle", step)
        dev.expect("/srv/a", "11 first\n")
        self.assertEqual(dev.count("build", mark), 0)

    def test_a_failed_build_leaves_the_old_one_and_the_next_save_mends_it(self):
        project = self.site()
        dev = self.dev(project)
        with open(project.path("Dockerfile")) as file:
            good = file.read()
        mark = dev.mark()
        project.write("Dockerfile", good.replace("COPY www", "COPY missing"))
        dev.wait("build", mark, status="failed")
        dev.wait("idle", mark, errors=lambda n: n and n > 0)
        self.assertEqual(dev.read("/srv/index.html"), b"first")
        dev.says("missing")
        mark = dev.mark()
        project.write("www/index.html", "mended")
        project.write("Dockerfile", good)
        dev.wait("build", mark, status=lambda s: s in ("succeeded", "cached"))
        dev.expect("/srv/index.html", "mended")
        dev.wait("idle", mark, errors=0)

    def test_a_sync_goes_on_after_a_failed_build(self):
        """Law 1: what was saved while the build was broken is in the next image."""
        project = self.site()
        dev = self.dev(project)
        with open(project.path("Dockerfile")) as file:
            good = file.read()
        mark = dev.mark()
        project.write("Dockerfile", "NONSENSE\n")
        dev.wait("idle", mark)
        project.write("www/late", "late")
        project.write("Dockerfile", good)
        dev.expect("/srv/late", "late")


class Configuration(Scenario):
    def test_broken_while_running(self):
        project = self.site()
        dev = self.dev(project)
        with open(project.path("skaffold.yaml")) as file:
            good = file.read()
        mark = dev.mark()
        project.write("skaffold.yaml", good.replace("manual:", "manuel:"))
        dev.wait("error", mark)
        dev.says("manuel")
        project.write("www/index.html", "still synced")
        dev.expect("/srv/index.html", "still synced")
        mark = dev.mark()
        project.write("skaffold.yaml", good.replace("dest: /srv", "dest: /other"))
        project.write("www/index.html", "elsewhere")
        dev.eventually(lambda: dev.read("/other/index.html") == b"elsewhere" or dev.count("ready", mark), what="the new configuration")
        project.write("www/index.html", "by the new rule")
        dev.expect("/other/index.html", "by the new rule")

    def test_broken_at_the_start(self):
        project = self.site()
        project.write("skaffold.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nbuild: {artifacts: [{imag: x}]}\n")
        dev = self.dev(project, wait=False)
        self.assertEqual(dev.process.wait(harness.DEADLINE), 2)
        self.assertRegex(dev.text(), r"skaffold\.yaml:3:\d+: error: .*imag")


class Endings(Scenario):
    def test_ctrl_c_leaves_nothing(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGHUP, 130)):
            with self.subTest(signal.Signals(number).name):
                project = self.site()
                dev = self.dev(project)
                self.assertEqual(dev.end(number), code)
                self.assertNothingLeft(project)

    def test_killed_then_started_again(self):
        project = self.site()
        first = self.dev(project)
        first.process.kill()
        first.process.wait()
        project.write("www/index.html", "written while nobody looked")
        second = self.dev(project, state=first.state)
        second.expect("/srv/index.html", "written while nobody looked")
        if self.on_docker:
            self.assertEqual(len(harness.containers(project.image)), 1)
        self.assertEqual(second.end(), 130)
        self.assertNothingLeft(project)

    def test_two_skiffs_in_two_projects(self):
        one, two = self.site(), self.site()
        a, b = self.dev(one), self.dev(two)
        one.write("www/index.html", "one")
        two.write("www/index.html", "two")
        a.expect("/srv/index.html", "one")
        b.expect("/srv/index.html", "two")
        a.end()
        two.write("www/index.html", "two again")
        b.expect("/srv/index.html", "two again")

    def test_a_second_skiff_on_the_same_project_is_told(self):
        project = self.site()
        first = self.dev(project)
        second = self.dev(project, wait=False, state=first.state)
        self.assertEqual(second.process.wait(harness.DEADLINE), 1)
        project.write("www/index.html", "the first goes on")
        first.expect("/srv/index.html", "the first goes on")


class Triggers(Scenario):
    def test_polling(self):
        project = self.site()
        dev = self.dev(project, "--trigger", "polling", "--watch-poll-interval", "50")
        project.write("www/index.html", "polled")
        dev.expect("/srv/index.html", "polled")

    def test_the_events_file(self):
        """A plain file is appended to, one JSON object a line, with time and type first."""
        import json
        project = self.site()
        path = project.base / "events.json"
        path.write_text('{"type":"earlier"}\n')
        dev = self.dev(project, "--events", str(path), wait=False)
        deadline = time.monotonic() + harness.DEADLINE
        while '"ready"' not in path.read_text() and time.monotonic() < deadline and dev.process.poll() is None:
            try:
                dev.process.wait(0.02)
            except subprocess.TimeoutExpired:
                pass
        lines = path.read_text().splitlines()
        self.assertEqual(lines[0], '{"type":"earlier"}')
        for line in lines[1:]:
            event = json.loads(line)
            self.assertEqual(list(event)[:2], ["time", "type"])
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_the_host_hooks(self):
        project = self.site(MANUAL + "\nhooks:\n  before:\n  - host: {command: [sh, -c, 'echo before $SKAFFOLD_FILES_ADDED_OR_MODIFIED >>hooks.log']}\n"
                            "  after:\n  - host: {command: [sh, -c, 'echo after >>hooks.log']}")
        project.write(".dockerignore", "hooks.log\n")
        dev = self.dev(project)
        project.write("www/index.html", "hooked")
        dev.expect("/srv/index.html", "hooked")
        dev.eventually(lambda: os.path.exists(project.path("hooks.log")) and "after" in open(project.path("hooks.log")).read(),
                       what="the after hook")
        with open(project.path("hooks.log")) as file:
            self.assertRegex(file.read(), r"before .*index\.html\nafter\n")
