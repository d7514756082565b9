"""deploy.attach: containers that another tool runs (here `docker run`, as Compose or a person would) get what is saved, and are left as they are found."""

import os
import shutil
import signal
import subprocess
import unittest

import harness
import scenario
from harness import docker
from scenario import Scenario, on

SKIFF_YAML = "deploy:\n  attach:\n  - {image: %s, %s}\n"


class Outside:
    """What the other tool does: builds the project's image, and runs containers of it."""

    def __init__(self, test, project):
        self.project, self.label, self.count = project, f"app={project.image}", 0
        self.ids = []
        test.addCleanup(self.release)

    def build(self):
        docker("build", "-q", "-t", self.project.image, str(self.project.root))

    def run(self, *arguments, labels=None):
        self.count += 1
        words = [word for label in (labels or [self.label]) for word in ("--label", label)]
        name = f"{self.project.image}-{self.count}"
        self.ids.append(docker("run", "-d", "--network", "none", "--name", name, *words, *arguments, self.project.image).decode().strip())
        return self.ids[-1]

    def remove(self, one):
        docker("rm", "-f", "-v", one)

    def release(self):
        for one in self.ids:
            docker("rm", "-f", "-v", one, check=False)
        docker("rmi", "-f", self.project.image, check=False)


def read(one, path):
    """A file's content in a container, whatever its state; None where there is none."""
    data = docker("cp", f"{one}:{path}", "-", check=False)
    entries = harness.tree_of_tar(data) if data else {}
    entry = entries.get(os.fsencode(os.path.basename(path)))
    return entry.content.decode() if entry and entry.kind == "file" else None


def state(one):
    return docker("inspect", "-f", "{{.State.Status}} {{.State.StartedAt}}", one).decode().split()


def differences(one):
    """What `docker diff` names, without the folders above, and what the engine itself puts into each container. Of an image's files it has whole seconds: one
    that is replaced within the same second by one of the same size is not named."""
    lines = docker("diff", one).decode().splitlines()
    paths = {line[2:] for line in lines}
    folders = {path for path in paths if any(other.startswith(path + "/") for other in paths)}
    return sorted(line for line in lines if line[2:] not in folders and
                  not harness.NOT_OF_THE_IMAGE.match(line[3:].replace(".skiff", "?")))


@on("docker")
class Attach(Scenario):
    def attached(self, sync=harness.MANUAL, pages=None, way=None, more=""):
        project = self.site(sync, pages)
        outside = Outside(self, project)
        project.write("skiff.yaml", SKIFF_YAML % (project.image, way or f"label: {outside.label}") + more)
        outside.build()
        return project, outside

    def expect(self, dev, one, path, content, timeout=harness.DEADLINE):
        dev.eventually(lambda: read(one, path) == content, timeout, f"{path} = {content!r} in {one[:12]}")

    def assertLeftAlone(self, dev, *running):
        """Nothing was built or deployed, nothing is stopped or removed at the end, and the agent leaves no file."""
        before = [state(one) for one in running]
        dev.end()
        self.assertEqual([state(one) for one in running], before)
        self.assertEqual([event for event in dev.events if event["type"] in ("build", "deploy")], [])
        self.assertEqual(harness.containers(dev.project.image), [])
        for one in running:
            self.assertNotIn("/.skiff", docker("diff", one).decode())

    def test_two_at_once(self):
        project, outside = self.attached()
        first, second = outside.run(), outside.run()
        dev = self.dev(project)
        self.rest(dev)
        mark = dev.mark()
        project.write("www/index.html", "second")
        self.expect(dev, first, "/srv/index.html", "second")
        self.expect(dev, second, "/srv/index.html", "second")
        self.rest(dev, mark)
        self.assertEqual(dev.count("sync", mark, status="succeeded"), 2)
        project.remove("www/index.html")
        self.expect(dev, first, "/srv/index.html", None)
        self.expect(dev, second, "/srv/index.html", None)
        self.assertLeftAlone(dev, first, second)
        self.assertEqual(differences(first), ["D /srv/index.html"])

    def test_what_changed_before_is_found_by_its_hash(self):
        project, outside = self.attached(pages={"index.html": "first", "same.html": "same", "deep/er/a.txt": "a"})
        one = outside.run()
        project.write("www/index.html", "newer one")
        project.write("www/new.html", "new")
        dev = self.dev(project)
        self.expect(dev, one, "/srv/index.html", "newer one")
        self.expect(dev, one, "/srv/new.html", "new")
        self.rest(dev)
        synced = [path["dest"] for event in dev.events if event["type"] == "sync" for path in event["paths"]]
        self.assertEqual(sorted(synced), ["/srv/index.html", "/srv/new.html"])
        self.assertLeftAlone(dev, one)
        self.assertEqual(differences(one), ["A /srv/new.html", "C /srv/index.html"])

    def test_nothing_is_there_yet(self):
        project, outside = self.attached()
        dev = self.dev(project)  # ready: it watches
        dev.says("no container with the label " + outside.label)
        mark = dev.mark()
        project.write("www/index.html", "waiting")
        dev.wait("warning", mark, message=lambda text: "1 change is waiting" in text)
        one = outside.run()
        dev.wait("instance", mark, status="running")
        self.expect(dev, one, "/srv/index.html", "waiting")
        self.rest(dev, mark)
        self.assertLeftAlone(dev, one)

    def test_restarted_and_stopped_meanwhile(self):
        project, outside = self.attached()
        one, other = outside.run(), outside.run()
        dev = self.dev(project)
        project.write("www/index.html", "second")
        self.expect(dev, one, "/srv/index.html", "second")
        mark = dev.mark()
        docker("restart", "-t", "1", one)
        dev.wait("instance", mark, status="running")
        project.write("www/index.html", "third")
        self.expect(dev, one, "/srv/index.html", "third")
        mark = dev.mark()
        docker("stop", "-t", "1", one)
        dev.wait("instance", mark, status="exited")
        project.write("www/index.html", "while stopped")
        self.expect(dev, other, "/srv/index.html", "while stopped")
        self.assertEqual(state(one)[0], "exited")  # nobody but the other tool starts it
        docker("start", one)
        self.expect(dev, one, "/srv/index.html", "while stopped")
        self.assertLeftAlone(dev, one, other)

    def test_stopped_alone_waits(self):
        project, outside = self.attached()
        one = outside.run()
        dev = self.dev(project)
        mark = dev.mark()
        docker("stop", "-t", "1", one)
        dev.wait("instance", mark, status="exited")
        project.write("www/index.html", "while stopped")
        dev.wait("warning", mark, message=lambda text: "1 change is waiting" in text)
        self.assertEqual(state(one)[0], "exited")
        docker("start", one)
        self.expect(dev, one, "/srv/index.html", "while stopped")
        self.assertLeftAlone(dev, one)

    def test_paused(self):
        project, outside = self.attached()
        one, other = outside.run(), outside.run()
        dev = self.dev(project)
        self.rest(dev)
        docker("pause", one)
        self.addCleanup(docker, "unpause", one, check=False)
        for number in range(5):
            project.write("www/index.html", f"while paused {number}")
            self.expect(dev, other, "/srv/index.html", f"while paused {number}")
        mark = dev.mark()
        docker("unpause", one)
        self.expect(dev, one, "/srv/index.html", "while paused 4")
        self.rest(dev, mark)
        self.assertEqual(dev.events[-1]["errors"], 0)
        self.assertLeftAlone(dev, one, other)

    def test_created_anew_from_a_newer_image(self):
        project, outside = self.attached()
        one = outside.run()
        dev = self.dev(project)
        project.write("www/index.html", "second")
        self.expect(dev, one, "/srv/index.html", "second")
        mark = dev.mark()
        project.write("Dockerfile", "FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCOPY Dockerfile /made-from\n"
                      f"CMD {harness.STAY_COMMAND}\n")
        dev.wait("error", mark, about="rebuild", message=lambda text: text.startswith("Dockerfile changed: rebuild"))
        project.write("www/more.html", "more")  # copies go on meanwhile
        self.expect(dev, one, "/srv/more.html", "more")
        self.rest(dev, mark)
        self.assertEqual(dev.events[-1]["errors"], 1)
        project.write("bin/.of", "another image, too")
        self.rest(dev, dev.mark())
        self.assertEqual(dev.count("error", mark), 1)  # told once
        again = outside.run()  # of the same image: nothing is mended
        self.expect(dev, again, "/srv/index.html", "second")
        self.expect(dev, again, "/srv/more.html", "more")
        mark = dev.mark()
        outside.build()
        outside.remove(one)
        outside.remove(again)
        newer = outside.run()
        dev.eventually(lambda: dev.events[-1]["type"] == "idle" and dev.events[-1]["errors"] == 0, what="the end of the message")
        self.assertEqual([event for event in dev.events[mark:] if event["type"] == "sync"], [])  # all of it is in the image
        project.write("www/index.html", "third")
        self.expect(dev, newer, "/srv/index.html", "third")
        self.assertLeftAlone(dev, newer)

    def test_created_anew_from_the_same_image(self):
        project, outside = self.attached(pages={"index.html": "first", "gone.html": "gone"})
        one = outside.run()
        dev = self.dev(project)
        project.write("www/index.html", "second")
        project.remove("www/gone.html")
        self.expect(dev, one, "/srv/gone.html", None)
        outside.remove(one)
        again = outside.run()
        self.expect(dev, again, "/srv/index.html", "second")
        self.expect(dev, again, "/srv/gone.html", None)
        self.assertLeftAlone(dev, again)

    def test_removed_for_ever(self):
        project, outside = self.attached()
        one = outside.run()
        dev = self.dev(project)
        mark = dev.mark()
        outside.remove(one)
        dev.wait("instance", mark, status="gone")
        project.write("www/index.html", "for nobody")
        dev.wait("warning", mark, message=lambda text: "1 change is waiting" in text)
        self.rest(dev, mark)
        self.assertLeftAlone(dev)

    def test_one_that_cannot_hurts_no_other(self):
        project, outside = self.attached()
        bad, good = outside.run("--read-only"), outside.run()
        dev = self.dev(project)
        dev.wait("error", about="sync")
        mark = dev.mark()
        project.write("www/index.html", "second")
        self.expect(dev, good, "/srv/index.html", "second")
        self.rest(dev, mark)
        self.assertGreater(dev.events[-1]["errors"], 0)
        self.assertEqual(read(bad, "/srv/index.html"), "first")
        mark = dev.mark()
        outside.remove(bad)
        project.write("www/index.html", "third")
        self.expect(dev, good, "/srv/index.html", "third")
        self.rest(dev, mark)
        self.assertEqual(dev.events[-1]["errors"], 0)
        self.assertLeftAlone(dev, good)

    def test_restart_is_of_that_container(self):
        project, outside = self.attached()
        project.write("skiff.yaml", f"artifacts:\n- {{image: {project.image}, restart: true}}\n" +
                      SKIFF_YAML % (project.image, f"label: {outside.label}"))
        one = outside.run()
        began = state(one)[1]
        dev = self.dev(project)
        self.rest(dev)
        self.assertEqual(state(one)[1], began)  # nothing differed: nothing is restarted
        mark = dev.mark()
        project.write("www/index.html", "second")
        dev.wait("sync", mark, status="succeeded", restart="container")
        self.rest(dev, mark)
        self.assertEqual(read(one, "/srv/index.html"), "second")
        self.assertEqual(state(one)[0], "running")
        self.assertNotEqual(state(one)[1], began)
        self.assertEqual(dev.count("sync", mark), 1)
        self.assertLeftAlone(dev, one)

    def test_logs_from_now_on(self):
        project, outside = self.attached()
        words = "echo history; trap 'exit 0' TERM; while :; do [ -e /srv/say ] && { /bin/busybox cat /srv/say; /bin/rm /srv/say; }; /bin/busybox sleep 0.2; done"
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCMD {harness.json.dumps(['/bin/busybox', 'sh', '-c', words])}\n")
        outside.build()
        outside.run()
        dev = self.dev(project, "--tail")
        self.rest(dev)
        project.write("www/say", "hello from inside\n")
        dev.says("hello from inside")
        self.assertNotIn("history", dev.text())

    def test_infer_deletes_are_rebuilds(self):
        project, outside = self.attached(harness.INFER, pages={"index.html": "first", "gone.html": "gone"})
        one = outside.run()
        dev = self.dev(project)
        self.rest(dev)
        mark = dev.mark()
        project.write("www/index.html", "second")
        project.remove("www/gone.html")
        dev.wait("error", mark, about="rebuild")
        self.expect(dev, one, "/srv/index.html", "second")
        self.rest(dev, mark)
        self.assertEqual(read(one, "/srv/gone.html"), "gone")
        project.write("www/tmp", "x")
        project.remove("www/tmp")
        self.assertLeftAlone(dev, one)

    def test_generators_run(self):
        project = self.site(harness.MANUAL)
        outside = Outside(self, project)
        project.write("src/in", "one\n")
        project.write("www/out.txt", "made by the image\n")
        project.write("skiff.yaml", f"""artifacts:
- image: {project.image}
  sync:
    auto:
      generated:
      - {{command: "tr a-z A-Z <src/in >made.txt", inputs: [src], sync: [{{src: made.txt, dest: /srv/out.txt}}]}}
""" + SKIFF_YAML % (project.image, f"label: {outside.label}"))
        outside.build()
        one = outside.run()
        dev = self.dev(project)
        self.rest(dev)
        self.assertEqual(read(one, "/srv/out.txt"), "made by the image\n")
        project.write("src/in", "two\n")
        self.expect(dev, one, "/srv/out.txt", "TWO\n")
        outside.remove(one)
        again = outside.run()
        self.expect(dev, again, "/srv/out.txt", "TWO\n")
        self.assertLeftAlone(dev, again)

    def test_services_of_compose(self):
        project, outside = self.attached(way="compose: web")
        project.write("compose.yaml", f"name: shop-{project.image}\nservices: {{}}\n")
        service, ours = "com.docker.compose.service=web", f"com.docker.compose.project=shop-{project.image}"
        one = outside.run(labels=[service, ours])
        stranger = outside.run(labels=[service, "com.docker.compose.project=another"])
        dev = self.dev(project)
        project.write("www/index.html", "second")
        self.expect(dev, one, "/srv/index.html", "second")
        self.rest(dev)
        self.assertEqual(read(stranger, "/srv/index.html"), "first")
        self.assertLeftAlone(dev, one, stranger)

    @unittest.skipUnless(shutil.which("docker-compose"), "no docker-compose")
    def test_example_with_compose(self):
        project = self.project()
        shutil.copytree(harness.ROOT / "examples/attach", project.root, dirs_exist_ok=True)
        for name in ("skaffold.yaml", "skiff.yaml", "compose.yaml"):
            harness.change(project.file(name), "image: attach", f"image: {project.image}")
        harness.change(project.file("compose.yaml"), '    ports: ["8086:80"]', "    network_mode: none")
        project.write(".env", f"COMPOSE_PROJECT_NAME={project.image}\n")

        def compose(*words):
            done = subprocess.run(["docker-compose", *words], cwd=project.root, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        subprocess.run(["make", "-s"], cwd=project.root, check=True)
        self.addCleanup(docker, "rmi", "-f", project.image, check=False)
        compose("up", "-d", "--build")
        self.addCleanup(compose, "down")
        one = compose("ps", "-q", "web").strip()
        dev = self.dev(project)
        project.write("pages/index.html", "second")
        self.expect(dev, one, "/srv/index.html", "second")
        mark = dev.mark()
        project.write("Makefile", "# no input of the image\n")
        project.write("Dockerfile", project.file("Dockerfile").read_text() + "ENV A=b\n")
        dev.wait("error", mark, about="rebuild")
        compose("up", "-d", "--build")
        newer = compose("ps", "-q", "web").strip()
        self.assertNotEqual(newer, one)
        dev.eventually(lambda: dev.events[-1]["type"] == "idle" and dev.events[-1]["errors"] == 0, what="the end of the message")
        project.write("pages/index.html", "third")
        self.expect(dev, newer, "/srv/index.html", "third")
        self.assertLeftAlone(dev, newer)

    def test_services_of_two_projects_are_not_mixed_up(self):
        project = self.site()
        outside = Outside(self, project)
        name = f"web-{project.image}"
        project.write("skiff.yaml", SKIFF_YAML % (project.image, f"compose: {name}"))
        outside.build()
        service = f"com.docker.compose.service={name}"
        one = outside.run(labels=[service, "com.docker.compose.project=a"])
        other = outside.run(labels=[service, "com.docker.compose.project=b"])
        dev = self.dev(project)
        dev.wait("warning", message=lambda text: "none is attached until one is named" in text)
        mark = dev.mark()
        outside.remove(other)
        dev.wait("instance", mark, status="running")
        project.write("www/index.html", "second")
        self.expect(dev, one, "/srv/index.html", "second")
        self.assertLeftAlone(dev, one)

    def test_killed_and_started_again(self):
        project, outside = self.attached()
        one = outside.run()
        dev = self.dev(project)
        project.write("www/index.html", "second")
        self.expect(dev, one, "/srv/index.html", "second")
        dev.end(signal.SIGKILL)
        project.write("www/index.html", "while nobody looked")
        dev = self.dev(project)
        self.expect(dev, one, "/srv/index.html", "while nobody looked")
        self.assertLeftAlone(dev, one)

    def test_without_an_engine_it_is_an_error(self):
        project, _ = self.attached()
        dev = self.dev(project, "--runtime", "embedded", wait=False)
        dev.process.wait(harness.DEADLINE)
        dev.says("need a container engine")
        self.assertNotEqual(dev.end(), 0)

    def test_run_and_delete_leave_it_alone(self):
        project, outside = self.attached()
        one = outside.run()
        before = state(one)
        for command in ("run", "delete"):
            done = subprocess.run([str(scenario.settings.skiff), command], cwd=project.root, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(state(one), before)
        self.assertEqual(harness.containers(project.image), [])
