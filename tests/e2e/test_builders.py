"""ko and buildpacks. ko is the real one where it is installed. pack needs a registry for its builder: in its place stands a program that
records its words and makes a real image with the label that buildpacks make."""

import json
import os
import shutil
import unittest

import harness
from harness import STAY_COMMAND
from scenario import Scenario, on

PACK = """#!/bin/sh
printf '%s\\n' "$@" >>"{base}/pack-words"
echo ===== >>"{base}/pack-words"
exec docker build -q -t "$2" -f "{base}/Dockerfile" --label "io.buildpacks.build.metadata=$(cat "{base}/label")" "{root}"
"""

KO_MAIN = """package main

import "time"

func main() { for { time.Sleep(time.Hour) } }
"""


@on("docker")
class Buildpacks(Scenario):
    RULES = [{"src": "web/**", "dest": "/workspace/web", "strip": "web/"}, {"src": "*.txt", "dest": "texts"}]

    def packed(self, label=None, more=""):
        project = self.project()
        project.write("bin/.of", project.image)
        shutil.copy(harness.BUSYBOX, project.path("bin/busybox"))
        os.symlink("busybox", project.path("bin/rm"))
        project.write("web/index.html", "first")
        project.write("main.c", "first")
        project.write("../Dockerfile", "FROM scratch\nCOPY bin /bin\nWORKDIR /workspace\nCOPY web /workspace/web\n"
                      f"COPY main.c /workspace/\nCMD {STAY_COMMAND}\n")
        project.write("../label", label or json.dumps({"bom": [{"metadata": {"devmode.sync": self.RULES}}]}))
        project.write("../tools/pack", PACK.format(base=project.base, root=project.root), 0o755)
        project.write("skaffold.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifacts:\n"
                      f"  - image: {project.image}\n    buildpacks: {{builder: some/builder{more}}}\n"
                      f"deploy:\n  docker: {{images: [{project.image}]}}\n")
        return project

    def packing(self, project):
        return self.dev(project, env={"PATH": f"{project.base}/tools:{os.environ['PATH']}"})

    def test_the_rules_of_the_label_are_synced(self):
        project = self.packed()
        dev = self.packing(project)
        mark = dev.mark()
        project.write("web/index.html", "second")
        dev.expect("/workspace/web/index.html", "second")
        project.write("web/a/new.html", "new", 0o640)
        dev.expect("/workspace/web/a/new.html", "new")
        project.rename("web/a/new.html", "web/a/moved.html")
        dev.expect("/workspace/web/a/moved.html", "new")
        dev.expect("/workspace/web/a/new.html", None)
        os.chmod(project.path("web/a/moved.html"), 0o755)
        dev.eventually(lambda: dev.entry("/workspace/web/a/moved.html").mode == 0o755, what="mode 0755")
        project.remove("web/a")
        dev.eventually(lambda: b"a" not in dev.tree("/workspace/web"), what="no folder a")
        project.write("hello.txt", "below the WORKDIR")
        dev.expect("/workspace/texts/hello.txt", "below the WORKDIR")
        self.assertCopied(dev, mark)

    def test_what_no_rule_matches_is_a_rebuild_and_the_new_image_is_asked(self):
        project = self.packed()
        dev = self.packing(project)
        rules = [{"src": "main.c", "dest": "/workspace"}]
        project.write("../label", json.dumps({"bom": [{"metadata": {"devmode.sync": rules}}]}))
        mark = dev.mark()
        project.write("main.c", "second")
        dev.wait("decision", mark, decision="rebuild")
        dev.wait("deploy", mark, status="succeeded")
        dev.expect("/workspace/main.c", "second")
        mark = dev.mark()
        project.write("main.c", "third")
        dev.expect("/workspace/main.c", "third")
        self.assertCopied(dev, mark)

    def test_a_label_that_is_no_json_is_told_and_every_change_rebuilds(self):
        project = self.packed(label="{")
        dev = self.packing(project)
        dev.says("io.buildpacks.build.metadata")
        mark = dev.mark()
        project.write("web/index.html", "second")
        dev.wait("decision", mark, decision="rebuild")
        dev.expect("/workspace/web/index.html", "second")

    def test_the_words_for_pack(self):
        project = self.packed(more=", runImage: some/run, env: ['A={{.IMAGE_NAME}}'], buildpacks: [one, two], trustBuilder: true, "
                              "clearCache: true, volumes: [{host: /h, target: /t, options: ro}]")
        project.write("project.toml", "")
        self.packing(project)
        words = (project.base / "pack-words").read_text().split("\n=====\n")[0].split("\n")
        self.assertEqual(words, [
            "build", f"{project.image}:latest", "--no-color", "--path", str(project.root), "--builder", "some/builder", "--run-image",
            "some/run", "--pull-policy", "if-not-present", "--trust-builder", "--clear-cache", "--descriptor",
            str(project.root / "project.toml"), "--buildpack", "one", "--buildpack", "two", "--volume", "/h:/t:ro", "--env",
            "GOOGLE_DEVMODE=1", "--env", f"A={project.image}"])


# Maven with Jib, as far as skiff sees it: each goal writes below target/ while it works, and a source with the word "broken" does not compile.
MVNW = """#!/bin/sh
set -e
cd "$(dirname "$0")"
root=$(pwd)
echo "$*" >>../maven-words
case "$*" in *_skaffold-files-v2*)
  printf 'BEGIN JIB JSON\\n{"build":["%s/pom.xml"],"inputs":["%s/src/main/java"],"ignore":[]}\\n' "$root" "$root"
  exit;;
esac
mkdir -p target/classes target/maven-status
date +%N >target/maven-status/inputs.lst
if grep -rn broken src/main/java; then
  rm -rf target/classes/*
  echo "[ERROR] COMPILATION ERROR : "
  echo "[ERROR] $root/src/main/java/A.java:[1,1] ';' expected"
  echo "[INFO] BUILD FAILURE"
  exit 1
fi
for one in src/main/java/*.java; do tr a-z A-Z <"$one" >"target/classes/$(basename "$one" .java).class"; done
case "$*" in
*_skaffold-sync-map*)
  echo "BEGIN JIB JSON: SYNCMAP/1"
  printf '{"generated":['
  comma=
  for one in target/classes/*; do
    printf '%s{"src":"%s/%s","dest":"/app/classes/%s"}' "$comma" "$root" "$one" "$(basename "$one")"
    comma=,
  done
  printf '],"direct":[]}\\n';;
*dockerBuild*)
  for word in "$@"; do case "$word" in -Dimage=*) docker build -q -t "${word#-Dimage=}" -f ../Dockerfile "$root";; esac; done
  touch ../built; while [ -e ../closed ]; do sleep 0.02; done;;
esac
"""


@on("docker")
class Maven(Scenario):
    def java(self, text):
        project = self.project()
        project.write("bin/.of", project.image)
        shutil.copy(harness.BUSYBOX, project.path("bin/busybox"))
        os.symlink("busybox", project.path("bin/rm"))
        project.write("pom.xml", "<project/>")
        project.write("src/main/java/A.java", text)
        project.write("mvnw", MVNW, 0o755)
        project.write("../Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY target/classes /app/classes\nCMD {STAY_COMMAND}\n")
        project.write("skaffold.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifacts:\n"
                      f"  - image: {project.image}\n    jib: {{}}\n    sync: {{auto: true}}\n"
                      f"deploy:\n  docker: {{images: [{project.image}]}}\n")
        return project

    def goals(self, project):
        return (project.base / "maven-words").read_text().splitlines()

    def failed(self, dev, project, goals):
        """Told once, in the compiler's words; and nothing that Maven wrote builds again."""
        self.rest(dev)
        self.assertEqual(dev.count("build", status="started"), 1)
        self.assertEqual(len(self.goals(project)), goals)
        failed = dev.wait("build", status="failed")
        self.assertIn("src/main/java/A.java:", failed["message"])
        dev.says("the next change builds again")
        self.assertEqual(dev.text().count("';' expected"), 1)
        self.assertNotIn("BUILD FAILURE", dev.text())

    def test_a_first_build_that_fails_waits_for_a_save(self):
        project = self.java("broken")
        dev = self.dev(project, wait=False)
        self.failed(dev, project, 2)
        mark = dev.mark()
        project.write("target/classes/B.class", "by an IDE")   # and so does nothing that others write there
        project.write("README.md", "read")
        self.rest(dev)
        self.assertEqual(dev.count("build", mark), 0)
        project.write("src/main/java/A.java", "mended")
        dev.wait("ready", mark)
        dev.expect("/app/classes/A.class", "MENDED")

    def test_a_first_build_that_fails_where_a_map_is_kept(self):
        project = self.java("first")
        dev = self.dev(project)
        self.rest(dev)
        dev.end()
        (project.base / "maven-words").unlink()
        project.write("src/main/java/A.java", "broken")
        again = self.dev(project, state=dev.state, wait=False)
        self.failed(again, project, 1)
        mark = again.mark()
        project.write("target/classes/A.class", "by an IDE")
        again.wait("change", mark)
        self.rest(again, mark)
        self.assertEqual(again.count("build", mark), 0)
        project.write("src/main/java/A.java", "second")
        again.wait("ready", mark)
        again.expect("/app/classes/A.class", "SECOND")

    def test_a_build_that_fails_carries_nothing_of_what_it_made(self):
        project = self.java("first")
        dev = self.dev(project)
        self.rest(dev)
        mark = dev.mark()
        project.write("src/main/java/A.java", "broken")
        project.write("pom.xml", "<project><!-- another --></project>")
        dev.wait("build", mark, status="failed")
        self.rest(dev, mark)
        self.assertEqual(dev.count("build", mark, status="started"), 1)
        self.assertEqual(dev.read("/app/classes/A.class"), b"FIRST")
        project.write("src/main/java/A.java", "second")
        dev.expect("/app/classes/A.class", "SECOND")
        self.rest(dev)
        self.assertEqual(dev.count("build", mark, status="started"), 2)

    def test_saved_and_compiled_by_an_ide_before_the_build_ends(self):
        """The class is older than the end of the build, and yet the image does not hold it."""
        project = self.java("first")
        (project.base / "closed").touch()
        dev = self.dev(project, wait=False)
        dev.eventually((project.base / "built").exists, what="the image")
        project.write("src/main/java/A.java", "second")
        project.write("target/classes/A.class", "SECOND")
        dev.wait("change", paths=lambda paths: any(one["path"].endswith("A.java") for one in paths))
        (project.base / "closed").unlink()
        dev.expect("/app/classes/A.class", "SECOND")
        self.rest(dev)


@on("docker")
@unittest.skipUnless(shutil.which("ko") and shutil.which("go"), "ko is not installed")
class Ko(Scenario):
    def test_kodata_is_synced_and_go_code_is_rebuilt(self):
        project = self.project()
        base = f"ko.local/{project.image}:base"
        project.write("base/bin/.of", project.image)
        shutil.copy(harness.BUSYBOX, project.path("base/bin/busybox"))
        os.symlink("busybox", project.path("base/bin/rm"))
        project.write("base/Dockerfile", "FROM scratch\nCOPY bin /bin\n")
        harness.docker("build", "-q", "-t", base, str(project.root / "base"))
        project.write("app/go.mod", f"module example.com/{project.image}\n\ngo 1.19\n")
        command = f"app/cmd/{project.image}"  # the images that ko leaves are named after it
        project.write(f"{command}/main.go", KO_MAIN)
        project.write(f"{command}/kodata/index.html", "first")
        project.write("skaffold.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifacts:\n"
                      f"  - image: {project.image}\n    context: app\n    sync: {{infer: ['**/*.html']}}\n"
                      f"    ko: {{main: ./cmd/{project.image}, fromImage: '{base}', ldflags: ['-s', '-w'], flags: [-trimpath], labels: {{a: b}}}}\n"
                      f"deploy:\n  docker: {{images: [{project.image}]}}\n")
        dev = self.dev(project)
        self.assertEqual(dev.read("/var/run/ko/index.html"), b"first")
        mark = dev.mark()
        project.write(f"{command}/kodata/index.html", "second")
        project.write(f"{command}/kodata/a/new.html", "new", 0o600)
        dev.expect("/var/run/ko/index.html", "second")
        dev.expect("/var/run/ko/a/new.html", "new")
        self.assertEqual(dev.entry("/var/run/ko/a/new.html").mode, 0o555)
        project.remove(f"{command}/kodata/a")
        dev.eventually(lambda: b"a" not in dev.tree("/var/run/ko"), what="no folder a")
        self.assertCopied(dev, mark)
        labels = json.loads(harness.docker("inspect", "-f", "{{json .Config.Labels}}", dev.container()))
        self.assertEqual(labels["a"], "b")
        mark = dev.mark()
        project.write(f"{command}/main.go", KO_MAIN + "// changed\n")
        dev.wait("decision", mark, decision="rebuild")
        dev.wait("deploy", mark, status="succeeded")
        self.assertEqual(dev.read("/var/run/ko/index.html"), b"second")
