"""Where a change could get lost, or a loop never come to rest: several things at once, and things that fail."""

import os
import signal
import subprocess

import harness
import scenario
from harness import AUTO, MANUAL, STAY_COMMAND, indent
from scenario import Scenario, on


class Batches(Scenario):
    def test_a_delete_beside_a_changed_directory(self):
        project = self.site(pages={"d/a": "a", "d/b": "b"})
        dev = self.dev(project)
        project.remove("www/d/b")
        os.chmod(project.path("www/d"), 0o700)
        dev.expect("/srv/d/b", None)
        self.assertEqual(dev.read("/srv/d/a"), b"a")

    def test_a_directory_made_anew(self):
        project = self.site(pages={"d/a": "a", "d/b": "b"})
        dev = self.dev(project)
        project.remove("www/d")
        project.write("www/d/c", "c")
        dev.expect("/srv/d/c", "c")
        dev.expect("/srv/d/a", None)
        dev.expect("/srv/d/b", None)

    def test_a_directory_that_was_a_file_for_a_while(self):
        """As `git checkout` of another branch and back leaves it."""
        project = self.site(pages={"d/a": "the same"})
        dev = self.dev(project)
        project.remove("www/d")
        project.write("www/d", "a file")
        dev.expect("/srv/d", "a file")
        project.remove("www/d")
        project.write("www/d/a", "the same")
        dev.expect("/srv/d/a", "the same")


class Fifos:
    """Build hooks that wait for the test: each phase says that it has begun, and goes on when told."""

    def __init__(self, project):
        self.project = project
        for phase in ("before", "after"):
            os.mkfifo(project.base / f"{phase}-began")
            os.mkfifo(project.base / f"{phase}-go")

    def hooks(self):
        base = self.project.base
        return "hooks:\n" + "".join(
            f"  {phase}:\n  - command: [sh, -c, 'test ! -e {base}/hold || {{ echo >{base}/{phase}-began; read x <{base}/{phase}-go; }}']\n"
            for phase in ("before", "after"))

    def wait(self, phase):
        with open(self.project.base / f"{phase}-began") as fifo:
            fifo.read()

    def go(self, phase):
        with open(self.project.base / f"{phase}-go", "w") as fifo:
            fifo.write("\n")


def with_artifact(project, more, sync=MANUAL):
    """The usual configuration with more keys in the artifact."""
    project.write("skaffold.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifacts:\n"
                  f"  - image: {project.image}\n{indent(more, 4)}    sync:\n{indent(sync, 6)}deploy:\n  docker: {{images: [{project.image}]}}\n")


class WhileBuilding(Scenario):
    def test_added_before_the_build_read_it_and_deleted_after(self):
        project = self.site()
        phases = Fifos(project)
        with_artifact(project, phases.hooks())
        dev = self.dev(project)
        (project.base / "hold").touch()
        with open(project.path("Dockerfile"), "a") as file:
            file.write("ENV changed=1\n")
        phases.wait("before")
        mark = dev.mark()
        project.write("www/short-lived", "in the image")
        dev.wait("change", mark)
        phases.go("before")
        phases.wait("after")
        mark = dev.mark()
        project.remove("www/short-lived")
        dev.wait("change", mark)
        os.unlink(project.base / "hold")
        phases.go("after")
        dev.wait("deploy", mark, status="succeeded")
        dev.wait("idle", mark, errors=0)
        self.assertIsNone(dev.read("/srv/short-lived"))


class Failures(Scenario):
    def test_what_a_failed_build_lacked_is_made(self):
        """The folder was no input before: it must be watched all the same."""
        project = self.site()
        dev = self.dev(project)
        mark = dev.mark()
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCOPY missing /missing\nCMD {STAY_COMMAND}\n")
        dev.wait("build", mark, status="failed")
        dev.wait("idle", mark)
        project.write("missing/file", "made")
        dev.expect("/missing/file", "made")

    @on("docker")
    def test_a_delete_and_a_build_that_both_fail_come_to_rest(self):
        project = self.site(pages={"a": "1", "b": "2"})
        os.unlink(project.path("bin/rm"))
        with_artifact(project, f"hooks: {{before: [{{command: [sh, -c, 'test ! -e {project.base}/broken']}}]}}")
        dev = self.dev(project, "--no-agent")  # which needs no rm
        (project.base / "broken").touch()
        mark = dev.mark()
        project.remove("www/a")
        dev.wait("build", mark, status="failed")
        dev.wait("idle", mark, errors=1)
        self.assertEqual(dev.count("build", mark, status="failed"), 1)
        os.unlink(project.base / "broken")
        project.write("www/b", "mends")
        dev.expect("/srv/b", "mends")
        dev.expect("/srv/a", None)

    @on("docker")
    def test_a_read_only_mount_is_an_error_that_stands(self):
        project = self.site()
        project.write("mounted/index.html", "mounted")
        project.write("skiff.yaml", f"deploy: {{docker: {{run: {{{project.image}: {{volumes: ['{project.root}/mounted:/srv:ro']}}}}}}}}\n")
        project.write(".dockerignore", "mounted\n")
        dev = self.dev(project)
        mark = dev.mark()
        project.write("www/index.html", "can't be there")
        dev.wait("sync", mark, status="failed")
        dev.wait("idle", mark, errors=1)
        self.assertEqual(dev.count("build", mark), 0)

    def test_a_host_hook_that_fails_is_told_each_time(self):
        project = self.site(MANUAL + "\nhooks: {before: [{host: {command: [sh, -c, 'echo no such luck; exit 3']}}]}")
        dev = self.dev(project)
        for n in range(2):
            mark = dev.mark()
            project.write("www/index.html", f"hooked {n}")
            dev.wait("error", mark, about="hook")
            dev.wait("idle", mark, errors=1)
        self.assertEqual(dev.text().count("error"), 2)


class Held(Scenario):
    def test_without_automatic_deployment_it_waits_and_says_so(self):
        project = self.site()
        dev = self.dev(project, "--auto-deploy=false")
        mark = dev.mark()
        with open(project.path("Dockerfile"), "a") as file:
            file.write("ENV changed=1\n")
        dev.wait("build", mark, status="succeeded")
        dev.wait("warning", mark, message=lambda m: "press Enter to deploy" in m)
        dev.wait("idle", mark)


class Terminal(Scenario):
    @on("docker")
    def test_a_container_can_not_drive_the_terminal(self):
        project = self.site()
        hostile = "printf '\\\\033]0;title\\\\007\\\\033[2J\\\\033[31mred\\\\033[0m\\\\ttab\\\\n'; "
        command = STAY_COMMAND.replace("trap", hostile.replace("printf", "/bin/busybox printf") + "trap", 1)
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCMD {command}\n")
        dev = self.dev(project, "--color", "always")
        dev.eventually(lambda: "red" in dev.text(), what="the log")
        text = dev.text()
        self.assertIn("\033[31mred\033[0m\ttab", text)
        self.assertNotIn("\033]", text)
        self.assertNotIn("\033[2J", text)


class Streams(Scenario):
    @on("docker")
    def test_a_restarted_program_is_not_quoted_again(self):
        project = self.site()
        command = STAY_COMMAND.replace("trap", "/bin/busybox echo program-began; trap", 1)
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCMD {command}\n")
        project.write("skiff.yaml", f"artifacts: [{{image: {project.image}, restart: true}}]\n")
        dev = self.dev(project)
        for n in range(2):
            project.write("www/index.html", f"version {n}")
            dev.eventually(lambda: dev.text().count("program-began") >= n + 2, what="the log of the restarted program")
        self.assertEqual(dev.text().count("program-began"), 3)

    def test_started_without_standard_streams(self):
        project = self.site()
        dev = self.dev(project)
        dev.end()
        shell = f"exec {scenario.settings.skiff} explain www/index.html <&- >&- 2>&-"
        self.assertEqual(subprocess.run(["sh", "-c", shell], cwd=project.root).returncode, 0)


class Again(Scenario):
    @on("docker")
    def test_a_changed_configuration_leaves_one_container(self):
        project = self.site()
        dev = self.dev(project)
        mark = dev.mark()
        project.write("skiff.yaml", f"deploy: {{docker: {{run: {{{project.image}: {{env: {{MARK: second}}}}}}}}}}\n")
        project.configure(MANUAL.replace("dest: /srv", "dest: /other"))
        dev.wait("ready", mark)
        self.assertEqual(len(harness.containers(project.image)), 1)
        self.assertIn(b"MARK=second", harness.docker("inspect", "-f", "{{.Config.Env}}", dev.container()))

    @on("docker")
    def test_a_build_that_changed_nothing_is_over(self):
        """What is carried after it is not in the image, whatever is built or started anew later."""
        project = self.site(AUTO)
        dev = self.dev(project)
        mark = dev.mark()
        with open(project.path("Dockerfile"), "a") as file:
            file.write("# the same image\n")
        dev.wait("build", mark, status="succeeded")
        self.rest(dev, mark)
        project.write("www/index.html", "second")
        dev.expect("/srv/index.html", "second")
        self.rest(dev, mark)
        harness.docker("rm", "-f", "-v", dev.container())
        project.write("www/other", "1")
        dev.expect("/srv/other", "1")
        self.rest(dev, mark)
        self.assertEqual(dev.read("/srv/index.html"), b"second")

    @on("docker")
    def test_an_image_renamed(self):
        project = self.site()
        dev = self.dev(project)
        mark, old = dev.mark(), project.image
        project.image = old + "/other"
        self.addCleanup(harness.remove_leftovers, old)
        project.configure(MANUAL)
        dev.wait("ready", mark)
        self.assertEqual(len(harness.containers(old)), 1)

    @on("docker")
    def test_what_a_custom_build_writes_is_no_change_of_its_inputs(self):
        project = self.site()
        with_artifact(project, "custom:\n  buildCommand: date +%N >>made && docker build -q -t $IMAGE .\n"
                      "  dependencies: {command: 'echo \"[\\\"Dockerfile\\\", \\\"www\\\"]\"'}")
        dev = self.dev(project)
        mark = dev.mark()
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nENV changed=1\nCMD {STAY_COMMAND}\n")
        dev.wait("build", mark, status="succeeded")
        dev.wait("idle", mark, errors=0)
        self.assertEqual(dev.count("build", mark, status="started"), 1)

    def test_a_terminal_that_closes_tells_it_twice(self):
        project = self.site()
        dev = self.dev(project)
        dev.process.send_signal(signal.SIGHUP)
        dev.process.send_signal(signal.SIGHUP)
        self.assertEqual(dev.end(signal.SIGHUP), 130)
        self.assertNothingLeft(project)
