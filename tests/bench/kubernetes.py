#!/usr/bin/env python3
"""The rows of the budget for Kubernetes: saved → readable in one pod and in twenty at once, 1,000 files, memory; beside `kubectl exec -i … tar` and bare open
sessions, in turns. To be run by `script/cluster run -- …` as root: pods' folders are watched as the node sees them."""

import argparse
import ctypes
import json
import os
import pathlib
import random
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import bench
import cluster
import contest
import harness

LIBC = ctypes.CDLL(None, use_errno=True)
IN_CLOSE_WRITE, IN_MOVED_TO, EVENT = 8, 128, struct.Struct("iIII")


class Watched:
    """The same folder of several pods: until each has so many files written or renamed into place since."""

    def __init__(self, folders):
        self.queue, self.counts = LIBC.inotify_init1(0), {}
        for folder in folders:
            self.counts[LIBC.inotify_add_watch(self.queue, os.fsencode(folder), IN_CLOSE_WRITE | IN_MOVED_TO)] = set()

    def forget(self):
        while select.select([self.queue], [], [], 0.05)[0]:
            os.read(self.queue, 1 << 20)
        for names in self.counts.values():
            names.clear()

    def wait(self, files):
        deadline = time.monotonic() + 120
        while any(len(names) < files for names in self.counts.values()):
            if not select.select([self.queue], [], [], deadline - time.monotonic())[0]:
                raise harness.Failure("it did not arrive")
            data, at = os.read(self.queue, 1 << 20), 0
            while at < len(data):
                watch, _, _, length = EVENT.unpack_from(data, at)
                name = data[at + EVENT.size:at + EVENT.size + length].rstrip(b"\0")
                at += EVENT.size + length
                if not name.startswith(b"."):
                    self.counts[watch].add(name)


class Line:
    """A bare session: a WebSocket through a `kubectl proxy`, at its end a program that writes what comes beside and renames."""

    def __init__(self, proxy, pod):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(proxy)
        words = "&".join("command=" + urllib.parse.quote(word, "") for word in ("/bin/bare-helper", "/srv"))
        self.socket.sendall((f"GET /api/v1/namespaces/default/pods/{pod}/exec?stdin=true&{words} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                             "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2tpZmYgc2tpZmYgc2tpZg==\r\n"
                             "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n").encode())
        if b" 101 " not in self.socket.recv(4096):
            raise harness.Failure("no line")

    def send(self, files):
        data = b"".join(struct.pack("<II", len(name), len(content)) + name + content for name, content in files)
        for at in range(0, len(data), 32 << 10):
            piece = b"\0" + data[at:at + (32 << 10)]
            self.socket.sendall(struct.pack(">BBHI", 0x82, 0x80 | 126, len(piece), 0) + piece)


def tar_of(files):
    return subprocess.run(["tar", "-c", "-C", files, "."], capture_output=True, check=True).stdout


class Kubernetes:
    def __init__(self, skiff, pods):
        self.project = cluster.KubernetesProject()
        tools = contest.Tools()
        self.files = {f"{i:04}": b"" for i in range(1000)}
        self.project.site(harness.MANUAL, {"0000": "x"})
        shutil.copy(tools.helper, self.project.path("bin/bare-helper"))
        os.symlink("busybox", self.project.path("bin/tar"))
        self.project.deployment(replicas=pods)
        self.dev = cluster.PodDev(skiff, self.project, "kubernetes", "--tail=false", "--port-forward=false", wait=False)
        self.dev.wait("ready", timeout=300)
        self.dev.wait("idle")
        self.pods = self.dev.pods()
        self.watched = Watched([cluster.root_of(pod) / "srv" for pod in self.pods])
        self.folder = tempfile.TemporaryDirectory()
        path = f"{self.folder.name}/proxy"
        self.proxy = subprocess.Popen(["kubectl", "proxy", f"--unix-socket={path}", "--reject-paths=^$"], stdout=subprocess.PIPE)
        self.proxy.stdout.readline()
        self.lines = [Line(path, pod) for pod in self.pods]
        self.samples = {"skiff": [], "bare sessions": [], "kubectl exec of tar": []}

    def contents(self, count):
        return {name: random.randbytes(1024) for name in list(self.files)[:count]}

    def skiff(self, files):
        for name, content in files.items():
            self.project.write(f"www/{name}", content)

    def bare(self, files):
        for line in self.lines:
            line.send([(name.encode(), content) for name, content in files.items()])

    def tar(self, files, prepared):
        running = [subprocess.Popen(["kubectl", "exec", "-i", pod, "--", "/bin/tar", "-x", "-f", "-", "-C", "/srv"], stdin=subprocess.PIPE) for pod in self.pods]
        for one in running:
            one.stdin.write(prepared)
            one.stdin.close()
        return running

    def round(self, count, keep=True):
        # Twenty of kubectl keep two cores busy for seconds: three rounds of them tell enough.
        ways = [way for way in self.samples if way != "kubectl exec of tar" or len(self.pods) == 1 or len(self.samples[way]) < 3]
        random.shuffle(ways)
        for way in ways:
            files = self.contents(count)
            mark, running = self.dev.mark(), []
            if way == "kubectl exec of tar":
                with tempfile.TemporaryDirectory() as folder:
                    for name, content in files.items():
                        (pathlib.Path(folder) / name).write_bytes(content)
                    prepared = tar_of(folder)
            self.watched.forget()
            began = time.perf_counter_ns()
            if way == "skiff":
                self.skiff(files)
            elif way == "bare sessions":
                self.bare(files)
            else:
                running = self.tar(files, prepared)
            self.watched.wait(count)
            if keep:
                self.samples[way].append((time.perf_counter_ns() - began) / 1e6)
            for one in running:
                one.wait()
            if way == "skiff":
                self.dev.wait("idle", mark)

    def report(self, what, budget):
        for way, samples in self.samples.items():
            print(bench.Row(f"{what}: {way}", samples, budget if way == "skiff" else ""), flush=True)
            samples.clear()

    def end(self):
        memory = bench.anonymous_mb(self.dev.process.pid)
        self.proxy.terminate()
        self.proxy.wait()
        self.dev.end()
        harness.remove_leftovers(self.project.image)
        self.project.release()
        return memory


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--skiff", required=True, type=pathlib.Path)
    arguments.add_argument("--samples", type=int, default=40)
    options = arguments.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}; {'':<56} median      95th     budget")
    memory = {}
    for pods, budget in ((1, "bare + 2"), (20, "15")):
        here = Kubernetes(options.skiff.resolve(), pods)
        try:
            here.round(1, keep=False)
            for _ in range(options.samples):
                here.round(1)
            here.report(f"1 KB saved → readable in {pods} pod{'s' * (pods > 1)}", budget)
            for _ in range(5 if pods == 1 else 0):
                here.round(1000)
            if pods == 1:
                here.report("1,000 files of 1 KB in one pod", "")
        finally:
            memory[pods] = here.end()
    print(bench.Row("memory with 20 pods", [memory[20]], f"with one {memory[1]:.1f}, and 1 MB a pod", "MB"))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
