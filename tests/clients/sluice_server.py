"""A Sluice server as a process of its own, and any other program that says when it is ready.

Invariant: a process is ended by its own id and waited for, with a bound.
"""

import collections
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 60
TAIL_LINES = 80
LISTENING = re.compile(r"listening on (http://\S+)")


def wait_for(condition, seconds, what):
    """The first true value of the condition, which is asked again and again until then."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        pause.wait(0.05)


def clean_environment(**additions):
    """The caller's environment without settings of Sluice, of AWS and of logging."""
    foreign = ("SLUICE_", "AWS_", "RUST_LOG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, **additions}


class Process:
    """A program whose output is kept (its tail) and which tells that it is ready by a line."""

    def __init__(self, command, ready, environment, cwd=None):
        self.command = [str(word) for word in command]
        self._ready = re.compile(ready)
        self._lines = collections.deque(maxlen=TAIL_LINES)
        self._match = None
        self._settled = threading.Event()
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            cwd=cwd,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.append(line)
            if self._match is None and (match := self._ready.search(line)):
                self._match = match
                self._settled.set()
        self._settled.set()

    @property
    def pid(self):
        return self._process.pid

    @property
    def running(self):
        return self._process.poll() is None

    def log_tail(self):
        return f"$ {' '.join(self.command)}\n{''.join(self._lines)}"

    def wait_until_ready(self, seconds=START_SECONDS):
        """The match of the line that says so; the process is killed where it does not come."""
        self._settled.wait(seconds)
        if self._match is None:
            self.kill()
            raise AssertionError(f"not ready within {seconds} s, or ended before:\n{self.log_tail()}")
        return self._match

    def wait(self, seconds=STOP_SECONDS):
        """The exit status."""
        status = self._process.wait(seconds)
        self._reader.join(seconds)
        return status

    def terminate(self):
        self._process.send_signal(signal.SIGTERM)

    def kill(self):
        """As a power cut does it: no last words."""
        self._process.kill()
        self.wait()

    def stop(self, seconds=STOP_SECONDS):
        """Ask the process to end, and see that it does; its exit status."""
        if self.running:
            self.terminate()
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop within {seconds} s:\n{self.log_tail()}") from None


class Server(Process):
    """`sluice serve` on a port of its own choosing."""

    def __init__(self, binary: Path, data_dir: Path, arguments=(), environment=None):
        command = [binary, "serve", "--data-dir", data_dir, "--listen", "127.0.0.1:0", *arguments]
        super().__init__(command, LISTENING.pattern, clean_environment(**(environment or {})))
        self.data_dir = data_dir
        self.url = self.wait_until_ready().group(1).rstrip("/")

    def stop(self, seconds=STOP_SECONDS):
        status = super().stop(seconds)
        assert status == 0, f"the server ended with status {status}:\n{self.log_tail()}"
        return status
