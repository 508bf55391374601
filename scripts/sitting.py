"""A sitting of long work that goes on where an earlier one stopped, for the scripts beside this file.

It ends by Ctrl-C, SIGTERM or a terminal that is closed, or after so many minutes, whatever comes first.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

MORE = 75  # EX_TEMPFAIL
INTERRUPTED = 130


class Stopped(Exception):
    """There is no time left, or somebody asked to stop."""


class Sitting:
    def __init__(self, minutes=None):
        if minutes is not None and not minutes > 0:  # not a number is none either
            fail(f"--minutes is {minutes:g}, wanted more than 0")
        self.end = time.monotonic() + 60 * minutes if minutes else None
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup's, or that of a job in the background
                signal.signal(number, self.ask)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever reads a table may have read enough

    def ask(self, *_):
        self.asked = True

    def over(self):
        return self.asked or (self.end is not None and time.monotonic() >= self.end)

    def code(self):
        """What to leave with where the sitting ended before the work."""
        return INTERRUPTED if self.asked else MORE

    def check(self):
        if self.over():
            raise Stopped

    def call(self, *command, **options):
        """Runs a program to its end. It has a session of its own: a Ctrl-C comes to it once, from here, and it saves."""
        self.check()
        command = [str(part) for part in command]
        child = subprocess.Popen(command, start_new_session=True, **options)
        stopping = False
        while True:
            try:
                code = child.wait(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                if self.over() and not stopping:
                    stopping = True
                    child.send_signal(signal.SIGINT)
        if stopping and code in (0, INTERRUPTED, -signal.SIGINT):
            raise Stopped
        if code != 0:
            fail(f"{' '.join(command)} left with {code}", code if code > 0 else 70)


def fail(line, code=64):
    print(f"{Path(sys.argv[0]).name}: {line}", file=sys.stderr)
    sys.exit(code)
