"""Values of the text that Prometheus is given."""

import re

LINE = re.compile(r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$")


def metric(text, name, **labels):
    """The value of the one sample of this name that has these labels; none without it."""
    for line in text.splitlines():
        match = LINE.match(line)
        if not match or match["name"] != name:
            continue
        found = dict(re.findall(r'(\w+)="([^"]*)"', match["labels"] or ""))
        if labels.items() <= found.items():
            return float(match["value"])
    return None
