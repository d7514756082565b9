"""Auto sync with build tools other than Jib: the examples for real, and each thing that a generator, a map or a tar program may do, with
programs of a line or two."""

import os
import shutil
import socket
import subprocess
import time

import harness
from harness import BUSYBOX, STAY_COMMAND, Failure, change, docker, indent
from scenario import Scenario, on


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


class Example(Scenario):
    def example(self, name, port):
        project = self.project().example(name)
        if not self.on_docker:  # the program has the machine's own ports
            change(project.file("Dockerfile"), port, free_port())
        return project

    def started(self, project, **more):
        dev = self.dev(project, **more)
        self.rest(dev)
        return dev

    def generated(self, dev, mark):
        """Since the mark something was generated and carried, and nothing was built."""
        dev.wait("generate", mark, status="succeeded")
        self.rest(dev, mark)
        self.assertCopied(dev, mark)

    def rebuilt(self, dev, mark, deciding):
        dev.wait("build", mark, timeout=120, status="succeeded")
        self.rest(dev, mark)
        self.assertEqual(dev.wait("decision", mark, decision="rebuild")["deciding"]["path"], deciding)

    def breaks(self, dev, mark, words):
        """A failed generator: told once, in the tool's own words, and standing."""
        error = dev.wait("error", mark)
        self.assertIn(words, error["message"])
        dev.says(words)
        self.rest(dev, mark)
        self.assertEqual(dev.wait("idle", mark)["errors"], 1)
        self.assertEqual(dev.count("error", mark), 1)


class CServer(Example):
    def test_the_whole_loop(self):
        project = self.example("c-server", "8087")
        dev = self.started(project)
        self.answers(dev, "Hello from C\n", "/greeting")
        mark, header, pages = dev.mark(), project.file("src/pages.h"), project.file("src/pages.c")

        change(header, "Hello from C", "Hello again")
        self.answers(dev, "Hello again\n", "/greeting")
        self.generated(dev, mark)

        project.write("src/thanks.h", '#define THANKS "Thank you"\n')
        change(pages, '#include "pages.h"', '#include "pages.h"\n#include "thanks.h"')
        change(pages, "GREETING)", "THANKS)")
        self.answers(dev, "Thank you\n", "/greeting")
        project.rename("src/thanks.h", "src/thank.h")
        change(pages, "thanks.h", "thank.h")
        change(pages, "THANKS)", 'THANKS " again")')
        self.answers(dev, "Thank you again\n", "/greeting")

        self.rest(dev)
        mark = dev.mark()
        project.write("public/new page.html", "<p>new</p>\n", mode=0o640)
        dev.expect("/srv/public/new page.html", "<p>new</p>\n")
        dev.eventually(lambda: dev.entry("/srv/public/new page.html").mode == 0o640, what="its mode")
        os.chmod(project.path("public/new page.html"), 0o755)
        dev.eventually(lambda: dev.entry("/srv/public/new page.html").mode == 0o755, what="the new mode")
        self.rest(dev)
        self.assertCopied(dev, mark)
        self.assertEqual(dev.count("generate", mark), 0)

        self.what_fails(dev, project, pages)
        self.what_is_a_rebuild(dev, project)
        self.assertEqual(dev.end(), 130)
        self.assertNothingLeft(project)

    def what_fails(self, dev, project, pages):
        mark = dev.mark()
        change(pages, 'THANKS " again");', 'THANKS " again")')
        self.breaks(dev, mark, "error: expected")
        self.assertIn("src/pages.c", dev.wait("error", mark)["message"])
        self.assertEqual(self.ask(dev, "/greeting"), "Thank you again\n")
        # Saved while it is broken: nothing of it is lost.
        mark = dev.mark()
        project.write("src/thank.h", '#define THANKS "Mended"\n')
        dev.wait("generate", mark, status="failed")
        self.rest(dev, mark)
        self.assertEqual(dev.count("error", mark), 0)  # it stands: nothing new
        mark = dev.mark()
        change(pages, 'THANKS " again")', 'THANKS " well");')
        self.answers(dev, "Mended well\n", "/greeting")
        self.rest(dev, mark)
        self.assertEqual(dev.wait("idle", mark)["errors"], 0)
        self.assertCopied(dev, mark)

    def what_is_a_rebuild(self, dev, project):
        mark = dev.mark()
        change(project.file("Dockerfile"), "COPY public", "ENV REBUILT=1\nCOPY public")
        self.rebuilt(dev, mark, "Dockerfile")
        self.answers(dev, "Mended well\n", "/greeting")
        mark = dev.mark()
        project.remove("public/new page.html")
        self.rebuilt(dev, mark, "public/new page.html")
        self.assertIsNone(dev.read("/srv/public/new page.html"))

    def test_what_changed_while_nobody_looked_is_made_at_the_start(self):
        project = self.example("c-server", "8087")
        dev = self.started(project)
        self.answers(dev, "Hello from C\n", "/greeting")
        dev.end()
        change(project.file("src/pages.h"), "Hello from C", "Hello anew")
        again = self.started(project, state=dev.state)
        self.answers(again, "Hello anew\n", "/greeting")


class ShellMap(Example):
    def walk(self, dev, project, carried):
        self.answers(dev, lambda answer: answer and "made by a shell script" in answer)
        mark = dev.mark()
        change(project.file("pages/index.txt"), "made by", "written by")
        self.answers(dev, lambda answer: answer and "written by a shell script" in answer)
        self.generated(dev, mark)
        dests = {path["dest"] for event in dev.events[mark:] if event["type"] == "sync" for path in event["paths"]}
        self.assertLessEqual(dests, carried)

        project.write("pages/a new one.txt", "<h1>New</h1>\n")
        self.answers(dev, lambda answer: answer and "<h1>New</h1>" in answer, "/a%20new%20one.html")
        change(project.file("frame/head.html"), '"en"', '"cy"')
        self.answers(dev, lambda answer: answer and '"cy"' in answer, "/a%20new%20one.html")
        self.answers(dev, lambda answer: answer and '"cy"' in answer, "/about.html")
        self.rest(dev)
        self.assertCopied(dev, mark)

    def what_is_a_rebuild(self, dev, project):
        mark = dev.mark()
        project.remove("pages/a new one.txt")
        self.rebuilt(dev, mark, "pages/a new one.txt")
        self.assertIsNone(dev.read("/srv/a new one.html"))
        mark = dev.mark()
        change(project.file("httpd.conf"), "text/plain", "text/x-plain")
        dev.wait("build", mark, status="succeeded")
        self.rest(dev, mark)
        dev.says("the server reads httpd.conf only when it starts")
        self.assertIn(b"text/x-plain", dev.read("/etc/httpd.conf"))

    def test_map(self):
        project = self.example("shell-map", "8088")
        dev = self.started(project)
        self.walk(dev, project, {"/srv/index.html"})
        mark = dev.mark()
        project.write("assets/style.css", "body { color: green; }\n")
        self.answers(dev, "body { color: green; }\n", "/assets/style.css")
        self.rest(dev, mark)
        self.assertEqual(dev.count("generate", mark), 0)
        self.assertCopied(dev, mark)
        mark = dev.mark()
        change(project.file("tools/make-site"), "cat frame/foot.html;", "cat no-such-file;")
        project.write("pages/about.txt", "unheard\n")
        self.breaks(dev, mark, "no-such-file")
        self.assertNotIn("unheard", self.ask(dev, "/about.html"))
        mark = dev.mark()
        change(project.file("tools/make-site"), "cat no-such-file;", "cat frame/foot.html;")
        project.write("pages/about.txt", "heard\n")
        self.answers(dev, lambda answer: answer and "heard" in answer, "/about.html")
        self.rest(dev, mark)
        self.what_is_a_rebuild(dev, project)
        self.assertEqual(dev.end(), 130)
        self.assertNothingLeft(project)

    def test_tar(self):
        project = self.example("shell-map", "8088")
        change(project.file("skiff.yaml"), "map:", "tar:")
        change(project.file("skiff.yaml"), "sync-map", "sync-tar")
        dev = self.started(project)
        self.walk(dev, project, {"/srv/index.html", "/srv/about.html"})
        self.what_is_a_rebuild(dev, project)


@on("docker")
class JsEsbuild(Example):
    def test_the_whole_loop(self):
        for program in ("node", "npm"):
            if not shutil.which(program):
                raise Failure(f"there is no {program} (script/setup installs it)")
        base = subprocess.run(["examples/make-base", "node"], cwd=harness.ROOT, check=True, capture_output=True, text=True).stdout.strip()
        project = self.example("js-esbuild", "8086")
        dev = self.dev(project, env={"NODE_BASE": base}, wait=False)
        dev.wait("ready", timeout=240)
        self.rest(dev)
        self.answers(dev, "Hello from the server\n", "/greeting")
        mark, greeting, page = dev.mark(), project.file("src/greeting.ts"), project.file("src/page.ts")

        change(greeting, "Hello from", "Good day from")
        self.answers(dev, "Good day from the server\n", "/greeting")
        self.answers(dev, lambda answer: answer and "Good day" in answer, "/page.js")
        self.generated(dev, mark)

        mark = dev.mark()
        change(page, "'the page'", "'this page'")
        self.answers(dev, lambda answer: answer and "this page" in answer, "/page.js")
        self.generated(dev, mark)
        dests = {path["dest"] for event in dev.events[mark:] if event["type"] == "sync" for path in event["paths"]}
        self.assertEqual(dests, {"/app/dist/page.js", "/app/dist/page.js.map"})

        mark = dev.mark()
        project.write("public/notes.md", "# Notes\n\n**direct**\n")
        self.answers(dev, lambda answer: answer and "<strong>direct</strong>" in answer, "/notes")
        self.rest(dev, mark)
        self.assertEqual(dev.count("generate", mark), 0)

        project.write("src/deep/name.ts", "export const name: string = 'a new file';\n")
        change(greeting, "// Both", "import { name } from './deep/name';\n// Both")
        change(greeting, "${from}", "${name}")
        self.answers(dev, "Good day from a new file\n", "/greeting")

        self.rest(dev)
        mark = dev.mark()
        change(greeting, "return `", "return return `")
        self.breaks(dev, mark, "Unexpected \"return\"")
        self.assertEqual(self.ask(dev, "/greeting"), "Good day from a new file\n")
        mark = dev.mark()
        change(greeting, "return return `Good day", "return `Good night")
        self.answers(dev, "Good night from a new file\n", "/greeting")
        self.rest(dev, mark)
        self.assertCopied(dev, mark)

        mark = dev.mark()
        change(project.file("package.json"), '"1.0.0"', '"1.0.1"')
        self.rebuilt(dev, mark, "package.json")
        self.answers(dev, "Good night from a new file\n", "/greeting")
        self.assertEqual(dev.end(), 130)
        self.assertNothingLeft(project)

    def test_a_bundler_that_stays(self):
        """watch: true, as its README shows."""
        base = subprocess.run(["examples/make-base", "node"], cwd=harness.ROOT, check=True, capture_output=True, text=True).stdout.strip()
        project = self.example("js-esbuild", "8086")
        change(project.file("skiff.yaml"), "[node, build.mjs]", "[node, build.mjs, --watch]")
        change(project.file("skiff.yaml"), "sync: [{src: dist, dest: /app/dist}]", "sync: [{src: dist, dest: /app/dist}]\n        watch: true")
        change(project.file("skaffold.yaml"), "- command: [npm,", "- command: [sh, -c, 'npm ci --loglevel=error && node build.mjs']\n      - command: [npm,")
        dev = self.dev(project, env={"NODE_BASE": base}, wait=False)
        dev.wait("ready", timeout=240)
        self.answers(dev, "Hello from the server\n", "/greeting")
        mark = dev.mark()
        change(project.file("src/greeting.ts"), "Hello from", "Good day from")
        self.answers(dev, "Good day from the server\n", "/greeting")
        self.assertCopied(dev, mark)


class Generated(Example):
    """A static busybox that stays; `src` is made into `made`, or what the test says."""

    def made(self, auto, files, dockerfile="COPY made /made\n"):
        project = self.project()
        shutil.copy(BUSYBOX, project.file("busybox"))
        project.write("Dockerfile", f"FROM scratch\nCOPY busybox /bin/busybox\n{dockerfile}CMD {STAY_COMMAND}\n")
        for name, content in files.items():
            project.write(name, content, mode=0o755 if content.startswith("#!") else None)
        project.configure("auto:\n" + indent(auto, 2))
        return project

    def upper(self, files=None, **more):
        """Each file of src in capitals."""
        return self.made("generated:\n- command: [./upper]\n  inputs: [src/**]\n  sync: [{src: made, dest: /made}]", {
            "upper": "#!/bin/sh\nmkdir -p made\ncd src\nfind . -type d | while IFS= read -r d; do mkdir -p \"../made/$d\"; done\n"
                     "find . -type f -exec sh -c 'for f; do tr a-z A-Z <\"$f\" >\"../made/$f\"; done' sh {} +\n",
            **(files or {"src/a": "one\n", "src/deep/b": "two\n"})}, **more)

    def test_a_first_run_makes_what_the_image_needs(self):
        dev = self.started(self.upper())
        self.assertEqual(dev.read("/made/a"), b"ONE\n")
        self.assertEqual(dev.read("/made/deep/b"), b"TWO\n")

    def test_only_what_differs_is_carried(self):
        project = self.upper()
        dev = self.started(project)
        mark = dev.mark()
        project.write("src/a", "three\n")
        dev.expect("/made/a", "THREE\n")
        self.generated(dev, mark)
        project.write("src/new", "four\n")
        dev.expect("/made/new", "FOUR\n")
        self.rest(dev)
        carried = [path["dest"] for event in dev.events[mark:] if event["type"] == "sync" for path in event["paths"]]
        self.assertEqual(carried, ["/made/a", "/made/new"])

    def test_a_run_that_changes_nothing_carries_nothing(self):
        project = self.upper()
        dev = self.started(project)
        mark = dev.mark()
        project.write("src/a", "ONE\n")
        dev.wait("generate", mark, status="succeeded")
        self.rest(dev, mark)
        self.assertEqual(dev.count("sync", mark), 0)

    def test_names_with_spaces_and_newlines(self):
        project = self.upper({"src/with space": "a\n", "src/line\nbreak": "b\n"})
        dev = self.started(project)
        self.assertEqual(dev.read("/made/with space"), b"A\n")
        project.write("src/with space", "c\n")
        project.write("src/line\nbreak", "d\n")
        project.write(b"src/not\xffutf8", "e\n")
        dev.expect("/made/with space", "C\n")
        dev.expect("/made/line\nbreak", "D\n")
        dev.eventually(lambda: dev.tree("/made").get(b"not\xffutf8"), what="a name that is not UTF-8")
        self.rest(dev)

    def test_made_executable_without_a_change_of_content(self):
        project = self.made("direct: [{src: 'bin/**', dest: /tools, strip: bin/}]\n"
                            "generated:\n- command: [sh, -c, 'mkdir -p made && cp -p src/* made/']\n  inputs: [src/**]\n  sync: [{src: made, dest: /made}]",
                            {"bin/run.sh": "echo\n", "src/tool": "echo\n"}, "COPY bin /tools\nCOPY made /made\n")
        dev = self.started(project)
        mark = dev.mark()
        self.assertEqual([dev.entry(path).mode for path in ("/tools/run.sh", "/made/tool")], [0o644, 0o644])
        os.chmod(project.path("bin/run.sh"), 0o755)
        dev.eventually(lambda: dev.entry("/tools/run.sh").mode == 0o755, what="an executable script")
        os.chmod(project.path("src/tool"), 0o755)
        dev.eventually(lambda: dev.entry("/made/tool").mode == 0o755, what="an executable that was generated")
        os.chmod(project.path("made/tool"), 0o700)
        dev.eventually(lambda: dev.entry("/made/tool").mode == 0o700, what="the mode that somebody else gave it")
        self.rest(dev)
        self.assertCopied(dev, mark)

    def test_what_others_write_is_carried_without_a_run(self):
        project = self.upper()
        dev = self.started(project)
        mark = dev.mark()
        project.write("made/a", "by an IDE\n")
        dev.expect("/made/a", "by an IDE\n")
        project.write("made/more", "its own\n")
        dev.expect("/made/more", "its own\n")
        self.rest(dev, mark)
        self.assertEqual(dev.count("generate", mark), 0)
        self.assertCopied(dev, mark)

    def test_one_reads_what_another_makes(self):
        project = self.made(
            "generated:\n- command: [sh, -c, 'mkdir -p made && cat half/* >made/all']\n  inputs: ['half/*']\n  sync: [{src: made, dest: /made}]\n"
            "- command: [sh, -c, 'mkdir -p half && for f in src/*; do tr a-z A-Z <$f >half/${f#src/}; done']\n  inputs: ['src/*']\n"
            "  sync: [{src: half, dest: /half}]", {"src/a": "a\n", "src/b": "b\n"}, "COPY made /made\nCOPY half /half\n")
        dev = self.started(project)
        self.assertEqual(dev.read("/made/all"), b"A\nB\n")
        mark = dev.mark()
        project.write("src/a", "c\n")
        dev.expect("/half/a", "C\n")
        dev.expect("/made/all", "C\nB\n")
        self.generated(dev, mark)
        self.assertEqual(dev.count("generate", mark, status="succeeded"), 2)

    def test_saved_while_it_runs(self):
        project = self.upper({"src/a": "one\n"})
        change(project.file("upper"), "mkdir -p made", "mkdir -p made\n[ ! -p gate ] || { echo >reached; cat gate; }")
        dev = self.started(project)
        os.mkfifo(project.path("gate"))
        os.mkfifo(project.path("reached"))
        self.rest(dev)
        mark = dev.mark()
        project.write("src/a", "two\n")
        with open(project.path("reached"), "rb") as reached:
            reached.read()  # the program runs, and has read nothing yet
        project.write("src/b", "three\n")
        with open(project.path("gate"), "wb"):
            pass
        os.unlink(project.path("gate"))
        os.unlink(project.path("reached"))
        dev.expect("/made/a", "TWO\n")
        dev.expect("/made/b", "THREE\n")
        self.rest(dev)
        self.assertCopied(dev, mark)

    def test_its_container_goes_while_it_runs(self):
        """And what it makes is what is there already: no copy follows that would notice."""
        project = self.upper({"src/a": "one\n"})
        change(project.file("upper"), "mkdir -p made", "mkdir -p made\n[ ! -p gate ] || { echo >reached; cat gate; }")
        dev = self.started(project)
        if not self.on_docker:
            return
        os.mkfifo(project.path("gate"))
        os.mkfifo(project.path("reached"))
        self.rest(dev)
        mark, old = dev.mark(), dev.container()
        project.write("src/a", "one\n")
        with open(project.path("reached"), "rb") as reached:
            reached.read()
        docker("rm", "-f", "-v", old)
        dev.wait("instance", mark, status="gone")
        time.sleep(1)  # the engine has told all that it has to tell of it
        with open(project.path("gate"), "wb"):
            pass
        os.unlink(project.path("gate"))
        os.unlink(project.path("reached"))
        dev.wait("deploy", mark, status="succeeded")
        self.assertEqual(dev.read("/made/a"), b"ONE\n")

    def test_a_new_container_gets_what_the_host_has_no_more(self):
        project = self.upper()
        dev = self.started(project)
        project.write("src/a", "kept\n")
        dev.expect("/made/a", "KEPT\n")
        self.rest(dev)
        shutil.rmtree(project.file("made"))
        self.rest(dev)
        self.assertEqual(dev.read("/made/a"), b"KEPT\n")
        if not self.on_docker:
            return
        old = dev.container()
        docker("rm", "-f", "-v", old)
        dev.eventually(lambda: dev.container() != old and dev.read("/made/a") == b"KEPT\n", what="the kept bytes in a new container")

    def test_an_input_is_deleted(self):
        """A rebuild, before which the generator runs: that it does not leave the old output behind is its own affair."""
        project = self.upper()
        change(project.file("upper"), "mkdir -p made\n", "rm -rf made\nmkdir -p made\n")
        dev = self.started(project)
        mark = dev.mark()
        project.remove("src/deep/b")
        dev.wait("build", mark, status="succeeded")
        self.rest(dev, mark)
        self.assertEqual(dev.wait("decision", mark, decision="rebuild")["deciding"]["path"], "src/deep/b")
        self.assertIsNone(dev.read("/made/deep/b"))

    def mapped(self, body, files, **more):
        return self.made("map: {command: [./map], inputs: [src/**]}", {
            "map": "#!/bin/sh\nset -e\nmkdir -p made\n" + body, **files}, **more)

    def test_a_map_that_lacks_an_entry(self):
        project = self.mapped(
            "rm -rf made && mkdir made && cp src/* made/\necho BEGIN SYNCMAP/1\nprintf '{\"generated\": ['\n"
            "c=; for f in made/*; do printf '%s{\"src\": \"%s\", \"dest\": \"/%s\"}' \"$c\" \"$f\" \"$f\"; c=,; done; echo ']}'\n",
            {"src/a": "a", "src/b": "b", "src/z-list": "x"})
        dev = self.started(project)
        self.assertEqual(dev.read("/made/a"), b"a")
        change(project.file("map"), "cp src/* made/", "cp src/* made/ && rm made/b")
        mark = dev.mark()
        project.write("src/a", "c")
        dev.expect("/made/a", "c")
        self.rest(dev, mark)
        dev.expect("/made/b", None)

    def test_modes_and_generators_of_a_map(self):
        project = self.mapped(
            "cp src/tool made/tool; cp src/page made/page\necho BEGIN SYNCMAP/1\n"
            "echo '{\"generated\": [{\"src\": \"made/tool\", \"dest\": \"/made/tool\", \"mode\": \"0751\"}, {\"src\": \"made/page\", \"dest\": \"made/page\"}, "
            "{\"command\": [\"sh\", \"-c\", \"mkdir -p more; wc -c <other/count >more/count\"], \"inputs\": [\"other/**\"], "
            "\"sync\": [{\"src\": \"more\", \"dest\": \"/more\"}]}], \"direct\": [{\"src\": \"plain\", \"dest\": \"/plain\"}], "
            "\"build\": [\"definition\"], \"ignore\": [\"plain/ignored\"]}'\n",
            {"src/tool": "1", "src/page": "1", "other/count": "12", "plain/a": "a", "plain/ignored": "i", "definition": "1"},
            dockerfile="COPY made /made\nCOPY plain /plain\nCOPY other /other\n")
        dev = self.started(project)
        mark = dev.mark()
        project.write("src/tool", "22")
        project.write("src/page", "22")
        dev.expect("/made/tool", "22")
        dev.expect("/made/page", "22")
        self.assertEqual(dev.entry("/made/tool").mode, 0o751)
        project.write("plain/ignored", "ignored")
        project.write("plain/a", "b")
        dev.expect("/plain/a", "b")
        project.write("other/count", "1234")
        dev.eventually(lambda: (dev.read("/more/count") or b"").strip() == b"4", what="the map's own generator")
        self.rest(dev)
        self.assertCopied(dev, mark)
        self.assertEqual(dev.read("/plain/ignored"), b"i")
        project.write("definition", "2")
        dev.wait("build", mark, status="succeeded")

    def test_a_map_that_is_none(self):
        project = self.mapped("cp src/* made/\ncat answer\n", {"src/a": "a", "answer": 'BEGIN SYNCMAP/1\n{"generated": [{"src": "made", "dest": "/made"}]}\n'})
        dev = self.started(project)
        mark = dev.mark()
        project.write("answer", 'BEGIN SYNCMAP/1\n{"generated": [{"src": "made", "dest": "/made/../../etc"}]}\n')
        project.write("src/a", "b")
        self.breaks(dev, mark, "/made/../../etc")
        self.assertEqual(dev.read("/made/a"), b"a")
        mark = dev.mark()
        project.write("answer", 'BEGIN SYNCMAP/1\n{"generated": [{"src": "made", "dest": "/made"}]}\n')
        project.write("src/a", "c")
        dev.expect("/made/a", "c")
