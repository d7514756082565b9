"""What needs an engine: RUN in images, containers that are killed, ports, volumes, users, networks."""

import os
import signal
import urllib.request

import harness
from harness import AUTO, INFER, MANUAL, STAY_COMMAND, docker
from scenario import Scenario, on


@on("docker")
class Builds(Scenario):
    def slow(self, sync=MANUAL):
        """A build that takes a while and tells when it runs: the RUN waits for nothing but time of its own."""
        base = self.base_image()
        project = self.site(sync)
        project.write("Dockerfile", f"FROM {base}\nCOPY slow /slow\nRUN n=0; while [ $n -lt 300000 ]; do n=$((n+1)); done\n"
                      f"COPY www /srv\nCMD {STAY_COMMAND}\n")
        project.write("slow", "1")
        return project

    def test_a_change_during_a_build_is_not_lost(self):
        project = self.slow()
        dev = self.dev(project, wait=False)
        dev.wait("ready", timeout=90)
        mark = dev.mark()
        project.write("slow", "2")
        dev.wait("build", mark, status="started")
        project.write("www/index.html", "saved meanwhile")
        project.write("www/new", "new meanwhile")
        dev.wait("build", mark, status="succeeded", timeout=90)
        dev.expect("/srv/index.html", "saved meanwhile")
        dev.expect("/srv/new", "new meanwhile")
        self.assertEqual(dev.read("/slow"), b"2")

    def test_ctrl_c_during_a_build(self):
        project = self.slow()
        dev = self.dev(project, wait=False)
        dev.wait("build", status="started")
        self.assertEqual(dev.end(), 130)
        self.assertNothingLeft(project)

    def test_auto_knows_what_a_run_could_have_read(self):
        base = self.base_image()
        project = self.site(AUTO)
        project.write("src/input", "raw")
        project.write("Dockerfile", f"FROM {base}\nCOPY src /src\nRUN tr a-z A-Z </src/input >/made\nCOPY www /srv\nCMD {STAY_COMMAND}\n")
        dev = self.dev(project)
        mark = dev.mark()
        project.write("www/index.html", "copied")
        dev.expect("/srv/index.html", "copied")
        self.assertCopied(dev, mark)
        project.write("src/input", "changed")
        dev.expect("/made", "CHANGED")
        self.assertTrue(dev.count("decision", mark, decision="rebuild"))

    def test_the_image_name_may_have_a_registry(self):
        project = self.site()
        project.image = f"registry.example:5000/team/{project.image}"
        project.configure(MANUAL)
        self.addCleanup(harness.remove_leftovers, project.image)
        dev = self.dev(project)
        project.write("www/index.html", "there")
        dev.expect("/srv/index.html", "there")


@on("docker")
class Containers(Scenario):
    def test_restarted_during_a_sync(self):
        project = self.site()
        dev = self.dev(project)
        container = dev.container()
        project.write("www/index.html", "before")
        docker("restart", "-t", "1", container)
        project.write("www/index.html", "after")
        dev.expect("/srv/index.html", "after")

    def test_paused_then_catches_up(self):
        project = self.site()
        dev = self.dev(project)
        container, mark = dev.container(), dev.mark()
        docker("pause", container)
        dev.wait("instance", mark, status="paused")
        project.write("www/index.html", "while it was paused")
        dev.wait("sync", mark, status="failed")
        dev.says("is paused")
        docker("unpause", container)
        dev.wait("instance", mark, status="running")
        dev.expect("/srv/index.html", "while it was paused")
        dev.wait("sync", mark, status="succeeded")

    def test_killed_and_saved_again(self):
        project = self.site()
        dev = self.dev(project)
        container = dev.container()
        mark = dev.mark()
        docker("kill", container)
        dev.wait("instance", mark, status="exited")
        project.write("www/index.html", "into an exited one")
        dev.wait("idle", mark)

        def carried():
            found = harness.containers(project.image)
            data = docker("cp", f"{found[0]}:/srv/index.html", "-", check=False) if found else b""
            return data and harness.tree_of_tar(data)[b"index.html"].content == b"into an exited one"
        dev.eventually(carried, what="the file in the exited container")

    def test_a_read_only_root_says_so(self):
        project = self.site()
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nVOLUME /data\nCMD {STAY_COMMAND}\n")
        project.configure("manual:\n- {src: 'www/**', dest: /proc/skiff, strip: www/}")
        dev = self.dev(project)
        mark = dev.mark()
        project.write("www/index.html", "nowhere to go")
        dev.wait("error", mark)
        dev.says("/proc/skiff")

    def test_a_tmpfs_never_loses_a_file_silently(self):
        project = self.site("manual:\n- {src: 'www/**', dest: /dev/shm/pages, strip: www/}")
        dev = self.dev(project)
        mark = dev.mark()
        project.write("www/index.html", "in memory")

        def told_or_there():
            if dev.count("error", mark) or dev.count("sync", mark, status="failed"):
                return True
            got = docker("exec", dev.container(), "/bin/busybox", "cat", "/dev/shm/pages/index.html", check=False)
            return got == b"in memory"
        dev.eventually(told_or_there, what="the file, or words about it")

    def test_a_volume_gets_its_file(self):
        project = self.site()
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nVOLUME /srv\nCMD {STAY_COMMAND}\n")
        dev = self.dev(project)
        project.write("www/index.html", "in the volume")
        dev.eventually(lambda: docker("exec", dev.container(), "/bin/busybox", "cat", "/srv/index.html", check=False) == b"in the volume",
                       what="the file in the volume")

    def test_another_user_in_the_container(self):
        project = self.site()
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nUSER 1000\nCMD {STAY_COMMAND}\n")
        dev = self.dev(project)
        project.write("www/index.html", "as somebody")
        dev.expect("/srv/index.html", "as somebody")
        project.remove("www/index.html")
        dev.expect("/srv/index.html", None)

    def test_a_delete_where_there_is_no_rm(self):
        project = self.site()
        project.remove("bin/rm")
        dev = self.dev(project)
        project.remove("www/index.html")
        dev.expect("/srv/index.html", None)

    def test_a_container_of_a_like_named_image_is_left_alone(self):
        project = self.site()
        docker("build", "-q", "-t", f"{project.image}:other", str(project.root))
        other = docker("run", "-d", "--name", project.image, f"{project.image}:other").decode().strip()
        self.addCleanup(docker, "rm", "-f", "-v", other, check=False)
        dev = self.dev(project)
        project.write("www/index.html", "only for ours")
        dev.expect("/srv/index.html", "only for ours")
        self.assertEqual(harness.tree_of_tar(docker("cp", f"{other}:/srv/index.html", "-"))[b"index.html"].content, b"first")
        self.assertEqual(dev.end(), 130)
        self.assertIn(other, docker("ps", "-q", "--no-trunc").decode())

    def test_no_cleanup(self):
        project = self.site()
        dev = self.dev(project, "--cleanup=false")
        self.assertEqual(dev.end(), 130)
        self.assertEqual(len(harness.containers(project.image, running=True)), 1)

    def test_container_hooks(self):
        project = self.site(MANUAL + "\nhooks:\n  after:\n  - container: {command: [/bin/busybox, sh, -c, 'echo seen >>/hooked']}")
        dev = self.dev(project)
        project.write("www/index.html", "hooked")
        dev.expect("/hooked", "seen\n")

    def test_ports_are_published_and_told(self):
        project = self.site()
        serve = harness.json.dumps(["/bin/busybox", "sh", "-c", "trap 'exit 0' TERM; /bin/busybox httpd -f -p 8080 -h /srv & wait $!"])
        project.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nEXPOSE 8080\nCMD {serve}\n")
        dev = self.dev(project)
        deploy = dev.wait("deploy", status="succeeded")
        port = deploy["ports"][0]
        local = port["local"] if isinstance(port, dict) else port
        project.write("www/index.html", "served")
        dev.expect("/srv/index.html", "served")
        with urllib.request.urlopen(f"http://127.0.0.1:{local}/index.html", timeout=10) as answer:
            self.assertEqual(answer.read(), b"served")

    def test_a_storm_while_the_container_is_replaced(self):
        project = self.site()
        dev = self.dev(project)
        with open(project.path("Dockerfile")) as file:
            text = file.read()
        for n in range(3):
            project.write("Dockerfile", text + f"LABEL n={n}\n")
            project.write("www/index.html", f"round {n}")
        dev.expect("/srv/index.html", "round 2", timeout=90)
