"""The hostile uploads, all of them made anew from a seed: what is sent, and where it can be said, which rows it holds."""

import gzip
import io
import random
from dataclasses import dataclass, field
from typing import Callable
from urllib.parse import urlencode

import f9_parquet as parquet
import f9_requests as requests
import f9_text as text
import pyarrow as pa
import pyarrow.json
import zstandard
from f9_wire import request_bytes

EVERY_FORMAT = ("csv", "ndjson", "json", "parquet")
# Of the families that are made of many of a kind, this many are taken for the short form.
SHORT_SHARE = {"lying-footer": 40, "lying-page": 40, "mutated": 80, "json-value": 50, "compression": 50, "parameter": 45, "path": 20, "oddity": 60}


@dataclass
class Case:
    """One upload. `plain` is the file as an honest reader would see it, where that can be said at all."""

    name: str
    family: str
    make: Callable[[], bytes]
    format: str = "csv"
    headers: list = field(default_factory=list)
    params: dict = field(default_factory=dict)
    path: str | None = None
    plain: Callable[[], bytes] | None = None
    raw: Callable[[str, str], bytes] | None = None
    hangs_up: bool = False
    heavy: bool = False

    def request(self, table, host):
        """The request as bytes; an odd path is taken where the case has one."""
        target = f"/api/v1/tables/{self.path or table}/uploads?{urlencode(self.params)}"
        return self.raw(target, host) if self.raw else request_bytes("POST", target, host, self.headers, self.make())


def _file(name, family, form, make, **more):
    return Case(name, family, make, form, params={"format": form}, plain=make, **more)


def _seeds():
    """(format, honest file): what mutations begin with."""
    table = parquet.small_table()
    rows = table.select(["id", "price", "name"]).to_pylist()
    lines = [f'{row["id"]},{row["price"] or ""},"{row["name"]}, x",2024-01-{row["id"] % 28 + 1:02}' for row in rows]
    yield "csv", ("id,price,name,day\n" + "\n".join(lines) + "\n").encode()
    documents = [text.json.dumps(row | {"tags": ["a", {"b": None}], "at": "2024-01-01T00:00:00Z"}) for row in rows]
    yield "ndjson", ("\n".join(documents) + "\n").encode()
    yield "json", ("[" + ",\n ".join(documents) + "]").encode()
    yield "parquet", parquet.written(table, row_group_size=20, compression="snappy")
    yield "parquet", parquet.written(table, compression="zstd", data_page_version="2.0", use_dictionary=False)
    delta = {"id": "DELTA_BINARY_PACKED", "name": "DELTA_BYTE_ARRAY", "price": "BYTE_STREAM_SPLIT"}
    yield "parquet", parquet.written(table.select(list(delta)), use_dictionary=False, column_encoding=delta, compression="none")


def _mutation(chance, data):
    """One way to spoil a file, as its name and the spoiled bytes."""
    at = chance.randrange(len(data))
    length = chance.choice((1, 2, 8, 100))
    match chance.choice(("cut", "flip", "flip", "flips", "drop", "insert", "double", "zero", "swap")):
        case "cut":
            return f"cut-{at}", data[:at]
        case "flip":
            bit = chance.randrange(8)
            return f"flip-{at}.{bit}", data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        case "flips":
            spoiled = bytearray(data)
            for _ in range(20):
                spoiled[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            return f"flips-{at}", bytes(spoiled)
        case "drop":
            return f"drop-{at}+{length}", data[:at] + data[at + length :]
        case "insert":
            return f"insert-{at}+{length}", data[:at] + chance.randbytes(length) + data[at:]
        case "double":
            return f"double-{at}+{length}", data[: at + length] + data[at:]
        case "zero":
            return f"zero-{at}+{length}", data[:at] + bytes(len(data[at : at + length])) + data[at + length :]
        case _:
            other = chance.randrange(len(data))
            low, high = sorted((at, other))
            return f"swap-{low}-{high}", data[high:] + data[low:high] + data[:low]


def _mutated(seed, count):
    seeds = list(_seeds())
    for number in range(count):
        chance = random.Random(f"{seed} mutation {number}")
        form, data = seeds[number % len(seeds)]
        label, spoiled = _mutation(chance, data)
        yield _file(f"{form}-{number % len(seeds)}-{label}", "mutated", form, lambda spoiled=spoiled: spoiled)


def _garbage(seed):
    chance = random.Random(f"{seed} garbage")
    bodies = {
        "empty": b"", "byte": b"x", "noise": chance.randbytes(10_000), "noise-3MB": chance.randbytes(3_000_000), "nul": bytes(100_000),
        "csv": requests.CSV, "json": b'[{"a":1}]', "ndjson": b'{"a":1}\n', "gzip": gzip.compress(requests.CSV, mtime=0), "zstd": zstandard.compress(requests.CSV),
        "parquet": parquet.written(parquet.small_table()), "zip": b"PK\x03\x04" + chance.randbytes(500), "sqlite": b"SQLite format 3\0" + bytes(5000), "avro": b"Obj\x01" + chance.randbytes(500),
        "orc": b"ORC" + chance.randbytes(500), "arrow": _arrow_file(), "pdf": b"%PDF-1.7\n" + chance.randbytes(500), "elf": b"\x7fELF" + chance.randbytes(500),
    }  # fmt: skip
    for form in EVERY_FORMAT:
        for name, body in bodies.items():
            yield _file(f"{name}-as-{form}", "garbage", form, lambda body=body: body)
        yield Case(f"noise-compressed-as-{form}", "garbage", lambda: gzip.compress(bodies["noise"]), form, [("Content-Encoding", "gzip")], {"format": form})


def _arrow_file():
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, pa.schema([("a", pa.int64())])) as writer:
        writer.write_batch(pa.record_batch([pa.array([1, 2])], names=["a"]))
    return sink.getvalue()


def _of_requests():
    for name, make, headers, params, plain in requests.compressed():
        form = params.get("format", "csv")
        heavy = "bomb" in name or "members" in name or "MiB" in name
        family = "compression-bomb" if heavy else "compression"
        yield Case(name, family, make, form, headers, params, plain=plain and (lambda plain=plain: plain), heavy=heavy)
    for name, body, headers, params in requests.parameters():
        yield Case(name, "parameter", lambda body=body: body, "csv", headers, params)
    for name, make, plain in requests.forms():
        headers = [("Content-Type", "multipart/form-data; boundary=x")]
        yield Case(name, "form", make, "csv", headers, plain=plain and (lambda plain=plain: plain), heavy="bomb" in name)
    for name, path in requests.paths():
        yield Case(name, "path", lambda: requests.CSV, params={"format": "csv"}, path=path)
    for number, (name, _, hangs_up) in enumerate(requests.raw("/", "h")):
        make = lambda target, host, number=number: list(requests.raw(target, host))[number][1]  # noqa: E731
        yield Case(name, "http", lambda: b"", params={"format": "csv"}, raw=make, hangs_up=hangs_up)


def _of_formats():
    for name, form, body in text.json_values():
        yield _file(name, "json-value", form, lambda body=body: body)
    for name, form, make in text.json_shapes():
        yield _file(name, "json-shape", form, make, heavy=_is_heavy(name))
    for name, make in text.csv_shapes():
        yield _file(name, "csv-shape", "csv", make, heavy=_is_heavy(name))
    for name, data in parquet.oddities():
        yield _file(name, "oddity", "parquet", lambda data=data: data)
    for name, make in parquet.bombs():
        yield Case(name, "parquet-bomb", make, "parquet", params={"format": "parquet"}, heavy=True)


def _is_heavy(name):
    return any(word in name for word in ("MiB", "000", "20M", "8M", "1MB", "escapes", "open", "wide", "letter", "late"))


def _lies():
    for name, make in parquet.lying_footers():
        yield _file(name, "lying-footer", "parquet", make)
    for version in ("1.0", "2.0"):
        for name, make in parquet.lying_pages(version):
            yield _file(name, "lying-page", "parquet", make)


def corpus(seed, long):
    """Every case of the long form, or the part of it, always the same, that the short one has."""
    cases = [*_garbage(seed), *_of_requests(), *_of_formats(), *_lies(), *_mutated(seed, 600 if long else SHORT_SHARE["mutated"])]
    if long:
        return cases
    chance = random.Random("the short form")
    families = {}
    for case in cases:
        families.setdefault(case.family, []).append(case)
    picked = [chance.sample(family, min(len(family), SHORT_SHARE.get(name, len(family)))) for name, family in families.items()]
    return [case for family in picked for case in family]
