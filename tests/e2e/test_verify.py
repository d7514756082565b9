"""What skiff knows of containers while it runs: that they hold what they should, what they changed themselves, which of them hangs or crashes."""

import json

import harness
from harness import docker
from scenario import Scenario, on


def beside(container):
    """Another container of the same image and labels, as a tool that scales would start it."""
    seen = json.loads(docker("inspect", container))[0]
    labels = [f"--label={name}={value}" for name, value in seen["Config"]["Labels"].items()]
    return docker("run", "-d", *labels, seen["Image"]).decode().strip()


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
