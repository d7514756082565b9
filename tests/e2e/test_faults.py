"""Faults at every step, and after each the laws: no change is lost (1), what is idle is equal (2), no reader sees half a file (4), what
restarts catches up (5). Random, one seed each; `script/test faults --seed N` does the same again, --rounds N takes longer."""

import contextlib
import json
import os
import pathlib
import random
import secrets
import shutil
import signal
import subprocess
import threading

import harness
import scenario
from harness import AUTO, MANUAL, difference, docker
from own_engine import OwnEngine
from proxy import Proxy
from scenario import Scenario

LINE = 18  # bytes of one line of a page; reader.c
PATIENCE = 90  # seconds: a line that is silent is given up after one minute
LARGE = 50 << 20


def page(version, lines):
    """What reader.c can tell a mixture of: so many times the same line."""
    return f"{version:08d} {lines:08d}\n".encode() * lines


def processes_of(container):
    """pid → arguments of what runs in a container, as the host sees it."""
    state = json.loads(docker("inspect", container))[0]["State"]
    found = {}
    with contextlib.suppress(OSError):
        inside = os.stat(f"/proc/{state['Pid']}/ns/pid").st_ino
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.stat(entry / "ns/pid").st_ino == inside:
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().split(b"\0")[:-1]
    return found


def agents_of(container):
    return [pid for pid, arguments in processes_of(container).items()
            if arguments and arguments[0] == b"/.skiff/agent" and b"supervise" not in arguments]


def send_signal(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Pages:
    """The project's pages, and random edits of them."""

    def __init__(self, project, random_):
        self.project, self.random, self.version = project, random_, 1

    def new(self, lines=None):
        self.version += 1
        return page(self.version, lines or self.random.choice([1, 3, 50, 400, 4000]))

    def save(self, name, content):
        """As editors do. What is written over where it is may be half a file itself when it is carried: the reader takes it as it comes."""
        self.project.replace(f"www/{name}", content)
        if self.random.random() < 0.3:
            self.project.write(f"www/other-{name}", content)

    def names(self):
        return sorted(path.name for path in self.project.file("www").iterdir() if path.name.startswith("page-"))

    def small(self):
        for _ in range(self.random.choice([1, 1, 3])):
            self.save(f"page-{self.random.randrange(12)}", self.new())
        self.save("stays", self.new())
        if self.random.random() < 0.4 and self.names():
            os.unlink(self.project.path(f"www/{self.random.choice(self.names())}"))
        if self.random.random() < 0.3:
            os.chmod(self.project.path("www/stays"), self.random.choice([0o644, 0o755, 0o600]))

    def large(self):
        """50 MB: new, or a little of it changed where it is."""
        path = self.project.path("www/other-large")
        if not os.path.exists(path) or self.random.random() < 0.3:
            self.project.write("www/other-large", self.random.randbytes(1 << 20) * (LARGE >> 20))
            return
        with open(path, "r+b") as file:
            file.seek(self.random.randrange(LARGE - 1024))
            file.write(self.random.randbytes(1024))

    def many(self):
        """2,000 files, new or anew."""
        self.version += 1
        folder = f"www/many-{self.random.randrange(2)}"
        save = self.project.replace if os.path.exists(self.project.path(folder)) else self.project.write
        for n in range(2000):
            save(f"{folder}/{n}", page(self.version, 1 + n % 7))

    def some(self):
        """The kinds by what they cost."""
        self.random.choices([self.small, self.large, self.many], [8, 2, 1])[0]()


class Faulty(Scenario):
    runtimes = ("docker",)

    def setUp(self):
        self.seed = scenario.settings.seed if scenario.settings.seed is not None else secrets.randbelow(1 << 31)
        self.random = random.Random(self.seed)

    def seeded(self):
        print(f"# {self._testMethodName}: script/test faults --seed {self.seed}", flush=True)

    def reader_site(self, sync=MANUAL, pause_us=1000):
        """A site whose program is the reader."""
        project = self.project()
        os.makedirs(project.path("bin"))
        subprocess.run(["cc", "-static", "-O1", "-o", project.path("bin/reader"), str(harness.ROOT / "tests/e2e/reader.c")], check=True)
        shutil.copy(harness.BUSYBOX, project.path("bin/busybox"))
        project.write("bin/.of", project.image)
        project.write("Dockerfile", f'FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCMD ["/bin/reader", "/srv", "{pause_us}"]\n')
        project.write("www/stays", page(1, 400))
        project.write("www/page-0", page(1, 3))
        project.configure(sync)
        return project

    def through_a_proxy(self, project):
        proxy = Proxy(project.base / "docker.sock", os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://"))
        self.addCleanup(proxy.close)
        return proxy, {"DOCKER_HOST": f"unix://{proxy.path}"}

    def pause(self, dev, seconds):
        """A moment in the middle of what is under way: whichever comes first, so much time or the next event."""
        with dev.changed:
            dev.changed.wait(seconds)

    # The laws.

    def unequal(self, project):
        """Lines that say where the container differs from the sources."""
        wanted = harness.tree_of_directory(project.file("www"))
        found = harness.containers(project.image)
        if len(found) != 1:
            return [f"{len(found)} containers"]
        data = self.pages_inside(found[0])
        tree = harness.tree_of_tar(data) if data else {}
        return difference({os.path.relpath(name, b"."): entry for name, entry in tree.items() if name != b"."}, wanted)

    def pages_inside(self, container):
        """What is below /srv, as a tar file."""
        return docker("cp", f"{container}:/srv/.", "-", check=False)

    def converges(self, dev, note, timeout=PATIENCE):
        """Laws 1, 2 and 5: it comes to rest without an error that stands, and then the container holds what the sources are."""
        last = []

        def same():
            event = dev.events[-1] if dev.events else None
            if not event or event["type"] != "idle" or event["errors"]:
                last[:] = [f"the last event is {event}"]
                return False
            last[:] = self.unequal(dev.project)
            return not last
        try:
            dev.eventually(same, timeout)
        except harness.Failure as failure:
            self.fail(f"seed {self.seed}, {note}: it does not converge:\n" + "\n".join(last) + f"\n{failure}")

    def told_not_atomic(self, dev):
        return any(event["type"] == "sync" and event.get("atomic") is False for event in dev.events)

    def assertWhole(self, dev, note):
        """Law 4; where something was carried without an agent, and said so, it does not hold."""
        torn = [line for line in dev.text().splitlines() if "TORN" in line]
        for one in harness.containers(dev.project.image):
            torn += docker("logs", one, check=False).decode().splitlines()
        if torn and not self.told_not_atomic(dev):
            self.fail(f"seed {self.seed}, {note}: law 4: " + "\n".join(torn[:10]) + f"\n{dev.failure('')}")

    def reads(self, dev):
        return int(dev.read("/reads") or 0)


class AnyFault(Faulty):
    """Random edits, and in the middle of them a fault."""

    def agents(self):
        return [pid for one in harness.containers(self.one.image, running=True) for pid in agents_of(one)]

    def container_does(self, *arguments):
        for one in harness.containers(self.one.image, running=True):
            docker(*arguments, one, check=False)

    # Each fault: done at once; what it returns heals it.

    def agent_killed(self):
        send_signal(self.agents(), signal.SIGKILL)

    def agent_ended(self):
        send_signal(self.agents(), signal.SIGTERM)

    def agent_stopped(self):
        stopped = self.agents()
        send_signal(stopped, signal.SIGSTOP)
        return lambda: send_signal(stopped, signal.SIGCONT)

    def agent_stopped_and_killed(self):
        stopped = self.agents()
        send_signal(stopped, signal.SIGSTOP)
        return lambda: send_signal(stopped, signal.SIGKILL)

    def container_killed(self):
        self.container_does("kill")
        return self.start_again

    def container_stopped(self):
        self.container_does("stop", "-t", "1")
        return self.start_again

    def start_again(self):
        for one in harness.containers(self.one.image):
            docker("start", one, check=False)

    def container_restarted(self):
        self.container_does("restart", "-t", "0")

    def container_paused(self):
        self.container_does("pause")
        return lambda: [docker("unpause", one, check=False) for one in harness.containers(self.one.image)]

    def container_removed(self):
        self.container_does("rm", "-f", "-v")

    def lines_dropped(self):
        self.proxy.drop_all()

    def line_cut(self):
        self.proxy.arm(self.random.choice(["in", "out"]), int(self.random.paretovariate(0.5)))
        return self.proxy.disarm

    def line_slow(self):
        self.proxy.slow(delay=self.random.choice([0, 0.02, 0.1]), rate=self.random.choice([1 << 10, 64 << 10, 1 << 20]))
        return self.proxy.slow

    def skiff_killed(self):
        self.dev_.process.kill()
        self.dev_.process.wait()
        self.dev_.reader.join(5)
        self.before.append(self.dev_)
        self.dev_ = self.dev(self.one, env=self.env, wait=False)

    FAULTS = {agent_killed: 6, agent_ended: 3, agent_stopped: 3, agent_stopped_and_killed: 2, container_killed: 2, container_stopped: 1, container_restarted: 3,
              container_paused: 2, container_removed: 2, lines_dropped: 3, line_cut: 4, line_slow: 2, skiff_killed: 2}

    def round(self, pages, number):
        fault = self.random.choices(list(self.FAULTS), list(self.FAULTS.values()))[0]
        note = f"round {number}: {fault.__name__}"
        pages.some()
        self.pause(self.dev_, self.random.random() * self.random.choice([0, 0.03, 0.3]))
        heal = fault(self)
        for _ in range(self.random.choice([0, 1, 2])):
            pages.small()
            self.pause(self.dev_, self.random.random() * 0.1)
        if heal:
            self.pause(self.dev_, self.random.random() * 0.5)
            heal()
        self.converges(self.dev_, note)
        self.assertWhole(self.dev_, note)

    def check(self, sync):
        self.seeded()
        self.one, self.before = self.reader_site(sync), []
        self.proxy, self.env = self.through_a_proxy(self.one)
        self.dev_ = self.dev(self.one, env=self.env)
        pages = Pages(self.one, self.random)
        for number in range(scenario.settings.rounds * 2):
            self.round(pages, number)
        self.assertEqual(self.dev_.end(), 130)
        syncs = [event for dev in [*self.before, self.dev_] for event in dev.events if event["type"] == "sync"]
        print(f"# {self._testMethodName}: {len(syncs)} syncs, {sum(event['status'] == 'failed' for event in syncs)} failed, "
              f"{sum(not event['atomic'] for event in syncs)} not atomic", flush=True)

    def test_with_manual_rules(self):
        self.check(MANUAL)

    def test_with_auto(self):
        self.check(AUTO)


class Lines(Faulty):
    """One line, and where it breaks."""

    def batch(self, project, number):
        """A batch with something of each kind: new, changed, larger than a frame, deleted, a link, a directory, a mode."""
        project.replace("www/stays", page(number, 400))
        project.replace("www/larger", page(number, 20000))
        project.replace(f"www/new-{number}", page(number, 3))
        project.remove(f"www/new-{number - 1}")
        project.write(f"www/folder-{number}/in/it", page(number, 1))
        os.symlink(f"to-{number}", project.path("www/link.new"))
        os.rename(project.path("www/link.new"), project.path("www/link"))
        project.remove(f"www/folder-{number - 1}")

    def test_cut_at_any_byte(self):
        """The agent's line is cut after each of a sample of bytes of a whole batch, towards it and from it, also while another is opened."""
        self.seeded()
        project = self.reader_site()
        project.write("www/new-1", page(1, 3))
        project.write("www/folder-1/in/it", page(1, 1))
        proxy, env = self.through_a_proxy(project)
        dev = self.dev(project, env=env)
        self.batch(project, 2)
        self.converges(dev, "whole")
        before = proxy.counted()
        self.batch(project, 3)
        self.converges(dev, "recorded")
        whole = {direction: count - before[direction] for direction, count in proxy.counted().items()}
        self.assertGreater(whole["in"], 20000 * LINE)
        print(f"# {self._testMethodName}: a batch takes {whole['in']} bytes in, {whole['out']} out", flush=True)
        offsets = [(direction, at) for direction in ("in", "out") for at in range(whole[direction])]
        # Frames begin and end at the start and at the end; the middle is one file's bytes.
        close = [(direction, at) for direction, at in offsets if at < 2000 or at > whole[direction] - 200]
        count = min(4 * scenario.settings.rounds, len(close))
        chosen = self.random.sample(close, count) + self.random.sample(offsets, count // 2)
        for number, (direction, at) in enumerate(chosen, 4):
            proxy.arm(direction, at)
            self.batch(project, number)
            note = f"batch {number}, cut after {at} bytes {direction}"
            self.converges(dev, note)
            self.assertWhole(dev, note)
        proxy.disarm()
        print(f"# {self._testMethodName}: {proxy.cuts} cuts", flush=True)
        self.assertGreater(proxy.cuts, len(chosen) // 2)
        self.assertFalse(self.told_not_atomic(dev), "one line that breaks is no reason to go on without an agent")

    def test_slow(self):
        """1 KB a second for a while, and then as fast as before."""
        project = self.reader_site()
        proxy, env = self.through_a_proxy(project)
        dev = self.dev(project, env=env)
        proxy.slow(delay=0.05, rate=1 << 10)
        self.batch_of_two(project, 2)
        self.pause(dev, 1)
        self.batch_of_two(project, 3)
        self.pause(dev, 2)
        proxy.slow()
        self.converges(dev, "fast again")
        self.assertWhole(dev, "slow")

    @staticmethod
    def batch_of_two(project, number):
        project.replace("www/stays", page(number, 400))
        project.replace("www/page-0", page(number, 100))

    def test_a_reader_never_sees_half_a_file(self):
        """Hundreds of replacements of a file that is read without a pause: never a mixture, never missing."""
        project = self.reader_site(pause_us=0)
        project.remove("www/page-0")
        dev = self.dev(project)
        for number in range(2, 40 * scenario.settings.rounds):
            mark = dev.mark()
            project.replace("www/stays", page(number, 1 + number * 37 % 2500))
            dev.wait("sync", mark, status="succeeded", atomic=True)
        self.converges(dev, "replaced")
        self.assertWhole(dev, "replaced")
        print(f"# {self._testMethodName}: {dev.count('sync')} replacements, {self.reads(dev)} reads", flush=True)
        dev.eventually(lambda: self.reads(dev) > dev.count("sync"), what="more reads than replacements")

    def test_agent_killed_again_and_again(self):
        """Once a second: what breaks that often is still no reason to lose anything, and an agent carries in the end."""
        project = self.reader_site()
        dev = self.dev(project)
        for number in range(2, 8):
            project.replace("www/stays", page(number, 400))
            project.replace("www/page-0", page(number, 4000))
            send_signal(agents_of(dev.container()), signal.SIGKILL)
            self.pause(dev, 0.05)
            send_signal(agents_of(dev.container()), signal.SIGKILL)
            self.converges(dev, f"killed, {number}")
        self.assertWhole(dev, "killed")


class Disks(Faulty):
    def volume(self, project, size):
        """A volume in memory of so many bytes, where the pages go."""
        name = f"{project.image}-disk"
        docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", f"o=size={size}", name)
        self.addCleanup(docker, "volume", "rm", "-f", name, check=False)
        project.write("skiff.yaml", f"deploy:\n  docker:\n    run:\n      {project.image}:\n        volumes: ['{name}:/srv']\n")

    def pages_inside(self, container): # a volume in memory is not in what the engine gives out
        return docker("exec", container, "/bin/busybox", "tar", "-cf", "-", "-C", "/srv", ".", check=False)

    def test_full_in_the_middle_of_a_batch(self):
        self.seeded()
        project = self.reader_site()
        project.remove("www/page-0")  # a volume in memory is empty once the container starts
        self.volume(project, 1 << 20)
        dev = self.dev(project)
        for number in range(2, 2 + scenario.settings.rounds):
            mark = dev.mark()
            project.replace("www/stays", page(number, 1000))
            for n in range(4):
                project.replace(f"www/fits-{n}", page(number, self.random.randrange(1, 500)))
            project.write("www/other-large", self.random.randbytes(self.random.randrange(1025 << 10, 2 << 20)))
            project.replace("www/fits-after", page(number, 100))
            dev.wait("sync", mark, status="failed")
            event = dev.wait("idle", mark, errors=1)
            self.assertTrue(event["errors"])
            dev.says("no space is left")
            # There is room again: nothing was torn, and all of it comes.
            project.write("www/other-large", b"small now")
            project.replace("www/stays", page(number, 1001))
            self.converges(dev, f"round {number}")
            self.assertWhole(dev, f"round {number}")


class Engines(Faulty):
    """The engine itself is killed: one of the test's own."""

    def engine(self, *options):
        engine, before = OwnEngine(*options), os.environ.get("DOCKER_HOST")
        self.addCleanup(engine.end)
        os.environ.update(engine.environment())

        def as_before():
            os.environ.pop("DOCKER_HOST")
            if before:
                os.environ["DOCKER_HOST"] = before
        self.addCleanup(as_before)
        return engine

    def check(self, *options):
        self.seeded()
        engine, project = self.engine(*options), self.reader_site()
        pages = Pages(project, self.random)
        dev = self.dev(project)
        for number in range(max(2, scenario.settings.rounds // 3)):
            pages.some()
            self.pause(dev, self.random.random() * 0.1)
            engine.kill()
            for _ in range(self.random.choice([1, 3])):
                pages.small()
                self.pause(dev, self.random.random() * 0.5)
            engine.start()
            for one in harness.containers(project.image):
                docker("start", one, check=False)
            pages.small()
            self.converges(dev, f"killed {number + 1} times")
            self.assertWhole(dev, "engine killed")

    def test_killed(self):
        """Its containers end with it, when it is started again."""
        self.check()

    def test_killed_and_containers_live_on(self):
        self.check("--live-restore")


class Peaks(threading.Thread):
    """The most anonymous memory (MiB) that processes had, looked at every few milliseconds until the end of the `with`."""

    def __init__(self, **pids):
        super().__init__(daemon=True)
        self.pids, self.peaks, self.ended = pids, dict.fromkeys(pids, 0), threading.Event()

    def run(self):
        while not self.ended.wait(0.01):
            for name, pid in self.pids.items():
                with contextlib.suppress(OSError):
                    status = pathlib.Path(f"/proc/{pid}/status").read_text()
                    found = [int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("RssAnon:")]
                    self.peaks[name] = max([self.peaks[name], *found])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


class Memory(Faulty):
    """Bounds of anonymous resident memory. What sanitizers take is theirs: a build with them may have more."""

    def begin(self):
        self.sanitized = b"__asan_init" in scenario.settings.skiff.read_bytes()
        project = self.reader_site()
        # Without what AddressSanitizer keeps of freed memory.
        dev = self.dev(project, env={"ASAN_OPTIONS": "quarantine_size_mb=1:thread_local_quarantine_size_kb=16"})
        project.replace("www/stays", page(2, 400))
        self.converges(dev, "begun")
        return project, dev

    def peaks(self, dev):
        return Peaks(skiff=dev.process.pid, agent=agents_of(dev.container())[0])

    def within(self, peaks, skiff, agent):
        print(f"# {self._testMethodName}: at most {peaks.peaks} MiB{', sanitized' if self.sanitized else ''}", flush=True)
        self.assertLessEqual(peaks.peaks["skiff"], skiff * (4 if self.sanitized else 1))
        self.assertLessEqual(peaks.peaks["agent"], agent)

    def carried(self, dev, mark, name):
        return dev.wait("sync", mark, timeout=600, status="succeeded", paths=lambda paths: any(path["dest"] == name for path in paths or []))

    def test_a_file_of_4_gb(self):
        """New, and again with a little of it changed: most of it is a hole, but its length travels."""
        project, dev = self.begin()
        # Every byte of it is read, and written there: a short run takes less of the machine.
        size = (4 << 30) if scenario.settings.rounds > 6 else (1 << 30)
        with self.peaks(dev) as peaks:
            for at in (size - 1024, size // 2):
                mark = dev.mark()
                with open(project.path("www/other-sparse"), "ab") as file:
                    file.truncate(size)
                with open(project.path("www/other-sparse"), "r+b") as file:
                    file.seek(at)
                    file.write(self.random.randbytes(1024))
                self.carried(dev, mark, "/srv/other-sparse")
        docker("exec", dev.container(), "/bin/busybox", "rm", "/srv/other-sparse")
        self.within(peaks, skiff=32, agent=32)

    @staticmethod
    def inside(dev):
        return int(docker("exec", dev.container(), "/bin/busybox", "sh", "-c", "/bin/busybox find /srv/many -type f | /bin/busybox wc -l"))

    def test_100_000_files(self):
        """Many small ones at once: what is known of each, never their contents."""
        project, dev = self.begin()
        count = 100_000 if scenario.settings.rounds > 6 else 10_000
        with self.peaks(dev) as peaks:
            for n in range(count):
                project.write(f"www/many/{n % 100}/other-{n}", f"{n}\n" * 100)
            dev.eventually(lambda: dev.events[-1]["type"] == "idle" and self.inside(dev) == count, 300, "all of them")
        self.within(peaks, skiff=12 + count // 1000, agent=8 + count // 2000)
