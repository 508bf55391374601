#!/usr/bin/env python3
"""Gives a running maskline 200 hostile names and a password that must not be seen anywhere.

    scripts/soak/hostile.py [PROGRAM]

The names are tried for streams, recordings, paths of the API, model classes and zones. Fails where the program ends, answers
with 5xx, writes anything outside its folder, or where the password stands in the log, an answer, the metrics, the list of
processes or the name of a file.
"""
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from urllib.parse import quote

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "target/release/maskline"
MARKER = "Mk7-marker-password-q9"


def names():
    fixed = ["", " ", ".", "..", "../x", "../../etc/passwd", "a/b", "a\\b", "a b", " a", "a ", "-", "--help", "%n%n%n", "%s", "%05d", "$(id)",
             "`id`", "${HOME}", "a\nb", "a\r\nX: y", "a\0b", "\x1b[31m", "'", '"', "a'b\"c", "a;b", "a|b", "a&b", "a>b", "*", "?", "[a]", "{a}",
             "!", "location=/tmp/x", "a ! filesink location=/tmp/x", "<script>alert(1)</script>", "a.mp4", "con", "nul", "~", "~root", "é",
             "横断歩道", "\u202eabc", "e\u0301", "\ufeff", "\ufffd", "w" * 64, "w" * 65, "w" * 255, "é" * 127, "a" * 10000, "CON.mp4", ".hidden",
             "a..b", "a.", "#", "a#b", "a?b=c", "%2e%2e%2f", "%00", "null", "true", "0", "-1", "1e999", "[]", "{}", "stream", "raw", "classes"]
    draw = random.Random(7)
    pool = "abz09 ._-/\\%$!'\"`;|&<>*?[]{}()#~^=+,:@\n\r\t\0\x1b\x7fé横🚗\u202e"
    while len(fixed) < 200:
        fixed.append("".join(draw.choice(pool) for _ in range(draw.randint(1, 40))))
    return fixed


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(folder):
    return sorted(os.path.join(at, name) for at, _, files in os.walk(folder) for name in files)


def main():
    top = tempfile.mkdtemp(prefix="maskline-soak-")
    folder, port, rtsp = os.path.join(top, "work"), free_port(), free_port()
    os.mkdir(folder)
    with open(f"{folder}/live.toml", "w") as f:
        f.write(f'[server]\nlisten = "127.0.0.1:{port}"\n[rtsp]\nlisten = "127.0.0.1:{rtsp}"\n[model]\nsize = "64x64"\n[execution]\n'
                f'provider = "cpu"\nthreads = 1\nmax_streams = 16\n[[stream]]\nname = "a b"\nsource.input = "test:ball?width=64&height=64&rate=10"\n'
                f'messages.file = "a.jsonl"\n[[stream.record]]\nfolder = "rec"\nmin_free = "1MB"\n'
                f'[[stream]]\nname = "secret"\nsource = {{ input = "rtsp://me:{MARKER}@127.0.0.1:1/x?k={MARKER}", stall_after = 1 }}\n'
                f'[[stream]]\nname = "env"\nsource = {{ input = "rtsp://127.0.0.1:1/x", user = "me", password = "${{MARKER}}" }}\n'
                f'[[stream.push]]\nurl = "srt://127.0.0.1:1"\npassphrase = "{MARKER}"\n')
    log = open(f"{folder}/log", "wb")
    program = subprocess.Popen([PROGRAM, "serve", f"{folder}/live.toml", "--verbose"], stderr=log, cwd=folder, env={**os.environ, "MARKER": MARKER})
    answers, problems, counts = [], [], {}

    def ask(method, path, body=None):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            client.putrequest(method, path, skip_accept_encoding=True)
        except (http.client.InvalidURL, UnicodeEncodeError):
            return None  # this client cannot even say it
        data = json.dumps(body).encode() if body is not None else b""
        for key, value in headers.items():
            client.putheader(key, value)
        client.putheader("Content-Length", str(len(data)))
        client.endheaders(data)
        answer = client.getresponse()
        text = answer.read(1 << 20).decode("utf-8", "replace")
        client.close()
        counts[answer.status] = counts.get(answer.status, 0) + 1
        answers.append(text)
        if answer.status >= 500 and answer.status != 503:
            problems.append(f"{method} {path[:60]!r}: {answer.status} {text[:100]}")
        return answer.status

    try:
        for _ in range(200):
            try:
                if ask("GET", "/healthz") == 200:
                    break
            except OSError:
                time.sleep(0.1)
        time.sleep(2)
        for name in names():
            spelled = quote(name, safe="")
            status = ask("POST", "/api/v1/streams", {"name": name, "source": {"input": "test:ball?width=64&height=64&rate=5"}})
            if status == 201:
                ask("GET", f"/api/v1/streams/{spelled}")
                ask("GET", f"/api/v1/streams/{spelled}/recordings")
                if ask("DELETE", f"/api/v1/streams/{spelled}") != 204:
                    problems.append(f"{name!r} was added and cannot be removed")
            ask("GET", f"/api/v1/streams/{spelled}")
            ask("GET", f"/api/v1/streams/{spelled}/snapshot.jpg") if len(name) < 3 else None
            ask("GET", f"/api/v1/streams/a%20b/recordings/{spelled}")
            ask("PATCH", "/api/v1/streams/a%20b", {"overlay": {"only": [name]}})
            ask("PATCH", "/api/v1/streams/a%20b", {"zone": [{"name": name, "polygon": [[0, 0], [1, 0], [1, 1]]}]})
            ask("PATCH", "/api/v1/streams/a%20b", {"model": {"name": name}})
            if program.poll() is not None:
                problems.append(f"{name!r} ended the program")
                break
        for path in ["/api/v1/streams", "/api/v1/events?past=all", "/metrics", "/healthz", "/readyz", "/api/v1/openapi.json", "/"]:
            if "events" in path:
                client = socket.create_connection(("127.0.0.1", port), timeout=2)
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
                try:
                    while True:
                        answers.append(client.recv(1 << 16).decode("utf-8", "replace"))
                except OSError:
                    pass
            else:
                ask("GET", path)
        with open(f"/proc/{program.pid}/cmdline", "rb") as f:
            answers.append(f.read().decode("utf-8", "replace"))
        program.terminate()
        code = program.wait(15)
        if code != 143:
            problems.append(f"it ended with {code}, wanted 143")
        with open(f"{folder}/log", errors="replace") as f:
            answers.append(f.read())
        hits = sum(MARKER in text for text in answers)
        files = tree(top)
        hits += sum(MARKER in name for name in files)
        outside = [name for name in files if not name.startswith(folder + "/")]
        recorded = [name for name in files if "/rec/" in name]
        print(f"{len(names())} names, {sum(counts.values())} answers by status {dict(sorted(counts.items()))}, {len(recorded)} recordings")
        print(f"{hits} places show the password, {len(outside)} files lie outside the folder")
        for problem in problems:
            print("problem:", problem)
        good = hits == 0 and not outside and not problems and recorded
        print("as promised" if good else "NOT as promised")
        return 0 if good else 1
    finally:
        program.kill()


if __name__ == "__main__":
    sys.exit(main())
