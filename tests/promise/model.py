"""What the clients sent and what they were told: the truth that a table is compared with.

Every row has an id of its own, from which the whole row follows: the number of its upload in the high bits, the number of
the row in the low ones. So a row that was lost, doubled, cut or changed can be named.
"""

import gzip
import io
import json
import threading
import uuid
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

ROW_BITS = 20
SCHEMA = pa.schema([("id", pa.int64()), ("upload", pa.int64()), ("text", pa.string())])
# What readers of text stumble over: it must come back as it was.
AWKWARD = ("", " plain", ' "quoted", and', " of two\nlines", " Ärger 東京 🦦")
FORMATS = ("csv", "ndjson", "parquet")

# What a client knows of its upload.
OPEN, ACKED, ACCEPTED, REFUSED = "open", "acked", "accepted", "refused"
# What was told makes its rows due: at once, or as soon as nothing is under way any more.
PROMISED = (ACKED, ACCEPTED)


@dataclass
class Upload:
    """One batch. It may be sent many times; with a key it must be in the table once however often that was."""

    number: int
    table: str
    rows: int
    filler: str
    format: str
    gzipped: bool = False
    key: str | None = None
    respond_async: bool = False
    state: str = OPEN
    receipt: dict | None = None
    body: bytes | None = field(default=None, repr=False)

    def rows_table(self):
        """The rows that it brings, by rising id."""
        ids = pa.array(range(self.number << ROW_BITS, (self.number << ROW_BITS) + self.rows), pa.int64())
        text = pc.binary_join_element_wise("row ", ids.cast(pa.string()), self.filler, "")
        return pa.table([ids, pa.array([self.number] * self.rows, pa.int64()), text], schema=SCHEMA)

    def encode(self):
        """The bytes that are sent, the same ones every time."""
        if self.body is None:
            body = {"csv": _csv, "ndjson": _ndjson, "parquet": _parquet}[self.format](self)
            self.body = gzip.compress(body, 1, mtime=0) if self.gzipped else body
        return self.body

    @property
    def headers(self):
        headers = {"Content-Encoding": "gzip"} if self.gzipped else {}
        return {**headers, **({"Prefer": "respond-async"} if self.respond_async else {})}

    @property
    def promised(self):
        """Whether a client was told that the rows are, or will be, in the table."""
        return self.state in PROMISED


def _csv(upload):
    out = io.BytesIO()
    pyarrow.csv.write_csv(upload.rows_table(), out)
    return out.getvalue()


def _ndjson(upload):
    ids = upload.rows_table()["id"].cast(pa.string())
    filler = json.dumps(upload.filler, ensure_ascii=False)[1:-1]
    head, middle, tail = '{"id":', f',"upload":{upload.number},"text":"row ', filler + '"}\n'
    lines = pc.binary_join_element_wise(head, ids, middle, ids, tail, "")
    return "".join(lines.to_pylist()).encode()


def _parquet(upload):
    out = io.BytesIO()
    pyarrow.parquet.write_table(upload.rows_table(), out)
    return out.getvalue()


class Model:
    """All uploads of one figure. Safe to use from several threads."""

    def __init__(self, random):
        self.uploads = []
        self._random = random
        self._lock = threading.Lock()

    def new(self, table, low_bytes=1000, high_bytes=200_000, **fields):
        """An upload of a random size and format, with a key; fields that are given are not drawn."""
        with self._lock:
            draw = self._random
            filler = draw.choice(AWKWARD) + "x" * draw.randrange(40)
            size = low_bytes * (high_bytes / low_bytes) ** draw.random()
            drawn = {
                "rows": max(1, int(size / (60 + len(filler.encode())))),
                "filler": filler,
                "format": draw.choice(FORMATS),
                "gzipped": draw.random() < 0.25,
                "key": str(uuid.UUID(int=draw.getrandbits(128), version=4)),
            }
            upload = Upload(len(self.uploads), table, **{**drawn, **fields})
            if upload.format == "parquet":
                upload.gzipped = False
            self.uploads.append(upload)
            return upload

    def of(self, table):
        return [upload for upload in self.uploads if upload.table == table]

    def tables(self):
        return sorted({upload.table for upload in self.uploads})

    def count(self, *states):
        return sum(upload.state in states for upload in self.uploads)
