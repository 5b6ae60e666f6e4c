"""What the figures say: one line a value, `name value bar PASS|FAIL`, and lines with `#` for a reader who wants more."""

import sys
import threading


class Report:
    """Prints every value as it becomes known, and remembers which ones missed their bar."""

    def __init__(self, out=sys.stdout):
        self.failed = []
        self._out = out
        self._lock = threading.Lock()

    def _line(self, name, value, bar, passed):
        shown = round(value, 2) if isinstance(value, float) else value
        self._print(f"{name} {shown} {bar} {'PASS' if passed else 'FAIL'}")
        if not passed:
            self.failed.append(name)

    def _print(self, text):
        with self._lock:
            print(text, file=self._out, flush=True)

    def equal(self, name, value, bar):
        self._line(name, value, f"={bar}", value == bar)

    def at_least(self, name, value, bar):
        self._line(name, value, f">={bar}", value >= bar)

    def at_most(self, name, value, bar):
        self._line(name, value, f"<={bar}", value <= bar)

    def below(self, name, value, bar):
        self._line(name, value, f"<{bar}", value < bar)

    def info(self, name, value):
        """A value without a bar."""
        self._print(f"# {name} {round(value, 2) if isinstance(value, float) else value}")

    def note(self, text):
        for line in str(text).splitlines():
            self._print(f"#   {line}")
