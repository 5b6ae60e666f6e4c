"""What a disk holds after a power cut, by a model that is legal for any POSIX file system, and strict.

- A file has the bytes that it had when its last successful fsync or fdatasync began; one that was never synced is empty.
- A directory has the names that it had when its last successful fsync began (`STRICT`; none if there was no such), or those
  at the cut (`EAGER`, as where the journal of the file system was written and the data was not: names without bytes).
- What is in the tree before the first start counts as synced.

Syncing a new file does not make its name durable here, though some file systems do that.
"""

import os
import shutil
import subprocess
from pathlib import Path

STRICT, EAGER = "strict", "eager"
WALK_SECONDS = 60


class Shadow:
    """What survives of one tree, kept by the shim beside it."""

    def __init__(self, library: Path, root: Path, folder: Path):
        self._library, self._root = library, root
        self._synced, self._named = folder / "synced", folder / "named"
        for store in (self._synced, self._named):
            store.mkdir(parents=True)
        self._walk(self._synced, "all")

    @property
    def environment(self):
        """What a server is started with."""
        return self._variables(self._synced)

    def _variables(self, store):
        return {"LD_PRELOAD": str(self._library), "SHADOW_ROOT": str(self._root), "SHADOW_STORE": str(store)}

    def _walk(self, store, what):
        environment = {**os.environ, **self._variables(store), "SHADOW_WALK": what}
        subprocess.run(["true"], env=environment, check=True, timeout=WALK_SECONDS)

    def rebuild(self, mode):
        """Put what survives in the place of the tree, whose writers have all ended."""
        if mode == EAGER:
            self._walk(self._named, "names")
        names = self._synced if mode == STRICT else self._named
        survived = self._root.with_name(self._root.name + ".survived")
        self._restore(names, (names / "root").read_text(), survived)
        shutil.rmtree(self._root)
        survived.rename(self._root)

    def _restore(self, names, key, target):
        target.mkdir()
        listing = names / key
        entries = listing.read_bytes().split(b"\0")[:-1] if listing.exists() else []
        for entry in entries:
            kind, below, name = entry.decode().split(" ", 2)
            bytes_ = self._synced / below
            if kind == "d":
                self._restore(names, below, target / name)
            elif bytes_.exists():
                shutil.copyfile(bytes_, target / name)
            else:
                (target / name).touch()
