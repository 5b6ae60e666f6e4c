"""The libraries in C that stand between a server and the disk, compiled when they are needed."""

import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "shim"
COMPILE_SECONDS = 60


def compiled(name, folder: Path) -> Path:
    """The path that LD_PRELOAD takes."""
    library = folder / f"{name}.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", library, SOURCES / f"{name}.c", "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS)
    assert done.returncode == 0, f"{name}.c does not compile:\n{done.stderr}"
    return library
