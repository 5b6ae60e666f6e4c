"""Files as real programs write them, read by Sluice as those programs read them: formats, compressions, archives, dialects."""

import bz2
import datetime
import decimal
import gzip
import io
import json
import lzma
import zipfile

import fastavro
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
import zstandard
from other_readers import read_with_deltalake, read_with_duckdb, sorted_rows
from sluice_client import check_problem

UTC = datetime.UTC
TABLE = pa.table(
    {
        "id": pa.array(range(300), pa.int64()),
        "small": pa.array([number % 100 for number in range(300)], pa.int32()),
        "price": pa.array([None if number % 7 == 0 else number / 4 for number in range(300)], pa.float64()),
        "open": pa.array([number % 2 == 0 for number in range(300)], pa.bool_()),
        "day": pa.array([datetime.date(2024, 2, 29)] * 300, pa.date32()),
        "seen": pa.array([datetime.datetime(2024, 1, 31, 12, 30, 59, 123456, UTC)] * 300, pa.timestamp("us", "UTC")),
        "name": pa.array([["plain", "a, b", "Zürich", "日本語 🦀"][number % 4] for number in range(300)], pa.string()),
        "amount": pa.array([decimal.Decimal(number).scaleb(-2) for number in range(300)], pa.decimal128(12, 2)),
        "tags": pa.array([["x", None], [], None] * 100, pa.list_(pa.string())),
        "place": pa.array([{"lat": 1.5, "city": "Bern"}, None, {"lat": None, "city": "Graz"}] * 100,
                          pa.struct({"lat": pa.float64(), "city": pa.string()})),
        "codes": pa.array([{"a": 1, "b": None}, None, {}] * 100, pa.map_(pa.string(), pa.int64())),
    }
)  # fmt: skip
AVRO_SCHEMA = {
    "type": "record",
    "name": "row",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "small", "type": "int"},
        {"name": "price", "type": ["null", "double"]},
        {"name": "open", "type": "boolean"},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "seen", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "name", "type": "string"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "tags", "type": ["null", {"type": "array", "items": ["null", "string"]}]},
        {"name": "place", "type": ["null", {"type": "record", "name": "place", "fields": [
            {"name": "lat", "type": ["null", "double"]}, {"name": "city", "type": ["null", "string"]}]}]},
        {"name": "codes", "type": ["null", {"type": "map", "values": ["null", "long"]}]},
    ],
}  # fmt: skip


def ipc_bytes(new, compression=None, table=TABLE):
    sink = io.BytesIO()
    with new(sink, table.schema, options=ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=70)
    return sink.getvalue()


def feather_bytes(compression):
    sink = io.BytesIO()
    feather.write_feather(TABLE, sink, compression=compression, chunksize=64)
    return sink.getvalue()


def parquet_bytes():
    sink = io.BytesIO()
    pq.write_table(TABLE, sink)
    return sink.getvalue()


def avro_bytes(codec):
    sink = io.BytesIO()
    fastavro.writer(sink, AVRO_SCHEMA, TABLE.to_pylist(maps_as_pydicts="strict"), codec=codec, sync_interval=2000)
    return sink.getvalue()


def polars_bytes(write, **options):
    sink = io.BytesIO()
    # Polars has no maps.
    getattr(pl.from_arrow(TABLE.drop_columns("codes")), write)(sink, **options)
    return sink.getvalue()


FILES = {
    "stream": ("application/vnd.apache.arrow.stream", lambda: ipc_bytes(ipc.new_stream)),
    "stream lz4": ("application/vnd.apache.arrow.stream", lambda: ipc_bytes(ipc.new_stream, "lz4")),
    "stream zstd": ("application/vnd.apache.arrow.stream", lambda: ipc_bytes(ipc.new_stream, "zstd")),
    "file": ("application/vnd.apache.arrow.file", lambda: ipc_bytes(ipc.new_file)),
    "feather lz4": ("application/vnd.apache.arrow.file", lambda: feather_bytes("lz4")),
    "feather zstd": ("application/vnd.apache.arrow.file", lambda: feather_bytes("zstd")),
    "feather plain": ("application/vnd.apache.arrow.file", lambda: feather_bytes("uncompressed")),
    "polars ipc": ("application/vnd.apache.arrow.file", lambda: polars_bytes("write_ipc", compression="zstd")),
    "polars stream": ("application/vnd.apache.arrow.stream", lambda: polars_bytes("write_ipc_stream")),
    "parquet": ("application/vnd.apache.parquet", parquet_bytes),
    "avro": ("application/avro", lambda: avro_bytes("null")),
    "avro deflate": ("application/avro", lambda: avro_bytes("deflate")),
    "avro bzip2": ("application/avro", lambda: avro_bytes("bzip2")),
    "avro xz": ("application/avro", lambda: avro_bytes("xz")),
}


def comparable(table):
    """The table with its rows in order, as values that compare."""
    return sorted(table.to_pylist(maps_as_pydicts="strict"), key=lambda row: row["id"])


@pytest.mark.parametrize("written", FILES)
def test_a_file_of_typed_columns_is_the_table_that_its_writer_had(server, lake, table, written):
    media_type, write = FILES[written]
    receipt = lake.upload(table, write(), {"Content-Type": media_type})
    assert receipt["rows_committed"] == TABLE.num_rows
    location = lake.describe(table)["location"]
    names = [name for name in TABLE.column_names if not (name == "codes" and written.startswith("polars"))]
    expected = comparable(TABLE.select(names))
    assert comparable(read_with_deltalake(location)) == expected
    assert comparable(read_with_duckdb(location)) == expected


COMPRESSIONS = {
    "gzip": (".gz", gzip.compress),
    "zstd": (".zst", zstandard.compress),
    "bzip2": (".bz2", bz2.compress),
    "xz": (".xz", lzma.compress),
}


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_compressed_file_is_read_by_header_and_by_name(lake, table, compression, by_name):
    ending, compress = COMPRESSIONS[compression]
    # Two parts, as programs write that append to what is there.
    body = compress(b"id,name\n1,Anna\n") + compress(b"2,Ben\n")
    if by_name:
        receipt = lake.upload(table, body, file_name=f"people.csv{ending}")
    else:
        receipt = lake.upload(table, body, {"Content-Type": "text/csv", "Content-Encoding": compression})
    assert receipt["rows_committed"] == 2
    assert lake.rows(f"SELECT * FROM {table} ORDER BY id") == [{"id": 1, "name": "Anna"}, {"id": 2, "name": "Ben"}]


def zip_bytes(members, method=zipfile.ZIP_DEFLATED):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_members_of_an_archive_go_into_one_table(lake, table, method):
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [5], "name": ["Eve"]}), sink)
    members = {
        "in/a.csv": "id;name\n1;Anna\n2;Ben\n",
        "in/": "",
        "__MACOSX/in/._a.csv": b"\0\1",
        "in/b.ndjson": '{"id": 3, "name": "Cem"}\n',
        "in/c.tsv.gz": gzip.compress(b"id\tname\n4\tDee\n"),
        "in/d.parquet": sink.getvalue(),
        "in/e.arrow": ipc_bytes(ipc.new_stream, "lz4", pa.table({"id": [6], "name": ["Flo"]})),
    }
    receipt = lake.upload(table, zip_bytes(members, method), {"Content-Type": "application/zip"})
    assert (receipt["format"], receipt["rows_committed"]) == ("zip", 6)
    names = [row["name"] for row in lake.rows(f"SELECT name FROM {table} ORDER BY id")]
    assert names == ["Anna", "Ben", "Cem", "Dee", "Eve", "Flo"]


def test_a_faulty_archive_names_its_member_and_leaves_no_table(lake, table):
    good = "id\n1\n"
    faulty = {
        "../up.csv": (good, 400, "leads out"),
        "inner.zip": (zip_bytes({"a.csv": good}), 400, "an archive within an archive"),
        "b.csv": ("id\n1,2\n", 400, "line 2"),
        "bomb.csv": ("id\n" + "1" * (40 << 20), 413, "larger than"),
        "c.xyz": (good, 400, "does not tell its format"),
    }
    for name, (content, status, reason) in faulty.items():
        response = lake.send(table, zip_bytes({"good.csv": good, name: content}), file_name="x.zip", max_bad_rows=0)
        check_problem(response, status, name, reason)
    lake.describe(table, 404)


DIALECTS = {
    "comma": ("id,name\n1,x\n2,y\n", {}, (",", True)),
    "semicolon": ("id;name\n1;x\n2;y\n", {}, (";", True)),
    "tab": ("id\tname\n1\tx\n2\ty\n", {}, ("\t", True)),
    "bar": ('id|name\n1|"x"\n2|y\n', {}, ("|", True)),
    "told": ("id;name\n1;x\n2;y\n", {"delimiter": ";", "header": "true"}, (";", True)),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_is_found_and_told_in_the_receipt(lake, table, dialect):
    text, params, (delimiter, header) = DIALECTS[dialect]
    receipt = lake.upload(table, text.encode(), {"Content-Type": "text/csv"}, key="k" + table, **params)
    assert (receipt["dialect"]["delimiter"], receipt["dialect"]["header"]) == (delimiter, header)
    assert ("delimiter" in receipt["dialect"]["found"]) == ("delimiter" not in params)
    assert lake.rows(f"SELECT * FROM {table} ORDER BY id") == [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}]
    # The same request once more is the same upload, whatever was found in the first one.
    again = lake.upload(table, text.encode(), {"Content-Type": "text/csv"}, key="k" + table, **params)
    assert again == receipt


def test_numbers_alone_are_no_names_unless_the_sender_says_so(lake, table):
    receipt = lake.upload(table, b"1,2.5\n3,4.5\n", {"Content-Type": "text/csv"})
    assert (receipt["rows_committed"], receipt["dialect"]["header"]) == (2, False)
    assert lake.row(f"SELECT sum(column_1) AS a, sum(column_2) AS b FROM {table}") == {"a": 4, "b": 7.0}
    receipt = lake.upload(table + "_named", b"1,2.5\n3,4.5\n", {"Content-Type": "text/csv"}, header="true")
    assert receipt["rows_committed"] == 1


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
def test_a_text_is_read_in_its_charset(lake, table, charset):
    body = "naïve;straße\n1,5;Zürich\n".encode(charset)
    name = {"utf-8-sig": "utf-8", "utf-16-le": "utf-16le", "utf-16-be": "utf-16be"}.get(charset, charset)
    lake.upload(table, body, {"Content-Type": f"text/csv; charset={name}"}, decimal=",")
    assert lake.rows(f"SELECT * FROM {table}") == [{"naïve": 1.5, "straße": "Zürich"}]


def test_what_is_no_text_in_its_charset_is_refused_with_its_place(lake, table):
    body = "a\nb\n".encode("utf-16-le") + b"\x00\xd8" + "c\n".encode("utf-16-le")
    response = lake.send(table, body, {"Content-Type": "text/csv; charset=utf-16le"})
    check_problem(response, 400, "line 3", "byte 9", "utf-16le")


def test_the_rows_of_a_document_are_found_by_their_path(lake, table):
    document = {"meta": {"page": 1, "items": [0]}, "data": {"items": [{"id": 1, "o": {"x": 1}}, {"id": 2}]}, "end": []}
    for indent, path in ((None, "/data/items"), (2, "data.items"), (4, "$.data.items")):
        body = json.dumps(document, indent=indent).encode()
        receipt = lake.upload(table, body, {"Content-Type": "application/json"}, record_path=path, flatten="true")
        assert receipt["rows_committed"] == 2
    assert lake.row(f"SELECT count(*) AS n, sum(id) AS ids, sum(o_x) AS xs FROM {table}") == {"n": 6, "ids": 9, "xs": 3}
    response = lake.send(table, b"{}", {"Content-Type": "application/json"}, record_path="/data/items")
    check_problem(response, 400, "record path leads nowhere", "data")


def test_what_nobody_reads_is_refused_by_name(lake, table):
    check_problem(lake.send(table, b"x", file_name="a.xyz"), 415, ".xyz")
    check_problem(lake.send(table, b"x", {"Content-Type": "image/png"}), 415, "image/png")
    check_problem(lake.send(table, b"x", {"Content-Type": "text/csv", "Content-Encoding": "br"}), 415, "br")
    check_problem(lake.send(table, b"x", {"Content-Type": "text/csv; charset=klingon"}), 415, "klingon")


def test_bad_json_is_refused_with_its_file_and_place(lake, table):
    response = lake.send(table, b'[{"a": 1},\n {"a": }]', file_name="people.json", max_bad_rows=0)
    problem = check_problem(response, 400, "line 2", "byte 7")
    assert problem["file_name"] == "people.json"


@pytest.mark.parametrize(
    ("media_type", "write"),
    [
        ("application/vnd.apache.arrow.stream", lambda: ipc_bytes(ipc.new_stream)),
        ("application/vnd.apache.arrow.file", lambda: ipc_bytes(ipc.new_file)),
        ("application/avro", lambda: avro_bytes("deflate")),
    ],
)
def test_a_file_that_is_cut_off_commits_nothing(lake, table, media_type, write):
    whole = write()
    for part in (10, len(whole) // 3, len(whole) * 2 // 3, len(whole) - 9):
        if media_type.endswith("stream") and part == len(whole) - 9:
            continue  # A stream may end without its mark.
        response = lake.send(table, whole[:part], {"Content-Type": media_type})
        check_problem(response, {400, 422})
    lake.describe(table, 404)


def test_types_that_no_table_has_are_refused_with_their_column(lake, table):
    durations = pa.table({"took": pa.array([1], pa.duration("s"))})
    response = lake.send(
        table, ipc_bytes(ipc.new_stream, table=durations), {"Content-Type": "application/vnd.apache.arrow.stream"}
    )
    check_problem(response, 400, "took", "duration")


def test_what_polars_writes_as_text_is_what_polars_reads(server, lake, table):
    frame = pl.from_arrow(TABLE).select("id", "small", "price", "open", "day", "name")
    lake.upload(table, frame.write_csv(separator="|").encode(), file_name="rows.csv")
    lake.upload(table, frame.write_ndjson().encode(), file_name="rows.ndjson")
    found = read_with_deltalake(lake.describe(table)["location"])
    expected = pl.concat([frame, frame]).to_arrow()
    schema = pa.schema([(field.name, found.schema.field(field.name).type) for field in expected.schema])
    assert sorted_rows(found, schema) == sorted_rows(expected.cast(schema), schema)
