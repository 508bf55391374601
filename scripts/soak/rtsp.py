#!/usr/bin/env python3
"""Kills and hangs an RTSP camera again and again, and measures how a watching maskline takes it.

    scripts/soak/rtsp.py [TIMES] [PROGRAM]

The camera is a maskline of its own that serves a test pattern over RTSP; another one watches it over TCP and over UDP at
once. TIMES (20) times it is killed with SIGKILL and started again two seconds later, then TIMES times it is stopped with
SIGSTOP for eight seconds. Fails where frames do not flow within 5 s after it is back, a stall is not noticed within 6 s, a
time stamp goes back, anything is inferred while nothing comes, or the watcher's memory, threads or files grow. 85 TIMES
take 25 minutes.
"""
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

TIMES = int(sys.argv[1]) if len(sys.argv) > 1 else 20
PROGRAM = sys.argv[2] if len(sys.argv) > 2 else "target/release/maskline"
BACK_S, NOTICED_S = 5.0, 6.0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.loads(answer.read() or "null")


class Program:
    def __init__(self, file, port):
        self.file, self.port, self.process = file, port, None

    def start(self):
        log = open(self.file + ".log", "ab")
        self.process = subprocess.Popen([PROGRAM, "serve", self.file], stderr=log)

    def streams(self):
        return {s["name"]: s["vitals"] for s in get(self.port, "/api/v1/streams")}

    def usage(self):
        """MiB that are resident, threads, open files."""
        status = dict(line.split(":", 1) for line in open(f"/proc/{self.process.pid}/status"))
        files = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        return int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), files

    def until_live(self, names, patience=60):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                streams = self.streams()
                if all(streams[n]["state"] == "live" and streams[n]["frames"]["shown"] > 0 for n in names):
                    return
            except OSError:
                pass
            time.sleep(0.05)
        sys.exit(f"{self.file} does not come to life; see {self.file}.log")


class Watch(threading.Thread):
    """Looks at both streams 20 times a second and remembers what it saw."""

    def __init__(self, program):
        super().__init__(daemon=True)
        self.program, self.seen, self.problems = program, {}, []

    def run(self):
        while True:
            now = time.monotonic()
            try:
                streams = self.program.streams()
            except OSError as error:
                self.problems.append(f"no answer: {error}")
                continue
            for name, vitals in streams.items():
                frames, before = vitals["frames"], self.seen.get(name)
                if before:
                    old = before["vitals"]
                    if vitals["pts_ns"] < old["pts_ns"]:
                        self.problems.append(f"{name}: time goes back from {old['pts_ns']} to {vitals['pts_ns']}")
                    if frames["inferred"] > frames["read"]:
                        self.problems.append(f"{name}: {frames['inferred']} of {frames['read']} frames inferred")
                self.seen[name] = {"at": now, "vitals": vitals}
            time.sleep(0.05)

    def wait(self, name, is_so, patience=60):
        """Seconds until it is so."""
        begin = time.monotonic()
        while time.monotonic() - begin < patience:
            seen = self.seen.get(name)
            if seen and seen["at"] >= begin and is_so(seen["vitals"]):
                return time.monotonic() - begin
            time.sleep(0.01)
        return float("inf")

    def shown(self, name):
        return self.seen[name]["vitals"]["frames"]["shown"]


def memory(usage):
    return f"; {usage[-1][0]:.1f} MiB"


def grown(usage):
    """Prints the medians of MiB, threads and files in the second and the last quarter, and tells whether they grew."""
    quarter = max(1, len(usage) // 4)
    early, late = ([statistics.median(values) for values in zip(*part)] for part in (usage[quarter:2 * quarter] or usage, usage[-quarter:]))
    print("the watcher, second and last quarter: " + ", ".join(
        f"{a:.1f} and {b:.1f} {what}" for what, a, b in zip(("MiB", "threads", "files"), early, late)))
    return late[0] > early[0] + 5 or late[1:] > early[1:]


def tell(what, seconds, most):
    worst = max(seconds)
    print(f"{what}: median {statistics.median(seconds):.2f} s, most {worst:.2f} s of {len(seconds)} (at most {most:.0f} s wanted)")
    return worst <= most


def main():
    folder = tempfile.mkdtemp(prefix="maskline-soak-")
    rtsp, camera_port, watch_port = free_port(), free_port(), free_port()
    names = ["tcp", "udp"]
    with open(f"{folder}/camera.toml", "w") as f:
        f.write(f'''[server]\nlisten = "127.0.0.1:{camera_port}"\n[rtsp]\nlisten = "127.0.0.1:{rtsp}"\n[model]\nsize = "64x64"
[execution]\nprovider = "cpu"\nthreads = 1\n[[stream]]\nname = "cam"\nsource.input = "test:ball?width=320&height=240&rate=20"\n''')
    with open(f"{folder}/watch.toml", "w") as f:
        f.write(f'[server]\nlisten = "127.0.0.1:{watch_port}"\n[model]\nsize = "64x64"\n[execution]\nprovider = "cpu"\nthreads = 1\n')
        for name in names:
            f.write(f'''[[stream]]\nname = "{name}"\nsource = {{ input = "rtsp://127.0.0.1:{rtsp}/cam/raw", rtsp_transport = "{name}" }}\n''')
    camera, watcher = Program(f"{folder}/camera.toml", camera_port), Program(f"{folder}/watch.toml", watch_port)
    try:
        camera.start()
        camera.until_live(["cam"])
        watcher.start()
        watcher.until_live(names)
        watch = Watch(watcher)
        watch.start()
        usage = []
        back = {name: [] for name in names}
        noticed, woken = {name: [] for name in names}, {name: [] for name in names}

        def all_at_once(work):
            threads = [threading.Thread(target=work, args=(name,)) for name in names]
            [t.start() for t in threads]
            [t.join() for t in threads]

        for number in range(TIMES):
            time.sleep(3)
            usage.append(watcher.usage())
            camera.process.kill()
            camera.process.wait()
            all_at_once(lambda name: watch.wait(name, lambda v: v["state"] != "live", 10))
            time.sleep(2)
            camera.start()
            camera.until_live(["cam"])
            shown = {name: watch.shown(name) for name in names}
            all_at_once(lambda name: back[name].append(watch.wait(name, lambda v: v["frames"]["shown"] > shown[name])))
            print(f"killed {number + 1}: back after " + ", ".join(f"{n} {back[n][-1]:.2f} s" for n in names) + memory(usage), flush=True)
        for number in range(TIMES):
            time.sleep(3)
            usage.append(watcher.usage())
            os.kill(camera.process.pid, signal.SIGSTOP)
            all_at_once(lambda name: noticed[name].append(watch.wait(name, lambda v: v["state"] != "live", 30)))
            inferred = {n: watch.seen[n]["vitals"]["frames"]["inferred"] for n in names}
            time.sleep(3)
            for name in names:
                now = watch.seen[name]["vitals"]["frames"]
                if now["inferred"] != inferred[name]:
                    watch.problems.append(f"{name}: {now['inferred'] - inferred[name]} pictures inferred while nothing came")
            shown = {name: watch.shown(name) for name in names}
            os.kill(camera.process.pid, signal.SIGCONT)
            all_at_once(lambda name: woken[name].append(watch.wait(name, lambda v: v["frames"]["shown"] > shown[name])))
            print(f"hung {number + 1}: noticed and back after "
                  + ", ".join(f"{n} {noticed[n][-1]:.2f} and {woken[n][-1]:.2f} s" for n in names) + memory(usage), flush=True)
        good = True
        for name in names:
            good &= tell(f"{name}, killed: frames flow after", back[name], BACK_S)
            good &= tell(f"{name}, hung: noticed after", noticed[name], NOTICED_S)
            good &= tell(f"{name}, hung: frames flow after", woken[name], BACK_S)
        good &= not grown(usage)
        for name, vitals in watcher.streams().items():
            frames = vitals["frames"]
            print(f"{name}: {frames}")
            good &= frames["filler"] > 0
        for problem in sorted(set(watch.problems)):
            print("problem:", problem)
        good &= not watch.problems
        print("as promised" if good else "NOT as promised")
        return 0 if good else 1
    finally:
        for program in (camera, watcher):
            if program.process:
                program.process.send_signal(signal.SIGCONT)
                program.process.kill()


if __name__ == "__main__":
    sys.exit(main())
