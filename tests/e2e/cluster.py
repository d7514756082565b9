"""What the tests on Kubernetes stand on: the cluster of script/cluster (or SKIFF_TEST_CONTEXT's), asked by kubectl; projects with manifests; a running
skiff whose instances are pods."""

import json
import pathlib
import shutil
import subprocess

import harness
from harness import ROOT, Dev, Failure, Project, indent

LOAD = f'exec {ROOT}/script/cluster load "$IMAGE"'
DEADLINE = 90  # seconds: a pod on a busy machine
QUICK_END = "      terminationGracePeriodSeconds: 1\n"


def kubectl(*arguments, check=True, data=None):
    done = subprocess.run(["kubectl", *arguments], input=data, capture_output=True, timeout=DEADLINE)
    if check and done.returncode:
        raise Failure(f"kubectl {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def pods(name, namespace="default"):
    """Names of the pods with the label app=NAME that run and are not on their way out."""
    items = json.loads(kubectl("-n", namespace, "get", "pods", "-l", f"app={name}", "-o", "json"))["items"]
    return sorted(pod["metadata"]["name"] for pod in items
                  if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") == "Running"
                  and all(status.get("ready") for status in pod["status"].get("containerStatuses", [])))


def inside(pod, *argv, container=None, namespace="default"):
    """What a program in the pod prints; None where it fails."""
    where = ["-c", container] if container else []
    done = subprocess.run(["kubectl", "-n", namespace, "exec", pod, *where, "--", "/bin/busybox", *argv], capture_output=True, timeout=DEADLINE)
    return done.stdout if done.returncode == 0 else None


def file_in(pod, path, **where):
    return inside(pod, "cat", path, **where)


def processes_of(pod, namespace="default"):
    """The folders in /proc of what runs in the pod's first container. Only where the node is this machine."""
    status = json.loads(kubectl("-n", namespace, "get", "pod", pod, "-o", "json"))["status"]["containerStatuses"][0]
    container, found = status["containerID"].split("//")[1], []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if container in (process / "cgroup").read_text():
                found.append(process)
        except OSError:
            continue
    if not found:
        raise Failure(f"no process of {pod} is here")
    return found


def root_of(pod, namespace="default"):
    """The root of the pod's container as this machine sees it: for images without any program."""
    return processes_of(pod, namespace)[0] / "root"


def agent_of(pod):
    """The process id of the session's agent in the pod, as this machine counts."""
    for process in processes_of(pod):
        if (process / "cmdline").read_bytes() == b"/.skiff/agent\0":
            return int(process.name)
    raise Failure(f"no agent is in {pod}")


class KubernetesProject(Project):
    """A project whose configuration names no deployer: k8s/ does."""

    def __init__(self):
        super().__init__()
        self.namespace = "default"

    def configure(self, sync, more=""):
        self.write("skaffold.yaml", "apiVersion: skaffold/v4beta14\nkind: Config\nbuild:\n  artifacts:\n"
                   f"  - image: {self.image}\n    sync:\n{indent(sync, 6)}{more}")
        self.overlay()

    def overlay(self, more=""):
        self.write("skiff.yaml", f"deploy:\n  load:\n    command: {json.dumps(LOAD)}\n{more}")

    def deployment(self, replicas=1, pod="", container="", name=None, image=None):
        """pod and container: lines of their specifications, without indentation."""
        name = name or self.image
        self.write(f"k8s/{name}.yaml",
                   f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  replicas: {replicas}\n"
                   f"  selector:\n    matchLabels: {{app: {name}}}\n  template:\n    metadata:\n      labels: {{app: {name}}}\n    spec:\n"
                   f"{QUICK_END}{indent(pod, 6)}      containers:\n      - name: web\n        image: {image or self.image}\n{indent(container, 8)}")
        return self

    def release(self):
        kubectl("delete", "deployment", self.image, "--ignore-not-found", "--wait=false", check=False)
        super().release()


class PodDev(Dev):
    """skiff dev on the cluster."""

    def pods(self):
        return pods(self.project.image, self.project.namespace)

    def in_all(self, path, content, count=None, timeout=DEADLINE):
        """Until every pod has just this there; None: nothing. count: so many pods there are."""
        content = content.encode() if isinstance(content, str) else content

        def same():
            names = self.pods()
            return names and (count is None or len(names) == count) and \
                all(file_in(name, path, namespace=self.project.namespace) == content for name in names)
        self.eventually(same, timeout, f"{path} = {content!r} in every pod of {self.pods()}")


def installed(program):
    return shutil.which(program) is not None


