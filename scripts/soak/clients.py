#!/usr/bin/env python3
"""What clients that read slowly or not at all cost a stream: its frame rate before, with and after them.

    scripts/soak/clients.py [SECONDS] [PROGRAM]

One client reads the MJPEG at 1 kB/s, 100 more are connected and read nothing. Fails where the rate differs by more than 5 %.
"""
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 30
PROGRAM = sys.argv[2] if len(sys.argv) > 2 else "target/release/maskline"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    folder, port = tempfile.mkdtemp(prefix="maskline-soak-"), free_port()
    with open(f"{folder}/live.toml", "w") as f:
        f.write(f'[server]\nlisten = "127.0.0.1:{port}"\n[model]\nsize = "64x64"\n[execution]\nprovider = "cpu"\nthreads = 1\n'
                '[[stream]]\nname = "a"\nsource.input = "test:ball?width=320&height=240&rate=20"\n')
    program = subprocess.Popen([PROGRAM, "serve", f"{folder}/live.toml"], stderr=open(f"{folder}/log", "wb"))

    def shown():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/streams/a", timeout=10) as answer:
            return json.load(answer)["vitals"]["frames"]["shown"]

    def rate():
        begin, before = time.monotonic(), shown()
        time.sleep(SECONDS)
        return (shown() - before) / (time.monotonic() - begin)

    try:
        for _ in range(200):
            try:
                if shown() > 20:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        before = rate()
        request = b"GET /api/v1/streams/a/mjpeg HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port
        idle = []
        for _ in range(100):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(request)
            idle.append(client)
        slow = socket.create_connection(("127.0.0.1", port))
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(request)
        stop, got = threading.Event(), [0]

        def sip():
            while not stop.wait(0.1):
                got[0] += len(slow.recv(100))

        threading.Thread(target=sip, daemon=True).start()
        during = rate()
        stop.set()
        [client.close() for client in idle + [slow]]
        after = rate()
        print(f"frames a second of 20: {before:.2f} before, {during:.2f} with 100 idle clients and one that took {got[0]} bytes, {after:.2f} after")
        good = abs(during - before) <= 0.05 * before and got[0] > 0 and program.poll() is None
        print("as promised" if good else "NOT as promised")
        return 0 if good else 1
    finally:
        program.kill()


if __name__ == "__main__":
    sys.exit(main())
