"""What skiff knows of containers while it runs: that they hold what they should, what they changed themselves, which of them hangs or crashes."""

import json
import os
import signal

import harness
from harness import AUTO, INFER, MANUAL, STAY_COMMAND, docker
from scenario import Scenario, on


def beside(container):
    """Another container of the same image and labels, as a tool that scales would start it."""
    seen = json.loads(docker("inspect", container))[0]
    labels = [f"--label={name}={value}" for name, value in seen["Config"]["Labels"].items()]
    return docker("run", "-d", "--network", "none", *labels, seen["Image"]).decode().strip()


def name_of(container):
    return json.loads(docker("inspect", container))[0]["Name"].strip("/")


def content(container, path):
    data = docker("cp", f"{container}:{path}", "-", check=False)
    return next(iter(harness.tree_of_tar(data).values())).content if data else None


@on("docker")
class OneThatHangs(Scenario):
    def test_holds_up_no_other(self):
        project = self.site()
        dev = self.dev(project)
        first = dev.container()
        mark = dev.mark()
        second = beside(first)
        self.addCleanup(docker, "rm", "-f", "-v", second, check=False)
        dev.wait("instance", mark, instance=name_of(second), status="running")
        mark = dev.mark()
        project.write("www/index.html", "for both")
        for each in (first, second):
            dev.wait("sync", mark, instance=name_of(each), status="succeeded")
        docker("pause", second)
        self.addCleanup(docker, "unpause", second, check=False)
        for text in ("one", "two", "three"):
            mark = dev.mark()
            project.write("www/index.html", text)
            dev.wait("sync", mark, instance=name_of(first), status="succeeded")
            self.assertEqual(content(first, "/srv/index.html"), text.encode())
        mark = dev.mark()
        docker("unpause", second)
        dev.eventually(lambda: content(second, "/srv/index.html") == b"three", what="the last save in the one that hung")
        dev.wait("idle", mark, errors=0)


def meddle(dev, path, text):
    """As a program in the container would write it."""
    if dev.runtime == "embedded":
        (harness.embedded_root(dev.state) / path.strip("/")).write_text(text)
    else:
        docker("exec", dev.container(), "/bin/busybox", "sh", "-c", f"echo -n '{text}' >{path}")


class Verified(Scenario):
    def start(self, pages=None):
        project = self.site(pages=pages or {"a": "1", "b": "1", "c": "1"})
        dev = self.dev(project)
        dev.wait("idle")  # the start's own
        return project, dev

    def save(self, project, dev, **files):
        """Saves, and waits until nothing is left to do: the event that says so."""
        mark = dev.mark()
        for name, text in files.items():
            project.write(f"www/{name}", text)
        dev.wait("sync", mark, status="succeeded")
        return dev.wait("idle", mark)

    def test_what_was_carried_is_there(self):
        project, dev = self.start()
        self.assertEqual(self.save(project, dev, a="2")["verified"], 1)
        mark = dev.mark()
        self.save(project, dev, b="2", d="new")
        dev.wait("idle", mark, verified=3)  # perhaps after one for the first of them
        mark = dev.mark()
        project.remove("www/d")
        dev.expect("/srv/d", None)
        dev.wait("idle", mark, verified=3, drift=[])

    def test_what_the_container_changed_is_told_and_left(self):
        project, dev = self.start()
        self.save(project, dev, a="2", b="2")
        self.rest(dev)
        meddle(dev, "/srv/a", "its own")
        idle = self.save(project, dev, c="2")
        self.assertEqual((idle["drift"], idle["verified"]), (["/srv/a"], 2))
        self.assertEqual(dev.read("/srv/a"), b"its own")
        told = [event["message"] for event in dev.events if event["type"] == "warning" and "/srv/a" in event["message"]]
        self.assertEqual(len(told), 1)
        if self.on_docker:
            self.assertIn(name_of(dev.container()), told[0])
        mark = dev.mark()
        self.assertEqual(self.save(project, dev, c="3")["drift"], ["/srv/a"])
        self.assertEqual(dev.count("warning", mark), 0)
        idle = self.save(project, dev, a="2")  # the same as before: carried all the same
        self.assertEqual((idle["drift"], idle["verified"]), ([], 3))
        self.assertEqual(dev.read("/srv/a"), b"2")

    def test_what_was_deleted_comes_again(self):
        project, dev = self.start()
        mark = dev.mark()
        project.remove("www/a")
        dev.expect("/srv/a", None)
        dev.wait("idle", mark, verified=1)
        meddle(dev, "/srv/a", "its own")
        self.assertEqual(self.save(project, dev, b="2")["drift"], ["/srv/a"])

    def test_links_modes_and_directories_are_no_drift(self):
        project, dev = self.start(pages={"a": "1", "of/the": "image"})
        project.write("www/run", "x", 0o750)
        project.remove("www/a")
        project.write("www/a/file", "was a file")
        project.remove("www/of")
        project.write("www/of", "was a directory")
        (project.root / "www/link").symlink_to("a/file")
        (project.root / "www/empty").mkdir(0o700)
        dev.expect("/srv/of", "was a directory")
        dev.eventually(lambda: dev.entry("/srv/empty"), what="the directory")
        self.rest(dev)
        idle = self.save(project, dev, **{"a/file": "now"})
        self.assertEqual(idle["drift"], [])
        self.assertGreaterEqual(idle["verified"], 5)

    def test_many_at_once(self):
        project, dev = self.start()
        mark = dev.mark()
        for n in range(1200):
            project.write(f"www/many/{n}", str(n))
        dev.eventually(lambda: dev.events[-1]["type"] == "idle" and dev.events[-1]["verified"] >= 1200, what="all of them verified")
        self.assertEqual(dev.wait("idle", mark, errors=0)["drift"], [])


@on("docker")
class AlteredByTheBuild(Scenario):
    REASON = "the image's build changed /srv/index.html after copying it"

    def altered(self, sync):
        project = self.site(sync, {"index.html": "raw", "other.html": "raw"})
        project.write("Dockerfile", "FROM scratch\nCOPY bin /bin\nCOPY www /srv\n"
                      'RUN ["/bin/busybox", "sed", "-i", "s/raw/made/", "/srv/index.html"]\n'
                      f"CMD {STAY_COMMAND}\n")
        dev = self.dev(project)
        self.assertEqual(dev.read("/srv/index.html"), b"made")
        return project, dev

    def test_infer_rebuilds_and_says_why(self):
        project, dev = self.altered(INFER)
        for text in ("raw again", "raw once more"):
            mark = dev.mark()
            project.write("www/index.html", text)
            decision = dev.wait("decision", mark, decision="rebuild")
            self.assertIn(self.REASON, decision["reason"])
            self.assertEqual(decision["deciding"]["path"], "www/index.html")
            self.assertIn(self.REASON, dev.wait("build", mark, status="succeeded")["reason"])
            dev.expect("/srv/index.html", text.replace("raw", "made"))
            self.rest(dev, mark)
            self.assertEqual(dev.count("build", mark, status="started"), 1)
            self.assertEqual(dev.count("error", mark), 0)
        mark = dev.mark()
        project.write("www/other.html", "copied")
        dev.expect("/srv/other.html", "copied")
        self.assertCopied(dev, mark)

    def test_while_builds_wait_the_path_is_remembered(self):
        project, dev = self.altered(INFER)
        dev.end()
        dev = self.dev(project, "--auto-build=false")
        for text in ("raw again", "raw once more"):
            mark = dev.mark()
            project.write("www/index.html", text)
            project.write("www/other.html", text)
            dev.wait("idle", mark)
        self.assertEqual(dev.read("/srv/index.html"), b"made")

    def test_auto_rebuilds_by_itself(self):
        project, dev = self.altered(AUTO)
        mark = dev.mark()
        project.write("www/index.html", "raw again")
        dev.wait("decision", mark, decision="rebuild")
        dev.expect("/srv/index.html", "made again")

    def test_manual_is_the_word_of_the_person(self):
        project, dev = self.altered(MANUAL)
        mark = dev.mark()
        project.write("www/index.html", "raw again")
        dev.expect("/srv/index.html", "raw again")
        self.assertCopied(dev, mark)


class Crashes(Scenario):
    PROGRAM = json.dumps(["/bin/busybox", "sh", "-c", "trap 'exit 0' TERM INT; while ! test -e /srv/crash; do /bin/busybox sleep 0.05; done; exit 3"])

    def start(self):
        project = self.site()
        harness.change(project.file("Dockerfile"), STAY_COMMAND, self.PROGRAM)
        return project, self.dev(project)

    def crash(self, project, dev, path):
        mark = dev.mark()
        project.write(path, str(mark))
        self.assertEqual(dev.wait("instance", mark, status="exited")["code"], 3)
        return mark

    def test_once_is_mended_by_the_next_save(self):
        project, dev = self.start()
        mark = self.crash(project, dev, "www/crash")
        project.remove("www/crash")
        dev.wait("instance", mark, status="running")
        self.rest(dev, mark)
        self.assertCopied(dev, mark)

    def test_twice_is_a_rebuild_and_not_for_ever(self):
        project, dev = self.start()
        self.crash(project, dev, "www/crash")
        mark = self.crash(project, dev, "www/index.html")
        self.assertIn("ended with exit code 3 twice", dev.wait("decision", mark, decision="rebuild")["reason"])
        dev.wait("deploy", mark)  # what crashes is in the tree, and so in the image
        self.rest(dev, mark)
        self.assertEqual(dev.count("build", mark, status="started"), 1)
        mark = dev.mark()
        project.remove("www/crash")
        dev.wait("idle", mark, errors=0)
        dev.expect("/srv/crash", None)


class CanNotBeWritten(Scenario):
    def told(self, dev):
        return [event["message"] for event in dev.events if event["type"] == "warning" and "what is saved can't be copied" in event["message"]]

    @on("docker")
    def test_a_read_only_root_is_told_before_the_first_save(self):
        project = self.site(pages={"index.html": "first", "css/style.css": "body {}"})
        project.write("skiff.yaml", f"deploy: {{docker: {{run: {{{project.image}: {{readOnly: true}}}}}}}}\n")
        dev = self.dev(project)
        dev.wait("warning", message=lambda text: "/srv/index.html" in text and "--read-only" in text)
        self.assertEqual(len(self.told(dev)), 1)
        self.assertIn("1 more directory", self.told(dev)[0])

    def test_nothing_is_told_where_all_can_be(self):
        project = self.site(pages={"index.html": "first", "new/deep/page": "x"})
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nUSER 1000\nCMD {STAY_COMMAND}\n")
        dev = self.dev(project)
        self.rest(dev)
        self.assertEqual(self.told(dev), [])


@on("docker")
class Lines(Scenario):
    def test_a_broken_one_is_opened_again_by_itself(self):
        """Within the time of a ping: nothing else would notice."""
        project = self.site()
        dev = self.dev(project)
        project.write("www/index.html", "once")
        dev.expect("/srv/index.html", "once")
        self.rest(dev)

        def agents():
            lines = docker("top", dev.container(), "-eo", "pid,args").decode().splitlines()
            return [int(line.split()[0]) for line in lines if "/.skiff/agent" in line and "supervise" not in line]
        first = agents()
        self.assertEqual(len(first), 1)
        mark = dev.mark()
        os.kill(first[0], signal.SIGKILL)
        dev.eventually(lambda: agents() not in ([], first), what="another agent")
        self.assertEqual(dev.mark(), mark)  # and nobody is bothered with it
