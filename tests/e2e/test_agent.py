"""The agent in containers of all kinds: as their image's last layer, as their entry point."""

import json
import pathlib
import shutil
import signal
import subprocess

import harness
from harness import MANUAL, docker
from scenario import Scenario, on

# A program without a C library behind it, or with one: it stays until it is told to end.
HOLD = r"""
#include <signal.h>
#include <unistd.h>
static void end(int number) { _exit(number == SIGTERM ? 0 : 1); }
int main(void) { signal(SIGTERM, end); for (;;) pause(); }
"""

# What supervise is to stand in front of: it tells of each start and each signal in /log, ends with what /srv/crash says, and leaves
# orphans behind.
PROGRAM = r"""
say() { echo "$*" >>/log; }
trap 'say term; exit 0' TERM
trap 'say usr1; exit 5' USR1
trap 'say hup' HUP
say "start $(cat /srv/index.html)"
if [ -e /srv/crash ]; then exit "$(cat /srv/crash)"; fi
(sleep 0 & sleep 0 &)
while :; do sleep 3600 & wait $!; done
"""


def compiled(project, name, *flags):
    """HOLD as a program of the project."""
    target = pathlib.Path(project.root) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O1", "-x", "c", "-", "-o", str(target), *flags], input=HOLD.encode(), check=True)
    return target


def libraries(program):
    """What the dynamic linker loads for it, with the linker."""
    lines = subprocess.run(["ldd", str(program)], check=True, capture_output=True, text=True).stdout.split()
    return sorted({word for word in lines if word.startswith("/")})


def with_libraries(project, folder, programs):
    """Copies of the host's programs and all that they load, at the same paths, below a folder of the project."""
    for path in {path for program in programs for path in [str(program), *libraries(program)]}:
        target = pathlib.Path(project.root) / folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


class Agents(Scenario):
    """What the tests below share."""

    def plain(self, dockerfile, sync=MANUAL):
        project = self.project()
        project.write("www/index.html", "first")
        project.write("bin/.of", project.image)
        project.write("Dockerfile", dockerfile)
        project.configure(sync)
        return project

    def overlay(self, project, restart=None, **run):
        """The project's skiff.yaml: `restart: true` or `signal: NAME`, and how its container is run."""
        artifact = {"image": project.image, **(restart or {})}
        project.write("skiff.yaml", json.dumps({"artifacts": [artifact], "deploy": {"docker": {"run": {project.image: run}}}}))

    def inspected(self, dev):
        return json.loads(docker("inspect", dev.container()))[0]

    def saved(self, dev, text, path="/srv/index.html"):
        """Saves a page, and gives the event of its way into the container."""
        mark = dev.mark()
        dev.project.replace("www/index.html", text)
        sync = dev.wait("sync", mark)
        self.assertEqual(sync["status"], "succeeded")
        dev.expect(path, text)
        return sync

    def layers_of(self, dev):
        """The references of the run's images with the agent on them."""
        names = json.loads(docker("image", "inspect", self.inspected(dev)["Image"]))[0]["RepoTags"]
        ours = [name for name in names if name.startswith("skiff-agent:")]
        self.assertEqual(len(ours), 1)
        return self.references(ours[0].rsplit("-", 1)[0])

    def references(self, start):
        names = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "skiff-agent").decode().split()
        return [name for name in names if name.startswith(start)]


@on("docker")
class Kinds(Agents):
    def carries(self, project):
        """With the agent: whole files, new ones in new directories, deletes."""
        dev = self.dev(project)
        self.assertTrue(self.saved(dev, "second")["atomic"])
        mark = dev.mark()
        project.write("www/new/deep/page", "new")
        dev.wait("sync", mark, status="succeeded", atomic=True)
        dev.expect("/srv/new/deep/page", "new")
        project.remove("www/new/deep/page")
        dev.expect("/srv/new/deep/page", None)
        self.assertIn("skiff.agent", self.inspected(dev)["Config"]["Labels"])
        self.assertEqual(dev.end(), 130)

    def both_users(self, dockerfile, prepare):
        for user in ("", "USER 1000\n"):
            with self.subTest(user=user or "root"):
                project = self.plain(dockerfile + user)
                prepare(project)
                self.carries(project)

    def test_from_scratch(self):
        """No library, no shell, no /tmp, no /etc/passwd."""
        self.both_users("FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCMD [\"/bin/hold\"]\n",
                        lambda project: compiled(project, "bin/hold", "-static"))

    def test_distroless(self):
        """A C library and accounts, no shell."""
        def prepare(project):
            hold = compiled(project, "root/usr/bin/hold")
            with_libraries(project, "root", [hold])
            project.write("root/etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:1000:1000::/home/nonroot:/sbin/nologin\n")
            project.write("root/etc/group", "root:x:0:\nnonroot:x:1000:\n")
        self.both_users("FROM scratch\nCOPY root /\nCOPY www /srv\nENTRYPOINT [\"/usr/bin/hold\"]\n", prepare)

    def test_busybox(self):
        base = self.base_image()
        self.both_users(f"FROM {base}\nCOPY www /srv\nCMD {harness.STAY_COMMAND}\n", lambda project: None)

    def test_debian_like(self):
        """The host's own shell and programs, /bin a link to /usr/bin as Debian has it."""
        def prepare(project):
            with_libraries(project, "root", ["/usr/bin/bash", "/usr/bin/sleep", "/usr/bin/cat"])
            top = pathlib.Path(project.root) / "root"
            for name in ("bin", "lib", "lib64"):
                merged = top / "usr" / name
                merged.mkdir(parents=True, exist_ok=True)
                if (top / name).is_dir():
                    shutil.copytree(top / name, merged, dirs_exist_ok=True)
                    shutil.rmtree(top / name)
                (top / name).symlink_to(f"usr/{name}")
            project.write("root/etc/debian_version", "12\n")
            project.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nuser:x:1000:1000::/:/bin/bash\n")
            project.write("root/tmp/.keep", "")
        command = json.dumps(["bash", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"])
        self.both_users(f"FROM scratch\nCOPY root /\nCOPY www /srv\nCMD {command}\n", prepare)

    def test_a_read_only_root(self):
        """Where nothing could be put the agent is there all the same: a volume is written, the rest is told."""
        project = self.plain("FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCOPY www /www\nCMD [\"/bin/hold\"]\n",
                             "manual:\n- {src: 'www/**', dest: /srv, strip: www/}\n- {src: 'fixed/**', dest: /www, strip: fixed/}")
        compiled(project, "bin/hold", "-static")
        project.write("fixed/page", "one")
        volume = f"{project.image}-data"
        self.addCleanup(docker, "volume", "rm", "-f", volume, check=False)
        self.overlay(project, readOnly=True, volumes=[f"{volume}:/srv"])
        dev = self.dev(project)
        self.assertTrue(self.saved(dev, "into the volume")["atomic"])
        mark = dev.mark()
        project.write("fixed/page", "two")
        dev.wait("error", mark)
        dev.says("read-only")
        dev.says("/www/page")

    def test_tmpfs(self):
        project = self.plain(f"FROM {self.base_image()}\nCOPY www /srv\nCMD {harness.STAY_COMMAND}\n",
                             "manual:\n- {src: 'www/**', dest: /pages, strip: www/}")
        self.overlay(project, tmpfs=["/pages", "/tmp"])
        dev = self.dev(project)
        mark = dev.mark()
        project.write("www/index.html", "in memory")
        dev.wait("sync", mark, status="succeeded", atomic=True)
        self.assertEqual(docker("exec", dev.container(), "cat", "/pages/index.html"), b"in memory")


@on("docker")
class Layers(Agents):
    def test_only_dev_has_it_and_takes_it_away(self):
        project = self.site()
        dev = self.dev(project)
        first, = self.layers_of(dev)
        tagged = json.loads(docker("image", "inspect", self.inspected(dev)["Config"]["Labels"]["skiff.tag"]))[0]
        layer = json.loads(docker("image", "inspect", first))[0]
        self.assertEqual(layer["RootFS"]["Layers"][:-1], tagged["RootFS"]["Layers"])
        self.assertEqual(tagged["Id"], self.inspected(dev)["Config"]["Labels"]["skiff.base"])
        self.assertEqual(dev.read("/.skiff/agent")[:4], b"\x7fELF")
        self.assertEqual(dev.entry("/.skiff/agent").mode, 0o755)
        mark = dev.mark()
        harness.change(project.file("Dockerfile"), "COPY www", "LABEL another=one\nCOPY www")
        dev.wait("deploy", mark, status="succeeded")
        dev.eventually(lambda: first not in self.layers_of(dev), what="the old image's end")
        second, = self.layers_of(dev)
        self.assertEqual(dev.end(), 130)
        self.assertEqual(self.references(second.rsplit("-", 1)[0]), [])
        docker("image", "inspect", tagged["Id"])  # the image below stays

    def test_one_that_is_told_not_to(self):
        project = self.site()
        dev = self.dev(project, "--no-agent")
        self.assertFalse(self.saved(dev, "without")["atomic"])
        labels = self.inspected(dev)["Config"]["Labels"]
        self.assertNotIn("skiff.agent", labels)
        self.assertEqual(self.inspected(dev)["Image"], labels["skiff.base"])

    def test_triggers_are_not_run(self):
        project = self.site()
        harness.change(project.file("Dockerfile"), "COPY www", "ONBUILD COPY nothing /nothing\nCOPY www")
        dev = self.dev(project)
        dev.says("ONBUILD")
        self.assertTrue(self.saved(dev, "all the same")["atomic"])

    def test_an_image_of_a_custom_builder(self):
        project = self.site()
        project.write("build.sh", "#!/bin/sh\nexec docker build -q -t \"$IMAGE\" .\n", 0o755)
        harness.change(project.file("skaffold.yaml"), "    sync:\n",
                       "    custom: {buildCommand: ./build.sh, dependencies: {paths: [Dockerfile, bin, www]}}\n    sync:\n")
        dev = self.dev(project)
        self.assertEqual(len(self.layers_of(dev)), 1)
        self.assertTrue(self.saved(dev, "by a script")["atomic"])


@on("docker")
class Supervised(Agents):
    def supervised(self, restart, more="", **run):
        project = self.plain(f"FROM {self.base_image()}\nCOPY program /program\nCOPY www /srv\n{more}ENTRYPOINT [\"sh\"]\nCMD [\"/program\"]\n")
        project.write("program", PROGRAM)
        self.overlay(project, restart, **run)
        return project

    def log(self, dev):
        content = dev.read("/log")
        return content.decode().split("\n")[:-1] if content else []

    def logs(self, dev, *lines):
        dev.eventually(lambda: self.log(dev) == list(lines), what=f"the lines {lines}")

    def test_the_program_is_restarted_and_the_container_is_not(self):
        project = self.supervised({"restart": True}, "HEALTHCHECK CMD [\"true\"]\nSTOPSIGNAL USR1\nUSER 0\n")
        dev = self.dev(project)
        before = self.inspected(dev)
        self.assertEqual(before["Config"]["Entrypoint"], ["/.skiff/agent", "supervise", "--", "sh", "/program"])
        self.assertFalse(before["Config"]["Cmd"])
        self.assertEqual(before["Config"]["StopSignal"], "USR1")
        self.assertEqual(before["Config"]["Healthcheck"]["Test"], ["CMD", "true"])
        self.logs(dev, "start first")
        self.saved(dev, "second")
        self.logs(dev, "start first", "term", "start second")
        self.saved(dev, "third")
        self.logs(dev, "start first", "term", "start second", "term", "start third")
        after = self.inspected(dev)
        self.assertEqual(after["Id"], before["Id"])
        self.assertEqual(after["State"]["StartedAt"], before["State"]["StartedAt"])
        self.assertEqual(after["State"]["Pid"], before["State"]["Pid"])

    def test_a_signal_after_each_sync(self):
        dev = self.dev(self.supervised({"signal": "HUP"}))
        self.saved(dev, "second")
        self.logs(dev, "start first", "hup")

    def test_the_command_of_run(self):
        dev = self.dev(self.supervised({"restart": True}, command=["/program", "with", "words"]))
        self.assertEqual(self.inspected(dev)["Config"]["Entrypoint"][3:], ["sh", "/program", "with", "words"])
        self.saved(dev, "second")
        self.logs(dev, "start first", "term", "start second")

    def test_as_another_user(self):
        project = self.supervised({"restart": True}, "COPY log /log\nUSER 1000\n")
        project.write("log", "", 0o666)
        dev = self.dev(project)
        self.saved(dev, "second")
        self.logs(dev, "start first", "term", "start second")

    def test_what_it_ends_with_is_passed_on(self):
        project = self.supervised({"restart": True})
        dev = self.dev(project)
        mark = dev.mark()
        project.write("www/crash", "7")
        self.assertEqual(dev.wait("instance", mark, status="exited")["code"], 7)

    def test_docker_stop_is_quick(self):
        dev = self.dev(self.supervised({"restart": True}, "STOPSIGNAL USR1\n"))
        self.logs(dev, "start first")
        container, mark = dev.container(), dev.mark()
        subprocess.run(["docker", "stop", "-t", "60", container], check=True, capture_output=True, timeout=30)
        self.assertEqual(dev.wait("instance", mark, status="exited")["code"], 5)
        log = harness.tree_of_tar(docker("cp", f"{container}:/log", "-"))[b"log"].content
        self.assertEqual(log, b"start first\nusr1\n")

    def test_zombies_are_reaped(self):
        dev = self.dev(self.supervised({"restart": True}))
        for text in ("second", "third"):
            self.saved(dev, text)

        def states():
            return [line.split()[1] for line in docker("top", dev.container(), "-o", "pid,stat,comm").decode().splitlines()[1:]]
        dev.eventually(lambda: len(states()) >= 3 and not any(state.startswith("Z") for state in states()), what="no zombie")

    def test_a_restart_of_the_container_itself(self):
        project = self.supervised({"restart": True})
        dev = self.dev(project)
        self.saved(dev, "second")
        mark = dev.mark()
        docker("restart", "-t", "5", dev.container())
        dev.wait("instance", mark)
        self.saved(dev, "third")
        dev.eventually(lambda: self.log(dev)[-1:] == ["start third"], what="the program's new start")
