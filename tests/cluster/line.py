#!/usr/bin/env python3
"""A long line between two network namespaces, for tests of what is far away: each packet takes its time.

    line.py PID PID NAME MILLISECONDS [MBIT]

In the network namespaces of both processes a TUN interface NAME appears. What goes into one comes out of the other: after half of
MILLISECONDS (a round trip takes all of them), at most MBIT megabit a second each way. More than 1000 packets do not wait: the next
ones are lost, as with `tc … netem`. The interfaces go when the program ends. It does what netem does, on kernels that have none."""

import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
CLONE_NEWNET = 0x40000000
LIMIT = 1000  # packets that wait, each way


def tun(pid, name):
    libc = ctypes.CDLL(None, use_errno=True)
    space = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if libc.setns(space, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns to the network of {pid}")
    os.close(space)
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


class Way:
    """One direction: packets with the moment at which each comes out."""

    def __init__(self, source, target, delay, rate):
        self.source, self.target, self.delay, self.rate = source, target, delay, rate
        self.waiting = collections.deque()
        self.free = 0.0  # when the line has sent all it was given

    def take(self):
        while True:
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            except OSError:  # the interface is down
                return
            if len(self.waiting) >= LIMIT:
                continue
            now = time.monotonic()
            self.free = max(self.free, now) + (len(packet) * 8 / self.rate if self.rate else 0)
            self.waiting.append((self.free + self.delay, packet))

    def give(self):
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            try:
                os.write(self.target, self.waiting.popleft()[1])
            except OSError:  # lost, as on any line
                pass


def main():
    a, b = tun(sys.argv[1], sys.argv[3]), tun(sys.argv[2], sys.argv[3])
    delay = float(sys.argv[4]) / 2000
    rate = float(sys.argv[5]) * 1e6 if len(sys.argv) > 5 else 0
    ways = {a: Way(a, b, delay, rate), b: Way(b, a, delay, rate)}
    while True:
        due = [way.waiting[0][0] for way in ways.values() if way.waiting]
        wait = max(0, min(due) - time.monotonic()) if due else None
        for fd in select.select([a, b], [], [], wait)[0]:
            ways[fd].take()
        for way in ways.values():
            way.give()


main()
