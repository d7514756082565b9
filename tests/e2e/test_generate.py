"""Generators in the loop: what runs when, what is carried, what is kept, and what is said when a generator fails. The generators are
small shell commands; those of real build tools have tests of their own."""

import os
import signal
import subprocess

import harness
from harness import indent
from scenario import Scenario, on


def generated(command, inputs, *outputs, watch=False):
    """One entry of `generated`; outputs are (src, dest)."""
    sync = "".join(f"\n  - {{src: {src}, dest: {dest}}}" for src, dest in outputs)
    listed = ", ".join(f"'{one}'" for one in inputs)
    return f"- command: |\n{indent(command, 4)}  inputs: [{listed}]\n  watch: {'true' if watch else 'false'}\n  sync:{sync}\n"


def auto(*generators, **more):
    """`sync` of an artifact with these generators; more: other keys of `auto`, as YAML."""
    text = "auto:\n"
    for key, value in more.items():
        text += f"  {key}: {value}\n"
    return text + ("  generated:\n" + indent("".join(generators), 2) if generators else "")


# Upper case of src/*.txt into out/: an empty file is a syntax error.
UPPER = """set -e; mkdir -p out
for f in src/*.txt; do
  test -s "$f" || { echo "$f:1: error: it is empty" >&2; exit 1; }
  tr a-z A-Z <"$f" >"out/$(basename "$f")"
done
"""


class Generating(Scenario):
    def make(self, sync, files):
        """www is in the image; src and out are not."""
        project = self.site()
        for name, content in files.items():
            project.write(name, content)
        project.write(".dockerignore", "skaffold.yaml\nskiff.yaml\n")
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCMD {harness.STAY_COMMAND}\n")
        project.configure(sync)
        return project

    def upper(self, **files):
        files = {f"src/{name}.txt": text for name, text in (files or {"a": "one"}).items()}
        return self.make(auto(generated(UPPER, ["src/**"], ("out", "/gen"))), files)

    def runs(self, dev, since=0, **fields):
        return dev.count("generate", since, status="started", **fields)


class OneGenerator(Generating):
    def test_an_input_is_generated_and_the_output_carried(self):
        project = self.upper()
        dev = self.dev(project)
        mark = dev.mark()
        project.write("src/a.txt", "two")
        event = dev.wait("sync", mark, status="succeeded")
        self.assertEqual(dev.read("/gen/a.txt"), b"TWO")
        self.assertEqual([p["src"] for p in event["paths"]], ["out/a.txt"])
        self.assertGreater(event["ms"]["generate"], 0)
        self.assertEqual(event["generated"]["path"], "src/a.txt")
        dev.wait("decision", mark, decision="generate")
        dev.wait("idle", mark)
        self.assertCopied(dev, mark)
        self.assertEqual(self.runs(dev, mark), 1)

    def test_only_what_differs_is_carried(self):
        project = self.upper(a="one", b="bee", c="sea")
        dev = self.dev(project)
        mark = dev.mark()
        project.write("src/a.txt", "two")
        first = dev.wait("sync", mark, status="succeeded")
        self.assertEqual(first["files"], 3)  # the image has none of them
        mark = dev.mark()
        project.write("src/b.txt", "bees")
        second = dev.wait("sync", mark, status="succeeded")
        self.assertEqual([p["dest"] for p in second["paths"]], ["/gen/b.txt"])
        mark = dev.mark()
        os.chmod(project.path("out/c.txt"), 0o755)
        dev.eventually(lambda: dev.entry("/gen/c.txt").mode == 0o755, what="mode 0755")
        self.assertEqual(self.runs(dev, mark), 0)

    def test_a_failed_run_is_told_and_mended_by_the_next_save(self):
        project = self.upper(a="one", b="bee")
        dev = self.dev(project)
        project.write("src/a.txt", "two")
        dev.expect("/gen/a.txt", "TWO")
        mark = dev.mark()
        project.write("src/b.txt", "")
        failed = dev.wait("generate", mark, status="failed")
        self.assertIn("src/b.txt:1: error: it is empty", failed["message"])
        dev.wait("error", mark, about="generate")
        dev.wait("idle", mark, errors=1)
        dev.says("src/b.txt:1: error: it is empty")
        self.assertEqual(dev.read("/gen/b.txt"), b"BEE")
        mark = dev.mark()
        project.write("src/a.txt", "three")   # fails still, and nothing of it is carried
        dev.wait("generate", mark, status="failed")
        dev.wait("idle", mark, errors=1)
        self.assertEqual(dev.count("error", mark), 0)
        self.assertEqual(dev.read("/gen/a.txt"), b"TWO")
        mark = dev.mark()
        project.write("src/b.txt", "bees")
        dev.expect("/gen/b.txt", "BEES")
        dev.expect("/gen/a.txt", "THREE")
        dev.wait("idle", mark, errors=0)

    def test_files_links_and_folders_take_each_others_place(self):
        shapes = """rm -rf out; mkdir out; case $(cat src/a.txt) in
file) echo f >out/x; ln -s x out/d;;
folder) mkdir -p out/x/y out/d; echo in >out/x/y/z; echo in >out/d/f;;
link) ln -s nowhere out/x; echo back >out/d; mkfifo out/pipe;;
esac
"""
        project = self.make(auto(generated(shapes, ["src/**"], ("out", "/gen"))), {"src/a.txt": ""})
        dev = self.dev(project)
        for shape in ("file", "folder", "file", "link", "folder", "link"):
            mark = dev.mark()
            project.write("src/a.txt", shape)
            dev.wait("generate", mark, status="succeeded")
            self.rest(dev, mark)
            if os.path.exists(project.path("out/pipe")):
                project.remove("out/pipe")  # carried nowhere
            self.assertEqual(harness.difference(dev.tree("/gen"), harness.tree_of_directory(project.path("out"))), [])
            self.assertEqual(dev.count("error", mark), 0)
            self.rest(dev)

    def test_a_direct_file_is_copied_while_a_generator_fails(self):
        project = self.make(auto(generated(UPPER, ["src/**"], ("out", "/gen")), direct="[{src: 'www/**', dest: /srv, strip: www/}]"),
                            {"src/a.txt": "one"})
        dev = self.dev(project)
        mark = dev.mark()
        project.write("src/a.txt", "")
        dev.wait("idle", mark, errors=1)
        mark = dev.mark()
        project.write("www/index.html", "direct")
        dev.expect("/srv/index.html", "direct")
        dev.wait("idle", mark, errors=1)
        self.assertEqual(self.runs(dev, mark), 0)
        project.write("src/a.txt", "mended")
        dev.expect("/gen/a.txt", "MENDED")
        dev.wait("idle", mark, errors=0)


# Reads its input, waits while the file `closed` is there, then writes.
GATED = """text=$(cat src/a.txt); echo $$ >../pid
while [ -e ../closed ]; do sleep 0.02; done
mkdir -p out; echo "$text" >out/a.txt
"""


class WhileOneRuns(Generating):
    def gated(self):
        project = self.make(auto(generated(GATED, ["src/**"], ("out", "/gen"))), {"src/a.txt": "one"})
        project.closed = project.base / "closed"
        return project

    def start(self, project, dev, text):
        project.closed.touch()
        mark = dev.mark()
        project.write("src/a.txt", text)
        dev.wait("generate", mark, status="started")
        dev.eventually(lambda: (project.base / "pid").exists() and (project.base / "pid").read_text().strip(), what="a process")
        return mark

    def process(self, project):
        """True while the generator's process lives."""
        return os.path.exists(f"/proc/{(project.base / 'pid').read_text().strip()}")

    def test_a_save_is_planned_after_it(self):
        project = self.gated()
        dev = self.dev(project)
        mark = self.start(project, dev, "two")
        project.write("src/a.txt", "three")
        dev.wait("change", mark, paths=lambda paths: True)
        project.closed.unlink()
        dev.expect("/gen/a.txt", "three\n")
        self.rest(dev, mark)
        self.assertLessEqual(self.runs(dev, mark), 2)
        self.assertCopied(dev, mark)

    def test_a_rebuild_ends_it(self):
        """And what it was for is not lost: the image does not hold it."""
        project = self.gated()
        dev = self.dev(project)
        self.start(project, dev, "two")
        mark = dev.mark()
        with open(project.path("Dockerfile"), "a") as file:
            file.write("LABEL more=1\n")
        dev.wait("build", mark, status="started")
        dev.eventually(lambda: not self.process(project), what="the end of the process")
        project.closed.unlink()
        dev.expect("/gen/a.txt", "two\n")
        self.rest(dev, mark)

    def test_ctrl_c_leaves_no_process(self):
        project = self.gated()
        dev = self.dev(project)
        self.start(project, dev, "two")
        self.assertTrue(self.process(project))
        self.assertEqual(dev.end(), 130)
        self.assertFalse(self.process(project))

    def test_a_new_file_that_is_deleted_again(self):
        """A generator may have read it: what it made of it lies there."""
        project = self.gated()
        dev = self.dev(project)
        mark = self.start(project, dev, "two")
        project.write("src/b.txt", "new")
        dev.wait("change", mark, paths=lambda paths: any(p["path"] == "src/b.txt" for p in paths))
        project.closed.unlink()
        dev.expect("/gen/a.txt", "two\n")
        self.rest(dev, mark)
        mark = dev.mark()
        project.remove("src/b.txt")
        dev.wait("decision", mark, decision="rebuild")


    def test_saved_during_each_run(self):
        """A person who saves quickly is no generator that feeds itself."""
        project = self.gated()
        dev = self.dev(project)
        mark = self.start(project, dev, "0")
        for round_ in range(1, 5):
            before = dev.mark()
            project.write("src/a.txt", str(round_))
            dev.wait("change", before)
            started = dev.mark()
            project.closed.unlink()
            dev.wait("generate", before, status="succeeded")
            if round_ < 4:
                project.closed.touch()
                dev.wait("generate", started, status="started")
        dev.expect("/gen/a.txt", "4\n")
        self.rest(dev, mark)
        self.assertEqual(dev.count("error", mark), 0)

    def test_a_hook_that_writes_inputs_of_a_build_that_fails(self):
        """Nobody saves: it is not built again and again."""
        project = self.site(harness.AUTO)
        project.write("skaffold.yaml", project.file("skaffold.yaml").read_text().replace(
            "deploy:", "    hooks: {before: [{command: [sh, -c, 'date +%N >www/stamp']}]}\ndeploy:"))
        with open(project.path("Dockerfile"), "a") as file:
            file.write("COPY missing /missing\n")
        dev = self.dev(project, wait=False)
        dev.wait("error", about="hook")
        self.rest(dev)
        self.assertLess(dev.count("build", status="failed"), 8)
        project.write("missing", "there")
        dev.wait("ready")
        dev.expect("/missing", "there")


class ByOthers(Generating):
    def test_what_an_ide_writes_is_carried_without_a_run(self):
        project = self.upper()
        dev = self.dev(project)
        project.write("src/a.txt", "two")
        dev.expect("/gen/a.txt", "TWO")
        self.rest(dev)
        mark = dev.mark()
        project.write("out/a.txt", "by an IDE")
        dev.expect("/gen/a.txt", "by an IDE")
        self.rest(dev, mark)
        self.assertEqual((self.runs(dev, mark), dev.count("sync", mark)), (0, 1))
        mark = dev.mark()
        project.replace("out/a.txt", "by an IDE")   # the same again
        self.rest(dev, mark)
        self.assertEqual((self.runs(dev, mark), dev.count("sync", mark)), (0, 0))
        mark = dev.mark()
        project.write("src/a.txt", "three")
        dev.expect("/gen/a.txt", "THREE")
        self.rest(dev, mark)
        self.assertEqual((self.runs(dev, mark), dev.count("sync", mark)), (1, 1))

    def test_a_clean_right_after_a_run_tears_nothing(self):
        """What it removed before it could be kept is made again: never a mixture of two versions."""
        many = "rm -rf out; mkdir out; for i in $(seq 400); do cp src/a.txt out/$i; done"
        project = self.make(auto(generated(many, ["src/**"], ("out", "/gen"))), {"src/a.txt": "one"})
        dev = self.dev(project)
        for text in ("two", "three"):
            mark = dev.mark()
            project.write("src/a.txt", text)
            dev.wait("generate", mark, status="succeeded")
            project.rename("out", f"../{text}")
            self.rest(dev, mark)
            found = [entry.content.decode() for entry in dev.tree("/gen").values()]
            self.assertEqual((len(found), set(found)), (400, {text}))

    @on("docker")
    def test_a_clean_takes_nothing_from_a_new_container(self):
        project = self.upper(a="one", b="bee")
        dev = self.dev(project)
        project.write("src/a.txt", "two")
        dev.expect("/gen/b.txt", "BEE")
        self.rest(dev)
        mark = dev.mark()
        project.remove("out")
        dev.wait("change", mark)
        self.rest(dev, mark)
        self.assertEqual(dev.read("/gen/a.txt"), b"TWO")
        harness.docker("rm", "-f", dev.container())
        dev.expect("/gen/a.txt", "TWO")
        dev.expect("/gen/b.txt", "BEE")

    def test_a_new_image_gets_what_was_generated(self):
        project = self.upper()
        dev = self.dev(project)
        project.write("src/a.txt", "two")
        dev.expect("/gen/a.txt", "TWO")
        mark = dev.mark()
        with open(project.path("Dockerfile"), "a") as file:
            file.write("LABEL more=1\n")
        dev.wait("deploy", mark, status="succeeded")
        dev.expect("/gen/a.txt", "TWO")
        self.rest(dev, mark)
        mark = dev.mark()
        with open(project.path("Dockerfile"), "a") as file:
            file.write("LABEL more=2\n")
        project.write("src/a.txt", "three")
        dev.wait("deploy", mark, status="succeeded")
        dev.expect("/gen/a.txt", "THREE")


class Several(Generating):
    def test_one_that_reads_what_another_makes(self):
        """Both run in one round; the second only where the first's output changed."""
        first = generated("mkdir -p mid; cut -c1-3 src/a.txt >mid/a.txt", ["src/**"], ("mid/a.txt", "/gen/mid.txt"))
        second = generated("mkdir -p out; tr a-z A-Z <mid/a.txt >out/a.txt", ["mid/**"], ("out/a.txt", "/gen/out.txt"))
        project = self.make(auto(second, first), {"src/a.txt": "onetwo\n"})
        dev = self.dev(project)
        mark = dev.mark()
        project.write("src/a.txt", "threefour\n")
        dev.wait("sync", mark, status="succeeded")
        self.assertEqual((dev.read("/gen/mid.txt"), dev.read("/gen/out.txt")), (b"thr\n", b"THR\n"))
        self.rest(dev, mark)
        self.assertEqual((self.runs(dev, mark), dev.count("sync", mark)), (2, 1))
        mark = dev.mark()
        project.write("src/a.txt", "three\n")   # the first three letters are the same
        dev.wait("generate", mark, status="succeeded")
        self.rest(dev, mark)
        self.assertEqual((self.runs(dev, mark), dev.count("sync", mark)), (1, 0))

    def test_one_that_writes_what_it_reads(self):
        project = self.make(auto(generated("date +%N >>src/log.txt; cp src/a.txt out.txt", ["src/**"], ("out.txt", "/gen.txt"))),
                            {"src/a.txt": "one", "src/log.txt": ""})
        dev = self.dev(project)
        mark = dev.mark()
        project.write("src/a.txt", "two")
        error = dev.wait("error", mark, about="generate")
        self.assertRegex(error["message"], r"src/log\.txt changes each time that '.*' runs.*ignored")
        self.rest(dev, mark)
        self.assertLess(self.runs(dev, mark), 8)
        self.assertEqual(dev.read("/gen.txt"), b"two")

    def test_a_program_that_runs_for_ever(self):
        watcher = """mkdir -p out; echo $$ >../pid; trap 'rm -f ../pid; exit 0' TERM
last=; while :; do
  now=$(cat src/*.txt); if [ "$now" != "$last" ]; then last=$now; rm -f out/*
    for f in src/*.txt; do cp "$f" "out/$(basename "$f")"; done; fi; sleep 0.05
done
"""
        project = self.make(auto(generated(watcher, ["src/**"], ("out", "/gen"), watch=True)), {"src/a.txt": "one", "src/b.txt": "bee"})
        dev = self.dev(project)
        project.write("src/a.txt", "two")
        dev.expect("/gen/a.txt", "two")
        dev.expect("/gen/b.txt", "bee")
        mark = dev.mark()
        project.write("src/a.txt", "three")
        project.remove("src/b.txt")
        dev.expect("/gen/a.txt", "three")
        dev.expect("/gen/b.txt", None)
        self.assertEqual(dev.count("build", mark), 0)
        pid = (project.base / "pid").read_text().strip()
        os.kill(int(pid), signal.SIGKILL)
        project.write("src/a.txt", "four")
        dev.expect("/gen/a.txt", "four")   # started again
        pid = (project.base / "pid").read_text().strip()
        self.assertEqual(dev.end(), 130)
        self.assertFalse(os.path.exists(f"/proc/{pid}"))

    def test_a_program_that_dies_again_and_again(self):
        project = self.make(auto(generated("echo no config >&2; test -e ../fixed || exit 3; sleep 1000", ["src/**"], ("out", "/gen"), watch=True)),
                            {"src/a.txt": "one"})
        dev = self.dev(project)
        error = dev.wait("error", about="generate")
        self.assertIn("no config", error["message"])
        (project.base / "fixed").touch()
        dev.eventually(lambda: dev.events[-1]["type"] == "idle" and dev.events[-1]["errors"] == 0, what="no error")


MAP = """echo BEGIN SYNCMAP/1
python3 - <<'END'
import json, os
os.makedirs("out", exist_ok=True)
entries = []
for name in sorted(os.listdir("src")):
    text = open("src/" + name).read()
    if os.path.exists("out/" + name) and open("out/" + name).read() == text.upper():
        pass
    else:
        open("out/" + name, "w").write(text.upper())
    if not text.startswith("hidden"):
        entries.append({"src": "out/" + name, "dest": "/gen/" + name, "mode": "0640"})
print(json.dumps({"generated": entries, "direct": [{"src": "www", "dest": "/srv"}]}))
END
"""


class Maps(Generating):
    def map(self, command=MAP, **files):
        files = {f"src/{name}.txt": text for name, text in (files or {"a": "one", "b": "bee"}).items()}
        files["map"] = "#!/bin/sh\nset -e\necho run >>../runs\n" + command
        project = self.make("auto:\n  map: {command: [sh, ./map], inputs: ['src/**']}", files)
        project.runs = project.base / "runs"
        return project

    def test_a_map_is_asked_and_obeyed(self):
        project = self.map()
        dev = self.dev(project)
        self.rest(dev)
        self.assertEqual(project.runs.read_text().split(), ["run"])   # before the first build: what it makes may go into the image
        mark = dev.mark()
        project.write("www/index.html", "direct")
        dev.expect("/srv/index.html", "direct")
        self.rest(dev, mark)
        self.assertEqual(self.runs(dev, mark), 0)
        mark = dev.mark()
        project.write("src/a.txt", "two")
        dev.expect("/gen/a.txt", "TWO")
        self.assertEqual(dev.entry("/gen/a.txt").mode, 0o640)
        self.rest(dev, mark)
        self.assertCopied(dev, mark)
        self.assertEqual(self.runs(dev, mark), 1)
        mark = dev.mark()
        project.write("src/new.txt", "new")
        dev.expect("/gen/new.txt", "NEW")
        project.write("src/b.txt", "hidden now")
        dev.expect("/gen/b.txt", None)
        self.rest(dev, mark)
        self.assertCopied(dev, mark)

    def test_a_second_start_asks_nothing(self):
        project = self.map()
        first = self.dev(project)
        first.wait("idle")
        first.end()
        second = self.dev(project, state=first.state)
        self.rest(second)
        self.assertEqual(project.runs.read_text().split(), ["run"])
        second.end()

    def test_a_rebuild_that_is_asked_for(self):
        project = self.map("if grep -q again src/a.txt; then echo REBUILD the generator changed; exit; fi\n" + MAP)
        dev = self.dev(project)
        dev.wait("idle")
        mark = dev.mark()
        project.write("src/a.txt", "again")
        dev.wait("decision", mark, decision="rebuild", reason="the generator changed")
        dev.wait("build", mark, status=lambda s: s in ("succeeded", "cached"))
        self.rest(dev, mark)

    def test_tar(self):
        script = """#!/bin/sh
set -e; grep -q again src/a.txt && { echo REBUILD; exit; }
rm -rf stage; mkdir -p stage/gen/deep; tr a-z A-Z <src/a.txt >stage/gen/deep/a.txt; chmod 0600 stage/gen/deep/a.txt
tar -C stage -cf ../delta.tar gen; rm -rf stage; echo "SYNC: ../delta.tar"
"""
        project = self.make("auto:\n  ignored: ['stage/**']\n  tar: {command: [sh, ./delta], inputs: ['src/**']}",
                            {"src/a.txt": "one", "delta": script})
        dev = self.dev(project)
        mark = dev.mark()
        project.write("src/a.txt", "two")
        dev.expect("/gen/deep/a.txt", "TWO")
        self.assertEqual(dev.entry("/gen/deep/a.txt").mode, 0o600)
        self.rest(dev, mark)
        self.assertCopied(dev, mark)
        mark = dev.mark()
        project.write("src/a.txt", "again")
        dev.wait("decision", mark, decision="rebuild")
        dev.wait("build", mark, status=lambda s: s in ("succeeded", "cached"))


class TwoArtifacts(Generating):
    def pair(self, files, *generators):
        """Two artifacts of one context, with a generator each."""
        project = self.make(auto(), files)
        other = f"{project.image}-too"
        self.addCleanup(harness.remove_leftovers, other) if self.on_docker else None
        artifacts = ""
        for image, generator in zip((project.image, other), generators):
            artifacts += f"  - image: {image}\n    sync:\n{indent(auto(generator), 6)}"
        project.write("skaffold.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifacts:\n" + artifacts +
                      f"deploy:\n  docker: {{images: [{project.image}, {other}]}}\n")
        return project, other

    def test_one_context_one_at_a_time(self):
        """Both read the same file; no two generators are ever at work together, and both arrive."""
        alone = "mkdir ../busy || echo together >>../together\nmkdir -p out; cp src/a.txt out/%s; rmdir ../busy\n"
        project, other = self.pair(
            {"src/a.txt": "one"},
            *(generated(alone % name, ["src/**"], (f"out/{name}", f"/gen/{name}")) for name in ("first", "second")))
        dev = self.dev(project)
        for text in ("two", "three"):
            mark = dev.mark()
            project.write("src/a.txt", text)
            for image in (project.image, other):
                dev.wait("sync", mark, image=image, status="succeeded")
            self.rest(dev, mark)
        self.assertEqual(self.runs(dev), 4)
        self.assertFalse((project.base / "together").exists())

    def test_what_is_written_while_the_other_works_waits(self):
        """It may be half of what the tool at work writes; it is carried when that has ended, and nothing else is held up."""
        project, other = self.pair(
            {"mine/a.txt": "one", "other/b.txt": "one"},
            generated("mkdir -p made; cp mine/a.txt made/a.txt\n", ["mine/**"], ("made", "/gen")),
            generated("while [ -e ../closed ]; do sleep 0.02; done; mkdir -p out; cp other/b.txt out/b.txt\n", ["other/**"], ("out", "/gen")))
        dev = self.dev(project)
        mark = dev.mark()
        project.write("mine/a.txt", "two")
        dev.wait("sync", mark, image=project.image, status="succeeded")
        self.rest(dev, mark)
        closed = project.base / "closed"
        closed.touch()
        mark = dev.mark()
        project.write("other/b.txt", "two")
        dev.wait("generate", mark, image=other, status="started")
        project.write("made/a.txt", "an IDE's")
        dev.wait("change", mark, paths=lambda paths: any(one["path"].endswith("made/a.txt") for one in paths))
        project.write("www/page", "copied at once")
        event = dev.wait("sync", mark, image=project.image, status="succeeded")
        self.assertEqual([one["src"] for one in event["paths"]], ["www/page"])
        closed.unlink()
        dev.wait("generate", mark, image=other, status="succeeded")
        dev.wait("sync", mark, image=project.image, paths=lambda paths: [one["dest"] for one in paths] == ["/gen/a.txt"])
        self.rest(dev, mark)
        self.assertEqual(self.runs(dev, mark, image=project.image), 0)
