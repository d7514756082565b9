"""What the end-to-end tests stand on: a project in a folder of its own, a running `skiff dev` and its events, and the file
systems of its containers. Nothing here waits for time to pass: it waits for an event, with a deadline."""

import ctypes
import errno
import io
import json
import os
import pathlib
import re
import secrets
import select
import shutil
import signal
import stat
import subprocess
import tarfile
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 40  # seconds for one thing to happen
BUSYBOX = shutil.which("busybox")
# As process 1 a shell gets no signal that it has no trap for.
STAY = "trap 'exit 0' TERM INT; while :; do /bin/busybox sleep 3600 & wait $!; done"
STAY_COMMAND = json.dumps(["/bin/busybox", "sh", "-c", STAY])
# What a container's own start leaves in its root, and what skiff adds.
NOT_OF_THE_IMAGE = re.compile(r"^(\.dockerenv|\.skiff|dev|proc|sys|etc/(hosts|hostname|resolv\.conf|mtab))(/|$)")
SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error: |Assertion .* failed")


def dies_with_its_parent():
    """In the child: SIGINT when the tests end, whatever way: no skiff outlives them (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


class Failure(AssertionError):
    pass


def docker(*arguments, check=True, data=None):
    done = subprocess.run(["docker", *arguments], input=data, capture_output=True)
    if check and done.returncode:
        raise Failure(f"docker {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
    return done.stdout


class Entry:
    """One path of a file system, as far as tests compare it."""

    def __init__(self, kind, mode, content, owner=(0, 0)):
        self.kind, self.mode, self.content, self.owner = kind, mode, content, owner

    def __eq__(self, other):
        return (self.kind, self.mode, self.content) == (other.kind, other.mode, other.content)

    def __repr__(self):
        content = self.content if len(self.content) <= 40 else self.content[:40] + b"..."
        return f"{self.kind} {self.mode:04o} {self.owner[0]}:{self.owner[1]} {content!r}"


def tree_of_tar(data):
    """path (bytes, relative) → Entry."""
    tree, archive = {}, tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape")
    for member in archive:
        name = os.fsencode(member.name).strip(b"/")
        if member.isdir():
            tree[name] = Entry("directory", member.mode & 0o7777, b"")
        elif member.issym():
            tree[name] = Entry("link", 0, os.fsencode(member.linkname))
        elif member.isfile() or member.islnk():
            source = archive.extractfile(member)
            tree[name] = Entry("file", member.mode & 0o7777, source.read() if source else b"")
        else:
            tree[name] = Entry("other", member.mode & 0o7777, b"")
        tree[name].owner = (member.uid, member.gid)
    return tree


def tree_of_directory(root):
    tree = {}

    def walk(directory, prefix):
        for entry in os.scandir(directory):
            name, info = prefix + entry.name, entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(info.st_mode):
                tree[name] = Entry("link", 0, os.readlink(entry.path))
            elif stat.S_ISDIR(info.st_mode):
                tree[name] = Entry("directory", info.st_mode & 0o7777, b"")
                walk(entry.path, name + b"/")
            elif stat.S_ISREG(info.st_mode):
                with open(entry.path, "rb") as file:
                    tree[name] = Entry("file", info.st_mode & 0o7777, file.read())
            else:
                tree[name] = Entry("other", info.st_mode & 0o7777, b"")
            tree[name].owner = (info.st_uid, info.st_gid)

    walk(os.fsencode(root), b"")
    return tree


def difference(got, wanted, limit=12, owners=False):
    """Lines that say where two trees differ, [] where they don't. owners: they count too."""
    lines = []
    for path in sorted(set(got) | set(wanted)):
        if NOT_OF_THE_IMAGE.match(os.fsdecode(path)):
            continue
        a, b = got.get(path), wanted.get(path)
        if a is None or b is None or a != b or (owners and a.owner != b.owner):
            lines.append(f"{path!r}: is {a}, should be {b}")
    return lines[:limit] + ([f"... {len(lines) - limit} more"] if len(lines) > limit else [])


def change(path, old, new):
    """Replaces a text that must be there, everywhere in a file."""
    text = path.read_text()
    if old not in text:
        raise Failure(f"{path} has no {old!r}")
    path.write_text(text.replace(old, new))


class Project:
    """A folder with a Dockerfile, sources and a skaffold.yaml; the image's name is unique, so that tests never meet."""

    def __init__(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="skiff-e2e-"))
        self.root = self.base / "project"
        self.root.mkdir()
        self.image = f"skiff-e2e-{secrets.token_hex(4)}"

    def path(self, name):
        return os.path.join(os.fsencode(self.root), os.fsencode(name))

    def write(self, name, content="", mode=None):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        if mode is not None:
            os.chmod(path, mode)

    def replace(self, name, content):
        """As editors save: written beside, renamed into place."""
        self.write(os.fsencode(name) + b".swp", content)
        os.rename(self.path(os.fsencode(name) + b".swp"), self.path(name))

    def remove(self, name):
        path = self.path(name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def rename(self, old, new):
        os.rename(self.path(old), self.path(new))

    def site(self, sync, pages=None):
        """The usual project: a static busybox that stays, and a folder of pages that is copied to /srv."""
        self.write("bin/.of", self.image)  # layers of its own: other runs of the tests remove theirs from the engine's cache
        shutil.copy(BUSYBOX, self.path("bin/busybox"))
        os.symlink("busybox", self.path("bin/rm"))
        self.write("Dockerfile", f"FROM scratch\nCOPY bin /bin\nCOPY www /srv\nCMD {STAY_COMMAND}\n")
        for name, content in (pages or {"index.html": "first"}).items():
            self.write(f"www/{name}", content)
        self.configure(sync)
        return self

    def file(self, name):
        return self.root / name

    def example(self, name):
        """A copy of one of the examples, its image under the name of this project."""
        made = shutil.ignore_patterns("target", "node_modules", "dist", "build", "site")
        shutil.copytree(ROOT / "examples" / name, self.root, dirs_exist_ok=True, ignore=made)
        for configuration in ("skaffold.yaml", "skiff.yaml"):
            if self.file(configuration).exists():
                change(self.file(configuration), f"image: {name}", f"image: {self.image}")
        change(self.file("skaffold.yaml"), f"images: [{name}]", f"images: [{self.image}]")
        return self

    def configure(self, sync, more=""):
        self.write("skaffold.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifacts:\n"
                   f"  - image: {self.image}\n    sync:\n{indent(sync, 6)}deploy:\n  docker: {{images: [{self.image}]}}\n{more}")

    def release(self):
        shutil.rmtree(self.base, ignore_errors=True)


def indent(text, columns):
    return "".join(" " * columns + line + "\n" for line in text.strip("\n").splitlines())


MANUAL = "manual:\n- {src: 'www/**', dest: /srv, strip: www/}"
INFER = "infer: ['www/**']"
AUTO = "auto: true"


class Dev:
    """A running `skiff dev`. Events arrive through a FIFO: nothing is polled."""

    def __init__(self, skiff, project, runtime, *arguments, env=None, state=None, wait=True):
        self.project, self.runtime, self.events = project, runtime, []
        self.changed = threading.Condition()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dev-", dir=project.base))
        self.state = state or project.base / "state"
        fifo = self.folder / "events"
        os.mkfifo(fifo)
        self.pipe = os.open(fifo, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.output = open(self.folder / "output", "wb")
        self.process = subprocess.Popen(
            [str(skiff), "dev", "--runtime", runtime, "--events", str(fifo), *arguments], cwd=project.root, stdin=subprocess.DEVNULL,
            stdout=self.output, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=dies_with_its_parent,
            env={**os.environ, "XDG_STATE_HOME": str(self.state), "NO_COLOR": "1", **(env or {})})
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if wait:
            try:
                self.wait("ready")
            except Failure:
                self.end()
                raise

    def _read(self):
        rest = b""
        while True:
            ended = self.process.poll() is not None
            readable, _, _ = select.select([self.pipe], [], [], 0 if ended else 0.2)
            if readable:
                try:
                    rest += os.read(self.pipe, 1 << 16)
                except OSError as error:
                    if error.errno != errno.EAGAIN:
                        return
            *lines, rest = rest.split(b"\n")
            with self.changed:
                self.events.extend(json.loads(line) for line in lines)
                self.ended = ended and not readable
                if lines or self.ended:
                    self.changed.notify_all()
                if self.ended:
                    return

    def mark(self):
        """A point in time: events after it are those that come from now on."""
        with self.changed:
            return len(self.events)

    def text(self):
        return (self.folder / "output").read_text(errors="replace")

    def failure(self, message):
        recent = "\n".join(json.dumps(event)[:400] for event in self.events[-25:])
        return Failure(f"{message}\n-- last events\n{recent}\n-- output\n{self.text()[-4000:]}")

    def wait(self, type_, since=0, timeout=DEADLINE, **fields):
        """The first event after the mark of that type with those fields; a field may be a function that says yes or no."""
        def fits(event):
            return event["type"] == type_ and all(
                value(event.get(name)) if callable(value) else event.get(name) == value for name, value in fields.items())
        deadline, seen = time.monotonic() + timeout, since
        with self.changed:
            while True:
                while seen < len(self.events):
                    if fits(self.events[seen]):
                        return self.events[seen]
                    seen += 1
                if getattr(self, "ended", False):
                    break
                if not self.changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    break
        raise self.failure(f"no {type_} {fields or ''} within {timeout} s" if not getattr(self, "ended", False) else
                           f"skiff ended with {self.process.returncode} before {type_} {fields or ''}")

    def eventually(self, check, timeout=DEADLINE, what="the expected state"):
        """Asks again after each event until check() is true. While a container is replaced there may be two, or none: not yet."""
        deadline = time.monotonic() + timeout
        while True:
            before = self.mark()
            try:
                answer = check()
            except (Failure, FileNotFoundError): # looked at in the moment of a switch
                answer = None
            if answer:
                return answer
            with self.changed:
                while len(self.events) == before:
                    if time.monotonic() >= deadline or getattr(self, "ended", False):
                        raise self.failure(f"{what} did not come within {timeout} s")
                    # An instance may change without an event (a container's own doing): look again now and then.
                    if not self.changed.wait(min(1, max(0, deadline - time.monotonic()))):
                        break

    def says(self, words, timeout=DEADLINE):
        """Waits until the person is told so: the line follows the event."""
        self.eventually(lambda: words in self.text(), timeout, f"the words {words!r}")

    def count(self, type_, since=0, **fields):
        with self.changed:
            return sum(e["type"] == type_ and all(e.get(k) == v for k, v in fields.items()) for e in self.events[since:])

    def end(self, number=signal.SIGINT, timeout=DEADLINE):
        """Ends it as a person would, and gives its exit code. What a sanitizer said is a failure."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise self.failure(f"skiff did not end within {timeout} s of signal {number}")
        finally:
            self.reader.join(5)
            self.output.close()
            os.close(self.pipe)
        if SANITIZER.search(self.text()):
            raise self.failure("a sanitizer spoke")
        return self.process.returncode

    # What is in the containers.

    def container(self, image=None):
        """The id of the one running container of the project's image."""
        found = containers(image or self.project.image, running=True)
        if len(found) != 1:
            raise self.failure(f"{len(found)} running containers of {image or self.project.image}")
        return found[0]

    def tree(self, path="/"):
        """The file system at path: path relative to it (bytes) → Entry; {} where it is not there."""
        if self.runtime == "embedded":
            root = embedded_root(self.state)
            directory = root / path.strip("/")
            return tree_of_directory(directory) if directory.is_dir() else {}
        if path == "/":
            return tree_of_tar(docker("export", self.container()))
        data = docker("cp", f"{self.container()}:{path}/.", "-", check=False)
        tree = tree_of_tar(data) if data else {}
        return {os.path.relpath(name, b"."): entry for name, entry in tree.items() if name != b"."}

    def entry(self, path):
        """One path's Entry, or None."""
        directory, name = os.path.split(path)
        if self.runtime == "embedded":
            return self.tree(directory).get(os.fsencode(name))
        data = docker("cp", f"{self.container()}:{path}", "-", check=False)
        return tree_of_tar(data).get(os.fsencode(name)) if data else None

    def read(self, path):
        entry = self.entry(path)
        return entry.content if entry and entry.kind == "file" else None

    def expect(self, path, content, timeout=DEADLINE):
        content = content.encode() if isinstance(content, str) else content
        self.eventually(lambda: self.read(path) == content, timeout, f"{path} = {content!r}" if content is not None else f"no {path}")


def containers(image, running=False):
    """Ids of the containers of an image of skiff's, found by label and the image's name."""
    ids = docker("ps", "-q", *([] if running else ["-a"]), "--no-trunc", "--filter", "label=skiff.run").decode().split()
    found = []
    for one in ids:
        name = docker("inspect", "-f", "{{.Config.Image}} {{json .Config.Labels}}", one, check=False).decode()
        if image in name:
            found.append(one)
    return found


def networks():
    return set(docker("network", "ls", "-q", "--filter", "label=skiff.run").decode().split())


def embedded_root(state):
    """The root of the newest embedded instance below a state folder (client/embedded.h): an older one is on its way out."""
    found = list(pathlib.Path(state).glob("skiff/embedded/runs/*/*/instance.json"))
    if not found:
        raise Failure(f"no embedded instance below {state}")
    return max(found, key=lambda path: path.stat().st_mtime_ns).parent / "root"


def remove_leftovers(image):
    """Removes containers, their networks, and images of a test, also of one that failed."""
    left = containers(image)
    rows = docker("inspect", "-f", '{{.Image}} {{index .Config.Labels "skiff.run"}}', *left, check=False).decode().split() if left else []
    run, runs = rows[::2], set(rows[1::2])
    for one in left:
        docker("rm", "-f", "-v", one, check=False)
    for name in runs:
        for network in docker("network", "ls", "-q", "--filter", f"label=skiff.run={name}", check=False).decode().split():
            docker("network", "rm", network, check=False)
    rows = [row.split() for row in docker("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}", check=False).decode().splitlines()]
    ours = [tag for tag, id_ in rows if not tag.endswith("<none>") and (image in tag or (tag.startswith("skiff-agent:") and id_ in run))]
    if ours:
        docker("rmi", "-f", *ours, check=False)
