"""What can happen to a file, and that it happens in the container too."""

import os
import stat
import threading
import time

from harness import AUTO, INFER, MANUAL, STAY_COMMAND, difference, tree_of_directory
from scenario import Scenario, on


class OneFile(Scenario):
    def test_an_edit_is_copied_in_each_mode(self):
        for sync in (MANUAL, INFER, AUTO):
            with self.subTest(sync):
                project = self.site(sync)
                dev = self.dev(project)
                self.assertEqual(dev.read("/srv/index.html"), b"first")
                mark = dev.mark()
                project.write("www/index.html", "second")
                event = dev.wait("sync", mark, status="succeeded")
                self.assertEqual(event["files"], 1)
                self.assertEqual(dev.read("/srv/index.html"), b"second")
                self.assertCopied(dev, mark)
                self.assertEqual(dev.end(), 130)

    def test_add_rename_and_delete(self):
        project = self.site()
        dev = self.dev(project)
        mark = dev.mark()
        project.write("www/a/b/new.html", "new")
        dev.expect("/srv/a/b/new.html", "new")
        project.rename("www/a/b/new.html", "www/a/moved.html")
        dev.expect("/srv/a/moved.html", "new")
        dev.expect("/srv/a/b/new.html", None)
        project.remove("www/a/moved.html")
        dev.expect("/srv/a/moved.html", None)
        self.assertCopied(dev, mark)

    def test_an_editor_that_renames_into_place(self):
        project = self.site()
        dev = self.dev(project)
        for n in range(5):
            project.replace("www/index.html", f"version {n}")
            dev.expect("/srv/index.html", f"version {n}")

    def test_a_mode_alone(self):
        project = self.site(pages={"run.sh": "#!/bin/sh\n"})
        os.chmod(project.path("www/run.sh"), 0o644)
        dev = self.dev(project)
        os.chmod(project.path("www/run.sh"), 0o755)
        dev.eventually(lambda: dev.entry("/srv/run.sh").mode == 0o755, what="mode 0755")

    def test_modes_and_owners_are_those_of_the_dockerfile(self):
        """--chown by number and by the image's own names; root's without it, whatever USER says; no mode is too odd."""
        if not self.on_docker and os.geteuid():
            self.skipTest("only root gives files away")
        project = self.site(AUTO, pages={"kept": "1"})
        project.write("etc/passwd", "root:x:0:0::/:\nbob:x:77:88::/:\n")
        project.write("etc/group", "root:x:0:\nstaff:x:50:\n")
        project.write("named/kept", "1")
        project.write("plain/kept", "1")
        project.write("Dockerfile", "FROM scratch\nCOPY bin /bin\nCOPY etc /etc\nCOPY --chown=1000:7 www /srv\n"
                      f"COPY --chown=bob:staff named /named\nCOPY plain /plain\nUSER bob\nCMD {STAY_COMMAND}\n")
        dev = self.dev(project)
        mark = dev.mark()
        for folder in ("www", "named", "plain"):
            project.write(f"{folder}/kept", "2")
            project.write(f"{folder}/new/file", "2", 0o640)
            project.write(f"{folder}/nothing", "2", 0)
            os.symlink("kept", project.path(f"{folder}/link"))
        for folder, owner in {"/srv": (1000, 7), "/named": (77, 50), "/plain": (0, 0)}.items():
            wanted = {b"kept": 0o644, b"new": 0o755, b"new/file": 0o640, b"nothing": 0, b"link": 0}
            dev.eventually(lambda: {k: (e.mode, e.owner) for k, e in dev.tree(folder).items()} ==
                           {k: (mode, owner) for k, mode in wanted.items()}, what=f"{folder} of {owner}")
        self.assertCopied(dev, mark)

    def test_one_of_two_sources_is_deleted(self):
        project = self.site("manual:\n- {src: 'www/**', dest: /srv, strip: www/}\n- {src: 'theme/**', dest: /srv, strip: theme/}")
        project.write("theme/index.html", "theme")
        dev = self.dev(project)
        project.write("theme/index.html", "changed")
        dev.expect("/srv/index.html", "changed")
        project.remove("theme/index.html")
        dev.expect("/srv/index.html", "first")
        project.remove("www/index.html")
        dev.expect("/srv/index.html", None)

    def test_modes_of_directories(self):
        """A directory below the source of a COPY has the host's bits; the source itself stands for its contents."""
        for sync in (MANUAL, AUTO):
            with self.subTest(sync):
                project = self.site(sync, pages={"sub/a": "1"})
                dev = self.dev(project)
                mark = dev.mark()
                os.chmod(project.path("www"), 0o700)
                os.chmod(project.path("www/sub"), 0o1775)
                dev.eventually(lambda: dev.entry("/srv/sub").mode == 0o1775, what="mode 1775")
                self.assertEqual(dev.entry("/srv").mode, 0o755)
                os.chmod(project.path("www/sub"), 0o555)
                dev.eventually(lambda: dev.entry("/srv/sub").mode == 0o555, what="mode 0555")
                project.write("www/sub/a", "into a read-only directory")
                dev.expect("/srv/sub/a", "into a read-only directory")
                self.assertCopied(dev, mark)
                dev.end()

    def test_content_that_keeps_its_size_and_time(self):
        project = self.site(pages={"a": "12345"})
        dev = self.dev(project)
        before = os.stat(project.path("www/a"))
        project.write("www/a", "54321")
        os.utime(project.path("www/a"), ns=(before.st_atime_ns, before.st_mtime_ns))
        dev.expect("/srv/a", "54321")

    def test_an_empty_file_and_a_large_one(self):
        project = self.site()
        dev = self.dev(project)
        project.write("www/empty", "")
        dev.expect("/srv/empty", "")
        large = os.urandom(5 << 20)
        project.write("www/large", large)
        dev.expect("/srv/large", large)

    def test_what_is_ignored_stays_out(self):
        project = self.site(INFER)
        project.write(".dockerignore", "www/*.tmp\n")
        dev = self.dev(project)
        mark = dev.mark()
        project.write("www/no.tmp", "no")
        project.write("www/.index.html.swp", "editor")
        project.write("www/4913", "vim")
        project.write("www/yes.html", "yes")
        dev.expect("/srv/yes.html", "yes")
        dev.wait("idle", mark)
        self.assertIsNone(dev.read("/srv/no.tmp"))
        self.assertCopied(dev, mark)


class Kinds(Scenario):
    def test_links(self):
        project = self.site(pages={"target": "t"})
        dev = self.dev(project)
        links = {"relative": "target", "absolute": "/srv/target", "dangling": "nowhere/at/all", "up": "../srv/target"}
        for name, target in links.items():
            os.symlink(target, project.path(f"www/{name}"))
        for name, target in links.items():
            dev.eventually(lambda: (e := dev.entry(f"/srv/{name}")) and e.kind == "link" and e.content == target.encode(),
                           what=f"link {name}")
        project.remove("www/relative")
        project.write("www/relative", "a file now")
        dev.expect("/srv/relative", "a file now")

    def test_an_empty_directory(self):
        project = self.site()
        dev = self.dev(project)
        os.makedirs(project.path("www/empty/nested"))
        dev.eventually(lambda: (e := dev.entry("/srv/empty/nested")) and e.kind == "directory", what="the empty directory")
        project.remove("www/empty")
        dev.eventually(lambda: dev.entry("/srv/empty") is None, what="no directory")

    def test_a_file_becomes_a_directory_and_back(self):
        project = self.site(pages={"thing": "file"})
        dev = self.dev(project)
        project.remove("www/thing")
        project.write("www/thing/inside", "1")
        dev.expect("/srv/thing/inside", "1")
        project.remove("www/thing")
        project.write("www/thing", "file again")
        dev.expect("/srv/thing", "file again")

    def test_names_that_linux_allows(self):
        names = ["with space", "new\nline", "ünïcödé 名前", "-leading-dash", "quote'\"`$(x)", "back\\slash", "star*[a]{b}?", "a" * 255,
                 b"not-utf8-\xff\xfe", "#hash", "trailing ", "tab\t"]
        project = self.site()
        dev = self.dev(project)
        for n, name in enumerate(names):
            project.write(b"www/" + os.fsencode(name), f"{n}")
        wanted = {os.fsencode(name): str(n).encode() for n, name in enumerate(names)}
        dev.eventually(lambda: {k: e.content for k, e in dev.tree("/srv").items() if k in wanted} == wanted, what="every name")

    def test_a_moved_tree(self):
        project = self.site(pages={f"old/{d}/{f}": f"{d}{f}" for d in "abc" for f in "xyz"})
        dev = self.dev(project)
        project.rename("www/old", "www/new")
        dev.eventually(lambda: not difference(dev.tree("/srv"), tree_of_directory(project.path("www"))), what="the moved tree")

    def test_hard_links(self):
        project = self.site(pages={"one": "1"})
        os.link(project.path("www/one"), project.path("www/two"))
        dev = self.dev(project)
        project.write("www/one", "changed")
        dev.expect("/srv/one", "changed")


class Many(Scenario):
    def check(self, count):
        project = self.site()
        dev = self.dev(project)
        mark = dev.mark()
        for n in range(count):
            project.write(f"www/{n % 10}/{n}", f"file {n}")
        dev.eventually(lambda: sum(e.get("files", 0) for e in dev.events[mark:] if e["type"] == "sync") >= count, what=f"{count} files")
        dev.eventually(lambda: not difference(dev.tree("/srv"), tree_of_directory(project.path("www"))), what="the same trees")
        self.assertCopied(dev, mark)

    def test_100_files_at_once(self):
        self.check(100)

    def test_1000_files_at_once(self):
        self.check(1000)

    def test_a_storm_of_saves_arrives_meanwhile(self):
        project = self.site()
        dev = self.dev(project)
        stop = threading.Event()

        def storm():
            n = 0
            while not stop.wait(0.1):
                n += 1
                project.write("www/index.html", f"save {n}")
        thread = threading.Thread(target=storm)
        mark = dev.mark()
        thread.start()
        try:
            for _ in range(4):
                event = dev.wait("sync", mark, status="succeeded", timeout=10)
                mark = dev.events.index(event) + 1
        finally:
            stop.set()
            thread.join()
        with open(project.path("www/index.html"), "rb") as file:
            dev.expect("/srv/index.html", file.read())

    def test_a_checkout_that_deletes_and_writes_every_file(self):
        project = self.site(pages={f"{n}": "old" for n in range(200)})
        dev = self.dev(project)
        mark = dev.mark()
        for n in range(200):
            project.remove(f"www/{n}")
            project.write(f"www/{n}", "new")
        dev.eventually(lambda: all(e.content == b"new" for e in dev.tree("/srv").values()) and len(dev.tree("/srv")) == 200,
                       what="200 new files")
        self.assertCopied(dev, mark)


class HalfAFile(Scenario):
    def test_a_slow_writer_is_waited_for(self):
        """A file that is written in pieces without being closed arrives, and ends up whole."""
        project = self.site()
        dev = self.dev(project)
        with open(project.path("www/slow"), "wb") as file:
            for _ in range(20):
                file.write(b"x" * 1000)
                file.flush()
            dev.eventually(lambda: dev.read("/srv/slow") == b"x" * 20000, what="an open file, 250 ms after its last write")
            file.write(b"end")
        dev.expect("/srv/slow", b"x" * 20000 + b"end")
