"""Law 3: after any series of edits the container holds what a fresh build of the same tree would. Random edits, one seed each."""

import os
import pathlib
import random
import secrets
import shutil
import subprocess
import tempfile

import harness
import scenario
from harness import AUTO, INFER, MANUAL, STAY_COMMAND, difference, docker
from scenario import Scenario, on

NAMES = ["a", "b", "index.html", "with space", "ünï", "-dash", "x.tmp", "deep", "z*", "q'"]


class Edits:
    """Random edits of a tree below one folder of a project; each picks what is there at that moment."""

    # Of a file that rules carry, set-user-id is the person's word; what the image has of it differs between builders.
    MODES, SPECIAL = [0o644, 0o755, 0o600, 0o664, 0o000], [0o4755, 0o2711]

    def __init__(self, project, folder, random_, special=True):
        self.file_modes = self.MODES + (self.SPECIAL if special else [])
        self.project, self.root, self.random = project, os.path.join(str(project.root), folder), random_

    def all(self, kinds):
        found = []
        for directory, names, files in os.walk(self.root):
            for name in names + files:
                path = os.path.join(directory, name)
                kind = "link" if os.path.islink(path) else "directory" if os.path.isdir(path) else "file"
                if kind in kinds:
                    found.append(path)
        return sorted(found)

    def place(self):
        """A path that may or may not be there, in a directory that is."""
        directories = [self.root] + [d for d in self.all({"directory"}) if d.count("/") - self.root.count("/") < 4]
        return os.path.join(self.random.choice(directories), self.random.choice(NAMES))

    def clear(self, path):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)

    def bytes(self):
        return self.random.randbytes(self.random.choice([0, 1, 10, 1000, 70000]))

    def write(self):
        path = self.place()
        if os.path.isdir(path) or os.path.islink(path):
            self.clear(path)
        with open(path, "wb") as file:
            file.write(self.bytes())

    def modify(self):
        for path in self.pick({"file"}):
            with open(path, "r+b") as file:
                file.truncate(self.random.randrange(5))
                file.seek(0, 2)
                file.write(self.bytes())

    def replace(self):
        for path in self.pick({"file"}):
            with open(path + "~", "wb") as file:
                file.write(self.bytes())
            os.rename(path + "~", path)

    def mode(self):
        for path in self.pick({"file"}):
            os.chmod(path, self.random.choice(self.file_modes))

    def directory_mode(self):
        for path in self.pick({"directory"}) or [self.root]:
            os.chmod(path, self.random.choice([0o755, 0o700, 0o1777, 0o2775, 0o555]))

    def root_mode(self):
        os.chmod(self.root, self.random.choice([0o755, 0o700, 0o775]))

    def delete(self):
        for path in self.pick({"file", "link", "directory"}):
            self.clear(path)

    def rename(self):
        for path in self.pick({"file", "link", "directory"}):
            goal = self.place()
            if not (goal + "/").startswith(path + "/") and not (path + "/").startswith(goal + "/"):
                self.clear(goal)
                os.rename(path, goal)

    def directory(self):
        path = self.place()
        self.clear(path)
        os.makedirs(os.path.join(path, self.random.choice(["", "nested"])))

    def link(self):
        path = self.place()
        self.clear(path)
        os.symlink(self.random.choice(["a", "../a", "/srv/a", "nowhere"]), path)

    def pick(self, kinds):
        paths = self.all(kinds)
        return [self.random.choice(paths)] if paths else []

    KINDS = [write, write, write, modify, modify, replace, mode, directory_mode, root_mode, delete, rename, directory, link]

    def some(self):
        for _ in range(self.random.choice([1, 1, 2, 5, 20])):
            self.random.choice(self.KINDS)(self)


def files_of(tree):
    """Without the directories: those that hold what a generator makes are nobody's business."""
    return {path: entry for path, entry in tree.items() if entry.kind != "directory"}


@on("docker")
class ASyncIsARebuildSooner(Scenario):
    def fresh(self, project):
        """The file system of a build from nothing of the tree as it is now."""
        tag = f"{project.image}:fresh"
        docker("build", "-q", "--no-cache", "-t", tag, str(project.root))
        container = docker("create", tag).decode().strip()
        try:
            return harness.tree_of_tar(docker("export", container))
        finally:
            docker("rm", "-f", "-v", container)
            docker("rmi", "-f", tag, check=False)

    def check(self, project, folders, special=True):
        seed = scenario.settings.seed if scenario.settings.seed is not None else secrets.randbelow(1 << 31)
        generator = random.Random(seed)
        print(f"# {self._testMethodName}: script/test laws --seed {seed}", flush=True)
        dev = self.dev(project)
        for round_ in range(scenario.settings.rounds):
            Edits(project, generator.choice(folders), generator, special).some()
            wanted = self.fresh(project)
            last = []

            def same():
                last[:] = difference(dev.tree("/"), wanted, owners=True)
                return not last
            try:
                dev.eventually(same, timeout=60)
            except harness.Failure as failure:
                self.fail(f"seed {seed}, round {round_}: after 60 s the container still differs from a fresh build:\n" + "\n".join(last) + f"\n{failure}")

        print(f"# {self._testMethodName}: {dev.count('sync')} syncs, {dev.count('build')} events of builds", flush=True)

    def tree(self, sync):
        project = self.site(sync, {"index.html": "1", "a": "2", "deep/a": "3", "deep/b/c": "4", "x.tmp": "ignored"})
        project.write(".dockerignore", "**/*.tmp\n")
        return project

    def test_manual(self):
        project = self.site(MANUAL, {"index.html": "1", "a": "2", "deep/a": "3", "deep/b/c": "4"})
        self.check(project, ["www"], special=False)

    def test_infer(self):
        self.check(self.tree(INFER), ["www"])

    def test_auto(self):
        self.check(self.tree(AUTO), ["www"])

    def test_auto_with_owners(self):
        project = self.tree(AUTO)
        project.write("accounts/passwd", "root:x:0:0::/:\nbob:x:77:88::/:\n")
        project.write("accounts/group", "root:x:0:\nstaff:x:50:\nbob:x:99:\n")
        project.write("more/a", "named")
        project.write("Dockerfile", "FROM scratch AS one\nCOPY --chown=5:6 more /more\nFROM scratch\nCOPY bin /bin\nCOPY accounts /etc\n"
                      "COPY --chown=1000 www /srv\nCOPY --chown=bob:staff more /named\nCOPY more /roots\nCOPY --from=one /more /kept\n"
                      f"USER bob\nCMD {STAY_COMMAND}\n")
        self.check(project, ["www", "more"])

    def test_auto_with_a_run(self):
        base = self.base_image()
        project = self.tree(AUTO)
        project.write("src/a", "input")
        project.write("Dockerfile", f"FROM {base} AS made\nCOPY src /src\nRUN find /src | sort >/list\n"
                      f"FROM {base}\nCOPY --from=made /list /list\nCOPY --from=made /src /from\nCOPY www /srv\nCMD {STAY_COMMAND}\n")
        self.check(project, ["www", "www", "src"])


class Saves(Edits):
    """What happens to sources: mostly saved, now and then renamed or removed, which is a rebuild."""

    KINDS = [Edits.write] * 3 + [Edits.modify] * 6 + [Edits.replace] * 4 + [Edits.mode] * 2 + [Edits.link, Edits.delete, Edits.rename, Edits.directory]


# Programs of some milliseconds. What they make they make anew: the laws are about skiff, not about them.
MAKE_ONE = "rm -rf made\ncp -a src made\n"
MAKE_HALF = "rm -rf half\ncp -a src half\nfind src -type f -exec cat {} + | cksum >half/.sum\n"
MAKE_REST = "rm -rf made\nmkdir made\ncp -a half made/copy\ncat half/.sum half/.sum >made/sums\n"
# Empty files are left out, and files with an "a" in their names can be executed.
MAKE_LISTED = r"""rm -rf made
mkdir made
cd src
for f in * ; do
	[ -L "$f" ] || [ -s "$f" ] || continue
	cp -a -- "$f" "../made/$f"
	case $f in *a*) [ -L "$f" ] || [ -d "$f" ] || chmod 755 "../made/$f" ;; esac
done
cd ..
"""
LIST = r"""echo BEGIN SYNCMAP/1
printf '{"generated": ['
c=
for f in made/*; do
	case ${f#made/} in *a*) m=', "mode": "0755"' ;; *) m= ;; esac
	[ -L "$f" ] || [ -d "$f" ] && m=
	[ -e "$f" ] || [ -L "$f" ] || continue
	printf '%s{"src": "%s", "dest": "/%s"%s}' "$c" "$f" "$f" "$m"
	c=,
done
echo ']}'
"""
PACK = "tar -cf made.tar made\necho SYNC: made.tar\n"


class GeneratedSyncIsARebuildSooner(Scenario):
    def made(self, auto, programs, outputs):
        project = self.project()
        shutil.copy(harness.BUSYBOX, project.file("busybox"))
        copies = "".join(f"COPY {name} /{name}\n" for name in outputs)
        project.write("Dockerfile", f"FROM scratch\nCOPY busybox /bin/busybox\n{copies}CMD {STAY_COMMAND}\n")
        for name, content in {"a": "1", "b": "2", "index.html": "3", "deep/a": "4", "deep/b": "5"}.items():
            project.write(f"src/{name}", content)
        for name, lines in programs.items():
            project.write(name, "#!/bin/sh\nset -e\n" + lines, mode=0o755)
        project.configure("auto:\n" + harness.indent("ignored: [made.tar]\n" + auto, 2))
        return project

    def wanted(self, project, programs, outputs):
        """What a build from nothing has, without the engine: what the programs make of the sources, where the Dockerfile copies it to."""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["cp", "-a", str(project.file("src")), *[str(project.file(name)) for name in programs], folder], check=True)
            for name in programs:
                subprocess.run([f"./{name}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            return {name: files_of(harness.tree_of_directory(os.path.join(folder, name))) for name in outputs}

    def fresh(self, project, outputs):
        tag = f"{project.image}:fresh"
        docker("build", "-q", "--no-cache", "-t", tag, str(project.root))
        container = docker("create", tag).decode().strip()
        try:
            tree = harness.tree_of_tar(docker("export", container))
        finally:
            docker("rm", "-f", "-v", container)
            docker("rmi", "-f", tag, check=False)
        return {name: files_of({path[len(name) + 1:]: entry for path, entry in tree.items() if path.startswith(name.encode() + b"/")})
                for name in outputs}

    def check(self, auto, programs, outputs):
        seed = scenario.settings.seed if scenario.settings.seed is not None else secrets.randbelow(1 << 31)
        generator = random.Random(seed)
        print(f"# {self._testMethodName}: script/test laws --seed {seed}", flush=True)
        project = self.made(auto, programs, outputs)
        dev = self.dev(project)
        rounds = scenario.settings.rounds * 4
        for round_ in range(rounds):
            for _ in range(generator.choice([1, 1, 2, 4])):
                Saves(project, "src", generator, special=False).some()
                with dev.changed:  # the next ones come at whatever moment of the run that these begin
                    dev.changed.wait(generator.random() * 0.15)
            self.disturb(dev, generator)
            wanted, last = self.wanted(project, programs, outputs), []

            def same():
                last[:] = [line for name in outputs for line in difference(files_of(dev.tree("/" + name)), wanted[name])]
                return not last and dev.events[-1]["type"] == "idle"
            try:
                dev.eventually(same, timeout=60)
            except harness.Failure as failure:
                self.fail(f"seed {seed}, round {round_}: after 60 s the container still differs from a fresh build:\n" + "\n".join(last) + f"\n{failure}")
            if self.on_docker and round_ in (rounds // 2, rounds - 1):
                self.assertEqual(self.fresh(project, outputs), wanted)
        print(f"# {self._testMethodName}: {dev.count('generate', status='succeeded')} runs, {dev.count('generate', status='failed')} failed ones, "
              f"{dev.count('sync')} syncs, {dev.count('build')} events of builds", flush=True)

    def disturb(self, dev, generator):
        """The container goes away in the middle of it, now and then."""
        if not self.on_docker or generator.random() < 0.7:
            return
        for one in harness.containers(dev.project.image, running=True):
            docker(*generator.choice([["rm", "-f", "-v"], ["restart", "-t", "0"]]), one, check=False)

    def test_a_folder_that_is_generated(self):
        self.check("generated:\n- {command: [./make], inputs: ['src/**'], sync: [{src: made, dest: /made}]}", {"make": MAKE_ONE}, ["made"])

    def test_one_generator_after_another(self):
        self.check("generated:\n- {command: [./rest], inputs: ['half/**'], sync: [{src: made, dest: /made}]}\n"
                   "- {command: [./half-way], inputs: ['src/**'], sync: [{src: half, dest: /half}]}",
                   {"half-way": MAKE_HALF, "rest": MAKE_REST}, ["half", "made"])

    def test_a_map_program(self):
        self.check("map: {command: [./map], inputs: ['src/**']}", {"map": MAKE_LISTED + LIST}, ["made"])

    def test_a_tar_program(self):
        self.check("tar: {command: [./pack], inputs: ['src/**']}", {"pack": MAKE_ONE + PACK}, ["made"])
