"""Jib's build tools that can't be run here (Gradle's plugin comes from a portal alone; mvnd and Maven's wrapper are not installed): the program
tests/e2e/jib-tool stands in their place, notes how it is called, and answers as they do. Maven itself is in test_java.py."""

import json
import os
import pathlib
import shutil
import subprocess

import harness
import scenario
from harness import ROOT, STAY_COMMAND, Project
from scenario import Scenario, on

SOURCE, CLASS = "src/main/java/hello/Hello.java", "/app/classes/hello/Hello.class"
OUT_OF_DATE = {"gradle": "_skaffoldFailIfJibOutOfDate", "maven": "jib:_skaffold-fail-if-jib-out-of-date"}


class JibProject(Project):
    """tool: what stands in whose place: a wrapper in the context, or a program in PATH."""

    def __init__(self, tool, module=""):
        super().__init__()
        self.calls = self.base / "calls"
        self.calls.touch()
        self.programs = self.base / "programs"
        self.programs.mkdir()
        wrapper = tool.endswith("w")
        self.tool = self.root / tool if wrapper else self.programs / tool
        shutil.copy(ROOT / "tests/e2e/jib-tool", self.tool)
        self.module = module
        for name in ["build.gradle", "settings.gradle"] if "gradle" in tool else ["pom.xml"]:
            self.write(name)
            self.write(os.path.join(module, name))
        self.write(os.path.join(module, SOURCE), "one")
        self.write(os.path.join(module, "src/main/jib/direct-file"), "direct")
        self.environment = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "JIB_CALLS": str(self.calls),
            "JIB_BUSYBOX": harness.BUSYBOX,
            "JIB_COMMAND": STAY_COMMAND,
        }

    def configure_jib(self, jib="{}", more=""):
        self.write("skaffold.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifacts:\n"
                   f"  - image: {self.image}\n    jib: {jib}\n    sync: {{auto: true}}\n{more}deploy:\n  docker: {{images: [{self.image}]}}\n")
        return self

    def source(self, name=SOURCE):
        return os.path.join(self.module, name)

    def skiff(self, *arguments, **environment):
        return subprocess.run([str(scenario.settings.skiff), *arguments], cwd=self.root, capture_output=True, text=True,
                              env={**os.environ, "XDG_STATE_HOME": str(self.base / "state"), **self.environment, **environment})

    def called(self):
        """Takes the calls so far."""
        calls = [json.loads(line) for line in self.calls.read_text().splitlines()]
        self.calls.write_text("")
        return calls


@on("docker")
class JibTools(Scenario):
    def jib(self, tool, jib="{}", module="", more=""):
        project = JibProject(tool, module)
        self.addCleanup(project.release)
        self.addCleanup(harness.remove_leftovers, project.image)
        return project.configure_jib(jib, more)

    def assertWell(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def words(self, project):
        calls = project.called()
        for call in calls:
            self.assertEqual(call["program"], str(project.tool))
            self.assertEqual(call["directory"], str(project.root))
        return [call["words"] for call in calls]

    def mapped(self, project):
        answer = json.loads(self.assertWell(project.skiff("map", "--json")))
        entries = answer["artifacts"][0]["entries"]
        return [(entry["src"], entry["dest"], entry["kind"]) for entry in entries]

    def test_gradle_wrapper(self):
        project = self.jib("gradlew", "{args: [-Pa=b, --offline]}")
        self.assertEqual(self.mapped(project), [
            ("build/classes/java/main/hello/Hello.class", [CLASS], "generated"),
            ("src/main/jib/direct-file", ["/direct-file"], "direct")])
        self.assertEqual(self.words(project), [
            [OUT_OF_DATE["gradle"], "-Djib.requiredVersion=1.4.0", ":_jibSkaffoldFilesV2", "-q", "--console=plain"],
            ["--console=plain", OUT_OF_DATE["gradle"], "-Djib.requiredVersion=2.0.0", ":_jibSkaffoldSyncMap", "-x", "test", "-Pa=b", "--offline"]])
        tag = self.assertWell(project.skiff("build")).strip()
        self.assertEqual(self.words(project), [
            ["--console=plain", OUT_OF_DATE["gradle"], "-Djib.requiredVersion=1.4.0", ":jibDockerBuild", "-Pa=b", "--offline", f"--image={tag}"]])
        self.assertWell(project.skiff("build"))  # nothing changed
        self.assertEqual(self.words(project), [])
        project.write("build.gradle", "// other")
        self.assertWell(project.skiff("build"))
        self.assertEqual([words[2] for words in self.words(project)], [":_jibSkaffoldFilesV2", "-Djib.requiredVersion=1.4.0"])

    def test_gradle_of_the_path_with_a_module(self):
        project = self.jib("gradle", "{project: server}", module="server")
        self.assertEqual(self.mapped(project)[1], ("server/src/main/jib/direct-file", ["/direct-file"], "direct"))
        tag = self.assertWell(project.skiff("build")).strip()
        self.assertEqual([words[:4] for words in self.words(project)], [
            [OUT_OF_DATE["gradle"], "-Djib.requiredVersion=1.4.0", ":server:_jibSkaffoldFilesV2", "-q"],
            ["--console=plain", OUT_OF_DATE["gradle"], "-Djib.requiredVersion=2.0.0", ":server:_jibSkaffoldSyncMap"],
            ["--console=plain", OUT_OF_DATE["gradle"], "-Djib.requiredVersion=1.4.0", ":server:jibDockerBuild"]])
        self.assertIn(project.image, tag)

    def test_maven_wrapper(self):
        project = self.jib("mvnw", "{project: server, args: [-Psync]}", module="server")
        shutil.copy(project.tool, project.programs / "mvnd")  # the wrapper comes before it
        self.assertEqual(self.mapped(project)[1][0], "server/target/classes/hello/Hello.class")
        tag = self.assertWell(project.skiff("build")).strip()
        head = ["-Psync", "--projects", "server", "--also-make"]
        self.assertEqual(self.words(project), [
            [OUT_OF_DATE["maven"], "-Djib.requiredVersion=1.4.0", *head, "jib:_skaffold-files-v2", "--quiet", "--batch-mode"],
            ["--batch-mode", OUT_OF_DATE["maven"], "-Djib.requiredVersion=2.0.0", *head, "-DskipTests=true", "package", "jib:_skaffold-sync-map",
             "-Djib.containerize=server"],
            ["--batch-mode", OUT_OF_DATE["maven"], "-Djib.requiredVersion=1.4.0", *head, "package", "jib:dockerBuild", "-Djib.containerize=server",
             f"-Dimage={tag}"]])

    def test_the_maven_daemon(self):
        project = self.jib("mvnd")
        tag = self.assertWell(project.skiff("build")).strip()
        self.assertEqual(self.words(project), [
            [OUT_OF_DATE["maven"], "-Djib.requiredVersion=1.4.0", "--non-recursive", "jib:_skaffold-files-v2", "--quiet", "--batch-mode"],
            ["--batch-mode", OUT_OF_DATE["maven"], "-Djib.requiredVersion=1.4.0", "--non-recursive", "prepare-package", "jib:dockerBuild", f"-Dimage={tag}"]])

    def test_an_image_of_the_project_as_base(self):
        base = f"skiff-e2e-base-{os.getpid()}"
        self.addCleanup(harness.remove_leftovers, base)
        project = self.jib("gradlew", "{fromImage: BASE}",
                           more=f"    requires: [{{image: {base}, alias: BASE}}]\n  - {{image: {base}, context: base}}\n")
        project.write("base/file", project.image)
        project.write("base/Dockerfile", "FROM scratch\nCOPY file /\n")
        built = self.assertWell(project.skiff("build")).split()
        tag = next(tag for tag in built if tag.startswith(base))
        self.assertIn(f"-Djib.from.image=docker://{tag}", self.words(project)[-1])

    def test_the_whole_loop_with_gradle(self):
        project = self.jib("gradlew")
        dev = self.dev(project, env=project.environment)
        dev.expect(CLASS, "ONE")
        self.rest(dev)
        self.words(project)

        mark = dev.mark()
        project.write("src/main/jib/direct-file", "changed")
        dev.expect("/direct-file", "changed")
        self.assertEqual(self.words(project), [])

        project.write(SOURCE, "two")
        dev.expect(CLASS, "TWO")
        self.rest(dev, mark)
        self.assertEqual([words[3] for words in self.words(project)], [":_jibSkaffoldSyncMap"])

        mark = dev.mark()
        project.write(SOURCE, "line\nline\nsyntax error\n")
        told = dev.wait("error", mark)
        self.assertIn(f"gradlew: {SOURCE}:3: error: ';' expected", told["message"])
        self.assertEqual(told["message"].count("expected"), 1)
        dev.expect(CLASS, "TWO")
        project.write(SOURCE, "three")
        dev.expect(CLASS, "THREE")
        self.assertCopied(dev, mark)

    def test_a_failed_build_is_told_in_its_words(self):
        project = self.jib("mvnw")
        project.write(SOURCE, "syntax error")
        done = project.skiff("build")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"mvnw: {SOURCE}:3:10: ';' expected", done.stderr.splitlines()[-1])

    def test_a_tool_that_is_not_there(self):
        project = self.jib("gradlew")
        project.remove("gradlew")
        done = project.skiff("build", PATH=str(project.programs))
        self.assertEqual(done.returncode, 1)
        self.assertIn("skaffold.yaml:5:", done.stderr)
        self.assertIn("there is no 'gradle' in PATH", done.stderr)
        self.assertEqual(pathlib.Path(project.calls).read_text(), "")
