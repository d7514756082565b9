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
