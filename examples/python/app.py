"""Serves public/ and /greeting; on SIGHUP it starts itself again, with the code as it is then."""

import functools
import http.server
import os
import signal
import sys

GREETING = "Hello from Python"


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/greeting":
            super().do_GET()
            return
        body = (GREETING + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def start_again(*_):
    os.execv(sys.executable, [sys.executable, *sys.argv])


if __name__ == "__main__":
    # A signal that was blocked stays blocked across exec: this one is handled inside its handler.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    signal.signal(signal.SIGHUP, start_again)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = int(os.environ.get("PORT", "8083"))
    server = http.server.ThreadingHTTPServer(("", port), functools.partial(Handler, directory="public"))
    print(f"listening on {port}")
    server.serve_forever()
