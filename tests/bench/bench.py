#!/usr/bin/env python3
"""The rows of the budget that hold for Docker: saved → readable in the container, many files, a large one, what skiff adds to a compiler's own time, many
watched files, explain, sizes. Medians and 95th percentiles; contest.py says how, and against whom."""

import argparse
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import contest
import generated
import harness

FEW, START_LIMIT = 5, 900  # seconds: an engine takes its time for an image of 250,000 files


class Row:
    def __init__(self, work, samples, budget="", unit="ms"):
        self.work, self.samples, self.budget, self.unit = work, sorted(samples), budget, unit

    def __str__(self):
        middle = statistics.median(self.samples)
        high = self.samples[min(len(self.samples) - 1, int(len(self.samples) * 0.95))]
        shown = f"{high:9.2f}" if len(self.samples) > 1 else " " * 9
        return f"{self.work:<62} {middle:9.2f} {shown} {self.unit:<3} {self.budget}"


class Bench:
    def __init__(self, skiff, agents, samples, huge):
        self.skiff, self.agents, self.samples, self.huge, self.tools = skiff, agents, samples, huge, contest.Tools()

    def add(self, *row, **more):
        print(Row(*row, **more), flush=True)

    def fewer(self, part):
        return max(FEW, self.samples // part)

    def dev(self, project, **more):
        dev = harness.Dev(self.skiff, project, "docker", "--tail=false", wait=False, **more)
        try:
            dev.eventually(lambda: dev.count("ready") or dev.count("error"), START_LIMIT, "ready")
            if dev.count("error"):
                raise dev.failure("it did not start well")
        except harness.Failure:
            self.finish(dev)
            raise
        return dev

    def finish(self, dev):
        dev.end()
        self.finish_files(dev)

    def finish_files(self, dev):
        harness.remove_leftovers(dev.project.image)
        dev.project.release()


def saves(bench):
    """Files of 1 KB."""
    for count, rounds, what, budget in ((1, bench.samples, "1 KB saved → readable", "bare session + 1.5; 95th 8"),
                                        (100, bench.fewer(3), "100 files of 1 KB", "15"),
                                        (1000, bench.fewer(5), "1,000 files of 1 KB", "100")):
        here = contest.Contest(bench, count, 1024)
        here.all()
        here.forget()
        for _ in range(rounds):
            here.all()
        here.report(what, budget)
        here.end()


def large(bench):
    """50 MB."""
    here = contest.Contest(bench, 1, 50 << 20)
    here.all()
    for how, what, budget in (("", "50 MB, all new", "220"), ("change", "50 MB, 1 KB changed in it", "90"),
                              ("insert", "50 MB, 1 KB inserted at its front", "90")):
        here.forget()
        for _ in range(bench.fewer(5)):
            here.all(how)
        here.report(what, budget)
    here.end()


def direct(bench):
    """A direct file of an auto mapping is as quick as a manual one."""
    rules = {"manual": harness.MANUAL, "auto, direct": "auto:\n  direct: [{src: 'www/**', dest: /srv, strip: www/}]"}
    contests = {name: contest.Contest(bench, 1, 1024, rule) for name, rule in rules.items()}
    for here in contests.values():
        here.skiff()
        here.forget()
    for _ in range(bench.samples):
        for here in contests.values():
            here.skiff()
    for name, here in contests.items():
        bench.add(f"1 KB saved → readable: {name}", here.samples["skiff"], "as manual" if name != "manual" else "")
        here.end()


def restart(bench, here):
    """Ends skiff and starts it again and again; ms to ready. The first time builds what was saved meanwhile, then the image is at hand."""
    samples, dev = [], here.dev
    for _ in range(FEW + 1):
        dev.end()
        began = time.perf_counter_ns()
        dev = bench.dev(here.project, state=here.dev.state)
        samples.append((time.perf_counter_ns() - began) / 1e6)
    bench.finish(dev)
    return samples[1:]


def cpu_ns(pid):
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def anonymous_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) / 1024
    return 0


def idle_percent(dev, seconds):
    before = cpu_ns(dev.process.pid)
    try:
        dev.process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    return (cpu_ns(dev.process.pid) - before) / seconds / 1e7


def tree(bench):
    """Many watched files, beside a small project at the same time."""
    small = contest.Contest(bench, 1, 1024)
    for files in (20000, 250000) if bench.huge else (20000,):
        here = contest.Contest(bench, 1, 1024, beside=files)
        fresh = anonymous_mb(here.dev.process.pid)
        for one in (here, small):
            one.skiff()
            one.forget()
        for _ in range(bench.fewer(2)):
            here.skiff()
            small.skiff()
        bench.add(f"1 KB saved among {files:,} files → readable", here.samples["skiff"], "as in a small tree")
        bench.add("    at the same time in a small tree", small.samples["skiff"])
        bench.add(f"CPU while idle, {files:,} watched files, a session open", [idle_percent(here.dev, 25)], "0", unit="%")
        bench.add(f"anonymous memory, {files:,} watched files", [anonymous_mb(here.dev.process.pid)], "8" if files == 20000 else "60", unit="MB")
        bench.add("    the same right after its start", [fresh], unit="MB")
        here.own.end()
        here.peer.end()
        bench.add(f"start to ready, {files:,} watched files, image at hand", restart(bench, here), "a small tree + 150" if files == 20000 else "")
    bench.add("anonymous memory, small project", [anonymous_mb(small.dev.process.pid)], unit="MB")
    small.own.end()
    small.peer.end()
    bench.add("start to ready, small project, image at hand", restart(bench, small))


def explain(bench):
    project = harness.Project().site(harness.MANUAL)
    samples = []
    for _ in range(max(20, bench.samples)):
        began = time.perf_counter_ns()
        subprocess.run([str(bench.skiff), "explain", "www/index.html"], cwd=project.root, check=True, stdout=subprocess.DEVNULL)
        samples.append((time.perf_counter_ns() - began) / 1e6)
    bench.add("skiff explain, small project", samples, "10")
    project.release()


def sizes(bench):
    bench.add("skiff on disk, stripped", [bench.skiff.stat().st_size / (1 << 20)], "1", unit="MB")
    for agent in bench.agents:
        bench.add(f"{agent.name} on disk", [agent.stat().st_size / 1024], "64", unit="KB")


PARTS = {"saves": saves, "large": large, "direct": direct, "tree": tree, "generated": generated.generated, "maven": generated.maven,
         "explain": explain, "sizes": sizes}


def conditions():
    names = [line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    engine = harness.docker("version", "-f", "{{.Server.Version}}").decode().strip()
    load = " ".join(f"{one:.2f}" for one in os.getloadavg())
    return f"{len(names)} x {names[0] if names else platform.machine()}, Linux {platform.release()}, Docker {engine}, load {load}"


def main():
    arguments = argparse.ArgumentParser(prog="script/bench", description=__doc__.splitlines()[0])
    arguments.add_argument("--skiff", type=pathlib.Path, required=True)
    arguments.add_argument("--agent", type=pathlib.Path, action="append", default=[])
    arguments.add_argument("--samples", type=int, default=50, help="rounds of the 1 KB row; others take a part of it")
    arguments.add_argument("--only", choices=PARTS, action="append")
    arguments.add_argument("--huge", action="store_true", help="250,000 watched files too: takes minutes")
    options = arguments.parse_args()
    bench = Bench(options.skiff.resolve(), options.agent, options.samples, options.huge)
    print(conditions())
    print(f"{'work':<62} {'median':>9} {'95th':>9}     budget")
    failed = 0
    for name, part in PARTS.items():
        if options.only is None or name in options.only:
            try:
                part(bench)
            except (harness.Failure, OSError, subprocess.SubprocessError) as error:
                print(f"{name}: {error}")
                failed += 1
    print(conditions())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
