"""A proxy in front of an engine's socket that breaks what passes: cuts the agents' lines at a byte, drops every connection, is slow.

A line to an agent is a connection on which an exec was started (`POST /exec/ID/start`, upgraded); its bytes count from the end of both
HTTP headers on. "in": towards the agent; "out": from it."""

import contextlib
import os
import re
import socket
import threading
import time

PIECE = 1 << 16
EXEC = re.compile(rb"^POST \S*/exec/[^/]+/start ")


class Connection:
    """One client, and the engine's end of it. A thread for each direction; what ends one ends both."""

    def __init__(self, proxy, client, engine):
        self.proxy, self.ends, self.line = proxy, (client, engine), False
        self.counts = {"in": 0, "out": 0}
        for direction, source, goal in (("in", client, engine), ("out", engine, client)):
            threading.Thread(target=self.pump, args=(direction, source, goal), daemon=True).start()

    def pump(self, direction, source, goal):
        head = b""  # of a message, until its HTTP header has passed
        counting = False
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                body = piece
                if not counting:
                    head = piece if EXEC.match(piece) else (head + piece)[:PIECE]
                    at = head.find(b"\r\n\r\n")
                    if direction == "in" and EXEC.match(head):
                        self.line = True
                    if self.line and at >= 0:
                        counting, body = True, self.after_header(direction, head, at)
                    elif at >= 0:
                        head = b""
                keep = self.proxy.passes(self, direction, len(body)) if counting else len(body)
                self.proxy.wait(len(piece))
                goal.sendall(piece[:len(piece) - len(body) + keep])
                if keep < len(body):
                    break
            else:
                if direction == "in":  # the client says no more; the engine may still answer
                    goal.shutdown(socket.SHUT_WR)
                    return
        self.drop()

    @staticmethod
    def after_header(direction, head, at):
        """What comes after the header, and towards the engine after its body, in the piece that completed it."""
        rest = head[at + 4:]
        length = re.search(rb"\r\nContent-Length: *(\d+)", head, re.I) if direction == "in" else None
        return rest[int(length[1]):] if length else rest

    def drop(self):
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.proxy.forget(self)


class Proxy:
    def __init__(self, path, engine="/var/run/docker.sock"):
        self.path, self.engine, self.lock = str(path), engine, threading.Lock()
        self.connections, self.armed, self.delay, self.rate = set(), None, 0.0, 0
        self.counts, self.cuts = {"in": 0, "out": 0}, 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                engine = socket.socket(socket.AF_UNIX)
                try:
                    engine.connect(self.engine)
                except OSError:
                    client.close()
                    continue
                with self.lock:
                    self.connections.add(Connection(self, client, engine))

    def forget(self, connection):
        with self.lock:
            self.connections.discard(connection)

    def passes(self, connection, direction, size):
        """How many of the next bytes of a line may pass."""
        with self.lock:
            self.counts[direction] += size
            if not self.armed or self.armed[0] != direction:
                return size
            room = self.armed[1]
            if room >= size:
                self.armed = (direction, room - size)
                return size
            self.armed, self.cuts = None, self.cuts + 1
            return room

    def arm(self, direction, bytes_):
        """So many bytes pass, on whichever lines; the one on which another would come is cut there."""
        with self.lock:
            self.armed = (direction, bytes_)

    def disarm(self):
        with self.lock:
            self.armed = None

    def drop_all(self):
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            connection.drop()

    def slow(self, delay=0.0, rate=0):
        """Seconds for each piece, and bytes a second; 0: as fast as it goes."""
        self.delay, self.rate = delay, rate

    def wait(self, size):
        """As long as these bytes take; ends early when the proxy is made fast again."""
        began = time.monotonic()
        while (delay := self.delay + (size / self.rate if self.rate else 0) - (time.monotonic() - began)) > 0:
            time.sleep(min(delay, 0.02))

    def counted(self):
        with self.lock:
            return dict(self.counts)

    def close(self):
        # A thread that waits in accept() is woken by the shutdown, not by the close.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.drop_all()
        os.unlink(self.path)
