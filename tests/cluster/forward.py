#!/usr/bin/env python3
"""One server for several network namespaces: a port of 127.0.0.1 in each of them leads to the same unix socket.

    forward.py SOCKET PORT PID...

listens in the network namespaces of the processes PID ("self", which comes first, is this one). So the same "localhost:PORT" means the same registry to an engine on the
host, to who runs on the cluster's client side, and to the node."""

import asyncio
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000


def listening(pid, port):
    libc = ctypes.CDLL(None, use_errno=True)
    space = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if libc.setns(space, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns to the network of {pid}")
    os.close(space)
    return socket.create_server(("127.0.0.1", port), backlog=128)


async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def main():
    path, port, pids = sys.argv[1], int(sys.argv[2]), sys.argv[3:]

    async def serve(reader, writer):
        try:
            there_reader, there_writer = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))
        there_writer.close()
        writer.close()

    servers = [await asyncio.start_server(serve, sock=listening(pid, port)) for pid in pids]
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
