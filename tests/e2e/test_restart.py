"""A skiff that is killed, or leaves its containers, and is started again (law 5): what runs is adopted, what changed meanwhile is carried, and nothing is
built that need not be. `skiff sync` does the same once."""

import os
import pathlib
import random
import secrets
import signal
import subprocess
import time

import harness
import scenario
from harness import AUTO, INFER, MANUAL, docker
from scenario import Scenario, on
from test_generate import UPPER, auto, generated
from test_laws import Edits


class Restarting(Scenario):
    def kill(self, dev):
        """As the kernel does it to a process that took too much memory."""
        dev.process.kill()
        dev.process.wait()
        dev.end()

    def again(self, project, *arguments, **more):
        """Started again; the events of its start are looked at with assertAdopted."""
        dev = self.dev(project, *arguments, **more)
        self.rest(dev)
        return dev

    def assertAdopted(self, dev, changed=None):
        event = dev.wait("deploy", status="adopted")
        if changed is not None:
            self.assertEqual(event["changed"], changed)
        self.assertEqual(dev.count("build"), 0)
        self.assertEqual(dev.count("deploy", status="succeeded"), 0)
        return event

    def assertDeployed(self, dev):
        """Nothing was adopted; from an image that was there, if possible."""
        dev.wait("deploy", status="succeeded")
        self.assertEqual(dev.count("deploy", status="adopted"), 0)

    def pages(self, dev):
        return {os.fsdecode(name): entry.content for name, entry in dev.tree("/srv").items() if entry.kind == "file"}

    def sources(self, project):
        return {os.fsdecode(name): entry.content for name, entry in harness.tree_of_directory(project.path("www")).items() if entry.kind == "file"}

    def assertSame(self, dev, project):
        self.assertEqual(self.pages(dev), self.sources(project))

    def journal(self, dev):
        [path] = (path for path in pathlib.Path(dev.state, "skiff/journal").iterdir())
        return path

    def sync(self, project, *arguments):
        done = subprocess.run([str(scenario.settings.skiff), "sync", "--runtime", scenario.settings.runtime, *arguments], cwd=project.root, capture_output=True,
                              text=True, timeout=harness.DEADLINE, env={**os.environ, "XDG_STATE_HOME": str(project.base / "state"), "NO_COLOR": "1"})
        self.assertNotRegex(done.stderr, harness.SANITIZER)
        return done


@on("docker")
class Adopting(Restarting):
    def test_what_changed_while_it_was_away_is_carried(self):
        project = self.site(MANUAL, {"index.html": "first", "kept.html": "kept", "gone.html": "gone", "old.html": "moved"})
        dev = self.dev(project)
        container = dev.container()
        self.kill(dev)
        project.write("www/index.html", "second")
        project.write("www/new/deep.html", "new")
        project.remove("www/gone.html")
        project.rename("www/old.html", "www/other.html")
        dev = self.again(project)
        self.assertAdopted(dev, 5)
        self.assertEqual(dev.container(), container)
        self.assertSame(dev, project)
        self.assertIn("adopted", dev.text())
        self.assertIn("5 files changed since", dev.text())
        mark = dev.mark()
        project.write("www/index.html", "third")
        dev.wait("sync", mark, status="succeeded")
        self.assertEqual(dev.read("/srv/index.html"), b"third")

    def test_nothing_changed(self):
        project = self.site()
        self.kill(self.dev(project))
        dev = self.again(project)
        self.assertAdopted(dev, 0)
        self.assertEqual(dev.count("sync"), 0)
        self.assertIn("nothing changed since", dev.text())

    def test_what_was_copied_before_is_known(self):
        project = self.site(MANUAL, {"a": "1", "b": "1", "c": "1"})
        dev = self.dev(project)
        mark = dev.mark()
        for name in "abc":
            project.write(f"www/{name}", "2")
            dev.expect(f"/srv/{name}", "2")
        project.remove("www/c")
        dev.expect("/srv/c", None)
        self.rest(dev, mark)
        self.kill(dev)
        project.write("www/a", "1")  # as it was built
        project.write("www/c", "1")  # comes back as it was built
        dev = self.again(project)
        self.assertAdopted(dev, 2)
        self.assertSame(dev, project)
        self.kill(dev)
        project.remove("www/b")
        dev = self.again(project)
        self.assertAdopted(dev, 1)
        self.assertSame(dev, project)

    def test_modes_and_links(self):
        project = self.site(INFER, {"a": "1", "b": "1"})
        dev = self.dev(project)
        os.symlink("a", project.path("www/link"))
        dev.eventually(lambda: dev.entry("/srv/link"))
        self.kill(dev)
        os.chmod(project.path("www/a"), 0o700)
        project.replace("www/b", "2")
        os.unlink(project.path("www/link"))
        os.symlink("b", project.path("www/link"))
        dev = self.again(project)
        self.assertAdopted(dev, 3)
        self.assertEqual(dev.tree("/srv"), harness.tree_of_directory(project.path("www")))

    def test_a_delete_that_is_a_rebuild(self):
        project = self.site(INFER, {"a": "1", "b": "1"})
        self.kill(self.dev(project))
        project.remove("www/b")
        dev = self.again(project)
        dev.wait("deploy", status="adopted")
        dev.wait("deploy", status="succeeded")
        self.assertSame(dev, project)
        self.assertEqual(len(harness.containers(project.image)), 1)

    def test_a_build_definition(self):
        project = self.site(AUTO)
        self.kill(self.dev(project))
        harness.change(project.file("Dockerfile"), "COPY www /srv\n", "COPY www /srv\nENV A=b\n")
        dev = self.again(project)
        dev.wait("build", status="succeeded")
        self.assertSame(dev, project)

    def test_old_dates(self):
        """A checkout, or a week: dates say nothing."""
        project = self.site(AUTO, {"a": "1", "b": "1"})
        self.kill(self.dev(project))
        old = time.time() - 8 * 86400
        for directory, _, files in os.walk(project.root):
            for name in files:
                os.utime(os.path.join(directory, name), (old, old), follow_symlinks=False)
        baselines = project.base / "state/skiff/baseline"
        for path in [*baselines.iterdir(), *(project.base / "state/skiff/journal").iterdir()]:
            os.utime(path, (old, old))
        project.write("www/b", "2")
        os.utime(project.path("www/b"), (old, old))
        dev = self.again(project)
        self.assertAdopted(dev, 1)
        self.assertSame(dev, project)

    def test_the_image_was_rebuilt_elsewhere(self):
        project = self.site(AUTO, {"a": "1"})
        dev = self.dev(project)
        tag = docker("inspect", "-f", '{{index .Config.Labels "skiff.tag"}}', dev.container()).decode().strip()
        self.kill(dev)
        project.write("www/a", "2")
        docker("build", "-q", "-t", tag, str(project.root))
        dev = self.again(project)
        self.assertAdopted(dev, 1)
        self.assertSame(dev, project)

    def test_another_configuration(self):
        project = self.site(MANUAL)
        self.kill(self.dev(project))
        project.configure(INFER)
        dev = self.again(project)
        self.assertDeployed(dev)
        self.assertEqual(dev.count("build", status="cached"), 1)
        self.assertEqual(len(harness.containers(project.image)), 1)

    def test_one_that_stopped_is_started_anew_without_a_build(self):
        project = self.site(MANUAL, {"a": "1", "b": "1"})
        dev = self.dev(project)
        project.write("www/a", "2")
        dev.expect("/srv/a", "2")
        container = dev.container()
        self.kill(dev)
        docker("kill", container)
        project.write("www/b", "2")
        dev = self.again(project)
        self.assertDeployed(dev)
        self.assertEqual(dev.count("build"), 0)
        self.assertNotEqual(dev.container(), container)
        self.assertSame(dev, project)
        self.assertEqual(len(harness.containers(project.image)), 1)

    def test_one_that_was_removed(self):
        project = self.site(MANUAL)
        dev = self.dev(project)
        container = dev.container()
        self.kill(dev)
        docker("rm", "-f", "-v", container)
        self.assertDeployed(self.again(project))

    def test_containers_that_were_left_on_purpose(self):
        project = self.site(MANUAL)
        dev = self.dev(project, "--cleanup=false")
        project.write("www/index.html", "second")
        dev.expect("/srv/index.html", "second")
        dev.end()
        dev = self.again(project)
        self.assertAdopted(dev, 0)
        self.assertSame(dev, project)
        dev.end()
        self.assertNothingLeft(project)
        self.assertEqual(list((project.base / "state/skiff/journal").iterdir()), [])

    def test_two_at_once(self):
        project = self.site(MANUAL)
        self.kill(self.dev(project))
        dev = self.again(project)
        self.assertAdopted(dev)
        other = self.dev(project, wait=False)
        self.assertEqual(other.process.wait(harness.DEADLINE), 1)
        self.assertIn("another skiff", other.text())
        project.write("www/index.html", "second")
        dev.expect("/srv/index.html", "second")

    def test_a_later_rebuild_replaces_it(self):
        project = self.site(AUTO)
        self.kill(self.dev(project))
        dev = self.again(project)
        before = dev.container()
        harness.change(project.file("Dockerfile"), "COPY www /srv\n", "COPY www /srv\nENV A=b\n")
        dev.wait("deploy", status="succeeded")
        self.rest(dev)
        self.assertNotEqual(dev.container(), before)
        self.assertEqual(len(harness.containers(project.image)), 1)
        self.kill(dev)
        project.write("www/index.html", "second")
        dev = self.again(project)
        self.assertAdopted(dev, 1)
        self.assertSame(dev, project)

    def test_what_run_started(self):
        project = self.site(MANUAL)
        subprocess.run([str(scenario.settings.skiff), "run"], cwd=project.root, check=True, capture_output=True,
                       env={**os.environ, "XDG_STATE_HOME": str(project.base / "state")})
        project.write("www/index.html", "second")
        dev = self.again(project)
        self.assertAdopted(dev, 1)
        self.assertSame(dev, project)


@on("docker")
class DamagedJournal(Restarting):
    def test_at_every_kind_of_place(self):
        """Cut anywhere, it is the journal of a moment before: nothing of what is lacking was sent, or it is started anew. Else damaged: started anew."""
        project = self.site(MANUAL, {"a": "1", "b": "1"})
        dev = self.dev(project)
        project.write("www/a", "2")
        dev.expect("/srv/a", "2")
        self.rest(dev)
        self.kill(dev)
        path = self.journal(dev)
        good = path.read_bytes()
        middle = len(good) // 2
        damaged = [b"", good[:5], good[:40], good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1:], good + bytes(100), None]
        for bytes_ in damaged:
            with self.subTest(journal=bytes_ if bytes_ is None else len(bytes_)):
                path.unlink() if bytes_ is None else path.write_bytes(bytes_)
                dev = self.again(project)
                self.assertDeployed(dev)
                self.assertSame(dev, project)
                project.write("www/a", secrets.token_hex(4))
                dev.eventually(lambda: self.pages(dev) == self.sources(project))
                self.rest(dev)
                self.kill(dev)
        good = path.read_bytes()
        path.write_bytes(good + b"\x40\0\0\0")
        dev = self.again(project)
        self.assertAdopted(dev, 0)
        self.assertSame(dev, project)


@on("docker")
class Generated(Restarting):
    def upper(self, **files):
        project = self.site()
        for name, text in (files or {"a": "one", "b": "two"}).items():
            project.write(f"src/{name}.txt", text)
        project.write(".dockerignore", "skaffold.yaml\nskiff.yaml\nsrc\nout\nruns\n")
        project.configure(auto(generated("echo run >>runs\n" + UPPER, ["src/**"], ("out", "/gen"))))
        return project

    def runs(self, project):
        path = project.file("runs")
        return len(path.read_text().split()) if path.exists() else 0

    def test_what_was_generated_is_neither_made_nor_built_again(self):
        project = self.upper()
        dev = self.dev(project)
        project.write("src/a.txt", "three")
        dev.expect("/gen/a.txt", "THREE")
        self.rest(dev)
        runs = self.runs(project)
        self.kill(dev)
        dev = self.again(project)
        self.assertAdopted(dev, 0)
        self.assertEqual(self.runs(project), runs)
        self.assertEqual(dev.read("/gen/a.txt"), b"THREE")

    def test_inputs_that_changed_while_it_was_away(self):
        project = self.upper()
        dev = self.dev(project)
        project.write("src/a.txt", "three")
        dev.expect("/gen/a.txt", "THREE")
        self.rest(dev)
        self.kill(dev)
        project.write("src/a.txt", "one")  # as it was at the first start
        project.write("src/b.txt", "four")
        dev = self.again(project)
        self.assertAdopted(dev, 2)
        dev.expect("/gen/a.txt", "ONE")
        dev.expect("/gen/b.txt", "FOUR")

    def test_kept_bytes_survive(self):
        """A clean while skiff is away takes nothing from a container that comes later."""
        project = self.upper()
        dev = self.dev(project)
        project.write("src/a.txt", "three")
        dev.expect("/gen/a.txt", "THREE")
        self.rest(dev)
        self.kill(dev)
        project.remove("out")
        dev = self.again(project)
        self.assertAdopted(dev)
        self.assertEqual(dev.read("/gen/a.txt"), b"THREE")
        docker("rm", "-f", "-v", dev.container())
        dev.expect("/gen/a.txt", "THREE")
        dev.end()
        self.assertEqual([p for p in (project.base / "state/skiff/kept").iterdir() if p.is_dir()], [])

    def test_killed_while_a_generator_runs(self):
        project = self.upper()
        harness.change(project.file("skaffold.yaml"), "echo run >>runs", "echo run >>runs; if test -e slow; then sleep 1; fi")
        dev = self.dev(project)
        project.write("slow")
        project.write("src/a.txt", "three")
        dev.wait("generate", status="started")
        self.kill(dev)
        project.remove("slow")
        dev = self.again(project)
        self.assertAdopted(dev)
        dev.expect("/gen/a.txt", "THREE")


@on("docker")
class KilledAtRandom(Restarting):
    """At whatever moment it is killed, and whatever is edited meanwhile: in the end the container holds what a fresh build would."""

    def check(self, sync, rebuilds):
        seed = scenario.settings.seed if scenario.settings.seed is not None else secrets.randbelow(1 << 31)
        generator = random.Random(seed)
        print(f"# {self._testMethodName}: seed {seed}", flush=True)
        project = self.site(sync, {f"{name}/{i}": f"{name}{i}" for name in "ab" for i in range(8)})
        dev = self.dev(project)
        adopted = 0
        for round_ in range(8):
            edits = Edits(project, "www", generator, special=False)
            kinds = [Edits.write, Edits.modify, Edits.replace, Edits.mode, Edits.link] + ([Edits.delete, Edits.rename] if rebuilds else [])
            for _ in range(generator.randrange(4)):
                generator.choice(kinds)(edits)
            if generator.random() < 0.3 and rebuilds:
                project.write("Dockerfile", project.file("Dockerfile").read_text() + f"LABEL round={round_}\n")
            with dev.changed:
                dev.changed.wait(generator.random() * 0.3)
            self.kill(dev)
            for _ in range(generator.randrange(4)):
                generator.choice(kinds)(edits)
            dev = self.dev(project)
            wanted = harness.tree_of_directory(project.path("www"))
            try:
                dev.eventually(lambda: dev.events[-1]["type"] == "idle" and not self.differs(dev, wanted), timeout=60)
            except harness.Failure as failure:
                self.fail(f"seed {seed}, round {round_}:\n" + "\n".join(self.differs(dev, wanted)) + f"\n{failure}")
            adopted += dev.count("deploy", status="adopted")
        print(f"# {self._testMethodName}: {adopted} of 8 adopted", flush=True)

    def differs(self, dev, wanted):
        files = {path: entry for path, entry in wanted.items() if entry.kind != "directory"}
        return harness.difference({path: entry for path, entry in dev.tree("/srv").items() if entry.kind != "directory"}, files)

    def test_copies(self):
        self.check(MANUAL, False)

    def test_copies_and_deletes(self):
        self.check(MANUAL, True)

    def test_rebuilds(self):
        self.check(AUTO, True)


@on("docker")
class SyncOnce(Restarting):
    def test_it_brings_up_to_date(self):
        project = self.site(MANUAL, {"a": "1", "b": "1"})
        dev = self.dev(project)
        container = dev.container()
        self.kill(dev)
        project.write("www/a", "2")
        project.remove("www/b")
        done = self.sync(project)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(dev.container(), container)
        self.assertSame(dev, project)
        self.assertIn("adopted", done.stderr)
        project.write("www/c", "3")
        self.assertEqual(self.sync(project).returncode, 0)
        self.assertSame(dev, project)
        self.assertEqual(len(harness.containers(project.image)), 1)
        dev = self.again(project)
        self.assertAdopted(dev, 0)

    def test_nothing_is_running(self):
        project = self.site(MANUAL)
        done = self.sync(project)
        self.assertEqual(done.returncode, 1)
        self.assertIn("skiff dev", done.stderr)
        self.assertNothingLeft(project)

    def test_another_skiff_lives(self):
        project = self.site(MANUAL)
        dev = self.dev(project)
        done = self.sync(project)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another skiff", done.stderr)
        project.write("www/index.html", "second")
        dev.expect("/srv/index.html", "second")

    def test_a_rebuild_is_due(self):
        project = self.site(AUTO)
        dev = self.dev(project)
        container = dev.container()
        project.write("www/index.html", "copied before")  # the container is looked into again, which goes well
        dev.expect("/srv/index.html", "copied before")
        self.kill(dev)
        harness.change(project.file("Dockerfile"), "COPY www /srv\n", "COPY www /srv\nENV A=b\n")
        done = self.sync(project)
        self.assertEqual(done.returncode, 1)
        self.assertIn("a rebuild is due", done.stderr)
        self.assertIn("Dockerfile", done.stderr)
        self.assertNotIn("building", done.stderr)
        self.assertEqual(dev.container(), container)
        dev = self.again(project)
        dev.wait("build", status="succeeded")

    def test_another_configuration(self):
        project = self.site(MANUAL)
        dev = self.dev(project)
        container = dev.container()
        self.kill(dev)
        project.configure(INFER)
        done = self.sync(project)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another configuration", done.stderr)
        self.assertEqual(dev.container(), container)

    def test_what_run_started(self):
        project = self.site(MANUAL)
        subprocess.run([str(scenario.settings.skiff), "run"], cwd=project.root, check=True, capture_output=True,
                       env={**os.environ, "XDG_STATE_HOME": str(project.base / "state")})
        [container] = harness.containers(project.image)
        project.write("www/index.html", "second")
        done = self.sync(project)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"second", docker("cp", f"{container}:/srv/index.html", "-"))
