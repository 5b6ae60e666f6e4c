"""Parquet files that lie: honest ones from pyarrow with one number of their metadata changed, and bombs built by hand.

Every bomb is small on the wire: the size that it unfolds to stands in its name.
"""

import io
import struct
from functools import cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from f9_thrift import BINARY, I32, I64, LIST, STRUCT, TRUE, Reader, varint, write_struct, zigzag

MAGIC = b"PAR1"
INT32_TYPE, BYTE_ARRAY_TYPE = 1, 6
PLAIN, RLE, DELTA_BYTE_ARRAY, RLE_DICTIONARY = 0, 3, 7, 8
REQUIRED, OPTIONAL, REPEATED = 0, 1, 2
UNCOMPRESSED, ZSTD = 0, 6
LIES = (-1, 0, 1, 7, 2**31 - 1, -(2**31), 2**32 + 1, 2**63 - 1, -(2**63))


def written(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def small_table(rows=50):
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "price": pa.array([None if row % 7 == 0 else row / 4 for row in range(rows)], pa.float64()),
            "name": pa.array([f"name {row % 5}" for row in range(rows)]),
            "tags": pa.array([["a", None, "b"][: row % 4] for row in range(rows)], pa.list_(pa.string())),
            "place": pa.array([{"x": row, "y": None} for row in range(rows)], pa.struct([("x", pa.int32()), ("y", pa.string())])),
            "day": pa.array([18_000 + row for row in range(rows)], pa.int32()).cast(pa.date32()),
        }
    )  # fmt: skip


def split(data):
    """The bytes before the footer, and the footer taken apart."""
    (length,) = struct.unpack_from("<I", data, len(data) - 8)
    start = len(data) - 8 - length
    return data[:start], Reader(data, start).struct()


def joined(front, footer):
    tail = write_struct(footer)
    return front + tail + struct.pack("<I", len(tail)) + MAGIC


def _numbers(fields, trail=()):
    """Every whole number in a structure, as the way that leads to it."""
    for number, (kind, value) in fields.items():
        if kind in (I32, I64):
            yield (*trail, number)
        elif kind == STRUCT:
            yield from _numbers(value, (*trail, number))
        elif kind == LIST and value[0] in (I32, I64):
            yield from ((*trail, number, at) for at in range(len(value[1])))
        elif kind == LIST and value[0] == STRUCT:
            for at, item in enumerate(value[1]):
                yield from _numbers(item, (*trail, number, at))


def _changed(fields, trail, value):
    """A copy in which the number at the end of the way is another one."""
    number, rest = trail[0], trail[1:]
    kind, old = fields[number]
    if not rest:
        new = value
    elif kind == STRUCT:
        new = _changed(old, rest, value)
    else:
        items = list(old[1])
        items[rest[0]] = _changed(items[rest[0]], rest[1:], value) if rest[1:] else value
        new = (old[0], items)
    return {**fields, number: (kind, new)}


def lying_footers():
    """(name, maker of the file) for every number in the footer and every lie."""
    front, footer = split(written(small_table(), row_group_size=25))
    for trail in _numbers(footer):
        for lie in LIES:
            make = lambda trail=trail, lie=lie: joined(front, _changed(footer, trail, lie))  # noqa: E731
            yield f"footer-{'.'.join(map(str, trail))}={lie}", make


def _page_starts(footer):
    for group in footer[4][1][1]:
        for chunk in group[1][1][1]:
            meta = chunk[3][1]
            yield from sorted(meta[number][1] for number in (9, 11) if number in meta)


def lying_pages(version):
    """(name, maker of the file) for every number in the headers of the pages that the footer points at, and every lie.

    A header keeps its length where the lie allows it; where not, what follows it is shifted, which is a lie too.
    """
    data = written(small_table(), compression="zstd", data_page_version=version)
    front, footer = split(data)
    for start in _page_starts(footer):
        reader = Reader(front, start)
        header = reader.struct()
        for trail in _numbers(header):
            for lie in LIES:
                name = f"page-v{version}-{start}-{'.'.join(map(str, trail))}={lie}"
                yield name, partial(_with_page_header, front, footer, start, reader.position, _changed(header, trail, lie))


def _with_page_header(front, footer, start, end, header):
    return joined(front[:start] + write_struct(header) + front[end:], footer)


def element(name, kind=None, repetition=None, children=None):
    fields = {4: (BINARY, name.encode())}
    if kind is not None:
        fields[1] = (I32, kind)
    if repetition is not None:
        fields[3] = (I32, repetition)
    if children is not None:
        fields[5] = (I32, children)
    if kind == BYTE_ARRAY_TYPE:
        fields[6] = (I32, 0)  # UTF8
    return fields


def data_page(values, count, encoding, unpacked_bytes=None):
    header = {1: (I32, 0), 2: (I32, unpacked_bytes or len(values)), 3: (I32, len(values))}
    header[5] = (STRUCT, {1: (I32, count), 2: (I32, encoding), 3: (I32, RLE), 4: (I32, RLE)})
    return write_struct(header) + values


def dictionary_page(values, count):
    header = {1: (I32, 2), 2: (I32, len(values)), 3: (I32, len(values)), 7: (STRUCT, {1: (I32, count), 2: (I32, PLAIN)})}
    return write_struct(header) + values


def one_column(schema, path, kind, pages, rows, values, codec=UNCOMPRESSED, groups=1):
    """A file with one column chunk, which `groups` row groups share."""
    body = b"".join(pages)
    meta = {
        1: (I32, kind), 2: (LIST, (I32, [PLAIN, RLE, RLE_DICTIONARY])), 3: (LIST, (BINARY, [part.encode() for part in path])),
        4: (I32, codec), 5: (I64, values), 6: (I64, len(body)), 7: (I64, len(body)),
        9: (I64, 4 + (len(pages[0]) if len(pages) > 1 else 0)),
    }  # fmt: skip
    if len(pages) > 1:
        meta[11] = (I64, 4)
    chunk = {2: (I64, 4), 3: (STRUCT, meta)}
    group = {1: (LIST, (STRUCT, [chunk])), 2: (I64, len(body)), 3: (I64, rows)}
    footer = {1: (I32, 1), 2: (LIST, (STRUCT, schema)), 3: (I64, rows * groups), 4: (LIST, (STRUCT, [group] * groups))}
    return joined(MAGIC + body, footer)


def run(value, count, width_bytes=1):
    """One run of the RLE hybrid encoding."""
    return varint(count << 1) + value.to_bytes(width_bytes, "little")


def levels(*runs):
    body = b"".join(run(value, count) for value, count in runs)
    return struct.pack("<I", len(body)) + body


def plain_text(*texts):
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def flat(kind, repetition=REQUIRED):
    return [element("schema", children=1), element("a", kind, repetition)]


def delta_packed(first, step_once, count):
    """DELTA_BINARY_PACKED of `first`, then `first + step_once` for ever: blocks of 128 in 4 parts."""
    out = varint(128) + varint(4) + varint(count) + zigzag(first)
    for block in range(-(-(count - 1) // 128)):
        if block == 0 and step_once:
            width = step_once.bit_length()
            part = step_once.to_bytes(-(-width * 32 // 8), "little")
            out += zigzag(0) + bytes([width, 0, 0, 0]) + part
        else:
            out += zigzag(0) + bytes(4)
    return out


def bomb_dictionary(text_bytes, count):
    pages = [dictionary_page(plain_text(b"x" * text_bytes), 1), data_page(b"\1" + run(0, count), count, RLE_DICTIONARY)]
    return one_column(flat(BYTE_ARRAY_TYPE), ["a"], BYTE_ARRAY_TYPE, pages, count, count)


def bomb_prefixes(text_bytes, count):
    """DELTA_BYTE_ARRAY: the first value whole, and each later one the whole of the one before."""
    suffix_lengths = delta_packed(text_bytes, 0, 1) if count == 1 else _one_then_zeros(text_bytes, count)
    values = delta_packed(0, text_bytes, count) + suffix_lengths + b"x" * text_bytes
    return one_column(flat(BYTE_ARRAY_TYPE), ["a"], BYTE_ARRAY_TYPE, [data_page(values, count, DELTA_BYTE_ARRAY)], count, count)


def _one_then_zeros(first, count):
    # The only delta below zero becomes the minimum of its block, and the others are that much above it.
    out = varint(128) + varint(4) + varint(count) + zigzag(first)
    width = first.bit_length()
    deltas = sum(first << (width * at) for at in range(1, 32)).to_bytes(-(-width * 32 // 8), "little")
    whole = sum(first << (width * at) for at in range(32)).to_bytes(-(-width * 32 // 8), "little")
    out += zigzag(-first) + bytes([width] * 4) + deltas + whole * 3
    return out + (zigzag(0) + bytes(4)) * (-(-(count - 1) // 128) - 1)


def bomb_one_row_list(items):
    schema = [element("schema", children=1), element("a", repetition=OPTIONAL, children=1) | {6: (I32, 3)},
              element("list", repetition=REPEATED, children=1), element("element", INT32_TYPE, OPTIONAL)]  # fmt: skip
    values = levels((0, 1), (1, items - 1)) + levels((3, items)) + b"\1" + run(0, items)
    pages = [dictionary_page(struct.pack("<i", 7), 1), data_page(values, items, RLE_DICTIONARY)]
    return one_column(schema, ["a", "list", "element"], INT32_TYPE, pages, 1, items)


def bomb_page(unpacked_bytes, claimed_bytes):
    packed = packed_zeros(unpacked_bytes)
    page = data_page(packed, unpacked_bytes // 4, PLAIN, claimed_bytes)
    return one_column(flat(INT32_TYPE), ["a"], INT32_TYPE, [page], unpacked_bytes // 4, unpacked_bytes // 4, ZSTD)


@cache
def packed_zeros(size_bytes):
    sink, zeros = io.BytesIO(), bytes(1 << 20)
    with zstandard.ZstdCompressor(level=1).stream_writer(sink, closefd=False) as stream:
        for _ in range(size_bytes >> 20):
            stream.write(zeros)
    return sink.getvalue()


def deep_schema(depth):
    groups = [element(f"g{level}", repetition=OPTIONAL, children=1) for level in range(depth)]
    return one_column(
        [element("schema", children=1), *groups, element("a", INT32_TYPE, OPTIONAL)],
        [*(f"g{level}" for level in range(depth)), "a"], INT32_TYPE, [data_page(b"", 0, PLAIN)], 0, 0,
    )  # fmt: skip


def wide_schema(columns):
    schema = [element("schema", children=columns), *(element(f"c{at}", INT32_TYPE, OPTIONAL) for at in range(columns))]
    footer = {1: (I32, 1), 2: (LIST, (STRUCT, schema)), 3: (I64, 0), 4: (LIST, (STRUCT, []))}
    return joined(MAGIC, footer)


def many_groups(groups):
    page = data_page(struct.pack("<i", 7), 1, PLAIN)
    return one_column(flat(INT32_TYPE), ["a"], INT32_TYPE, [page], 1, 1, groups=groups)


def bombs():
    """(name, maker of the file): made only when needed, since some take a while."""
    yield "dictionary-2KB-to-20GB", lambda: bomb_dictionary(1000, 20_000_000)
    yield "dictionary-1MB-to-20TB", lambda: bomb_dictionary(1 << 20, 20_000_000)
    yield "dictionary-pyarrow-5GB", _pyarrow_dictionary
    yield "rle-1e9-rows", lambda: bomb_dictionary(1, 1_000_000_000)
    yield "prefixes-100KB-to-10GB", lambda: bomb_prefixes(100_000, 100_000)
    yield "prefixes-1MB-to-1GB", lambda: bomb_prefixes(1 << 20, 1_000)
    yield "prefixes-8MB-to-80GB", lambda: bomb_prefixes(8 << 20, 10_000)
    yield "one-row-list-1e6", lambda: bomb_one_row_list(1_000_000)
    yield "one-row-list-1e8", lambda: bomb_one_row_list(100_000_000)
    yield "one-row-list-2e9", lambda: bomb_one_row_list(2_000_000_000)
    yield "page-1GB-honest", lambda: bomb_page(1 << 30, 1 << 30)
    yield "page-2GB-claimed", lambda: bomb_page(1 << 20, (1 << 31) - 1)
    yield "page-1GB-unclaimed", lambda: bomb_page(1 << 30, 1000)
    yield "row-groups-100000", lambda: many_groups(100_000)
    yield "row-groups-32769", lambda: many_groups(32_769)
    yield "row-groups-shared-2000", lambda: many_groups(2_000)
    yield "schema-depth-100", lambda: deep_schema(100)
    yield "schema-depth-10000", lambda: deep_schema(10_000)
    yield "schema-width-2001", lambda: wide_schema(2_001)
    yield "schema-width-200000", lambda: wide_schema(200_000)
    yield "footer-padded-17MiB", _padded_footer
    yield "no-row-groups", lambda: joined(MAGIC, {1: (I32, 1), 2: (LIST, (STRUCT, flat(INT32_TYPE))), 3: (I64, 0), 4: (LIST, (STRUCT, []))})
    yield "no-row-groups-yet-rows", lambda: joined(MAGIC, {1: (I32, 1), 2: (LIST, (STRUCT, flat(INT32_TYPE))), 3: (I64, 10**12), 4: (LIST, (STRUCT, []))})  # fmt: skip


def _pyarrow_dictionary():
    indices = pa.array(np.zeros(5_000_000, np.int32))
    column = pa.DictionaryArray.from_arrays(indices, pa.array(["y" * 1000]))
    return written(pa.table({"a": column}), compression="zstd")


def _padded_footer():
    front, footer = split(written(small_table()))
    footer[5] = (LIST, (STRUCT, [{1: (BINARY, b"k"), 2: (BINARY, b"v" * (17 << 20))}]))
    return joined(front, footer)


def oddities():
    """(name, file): single things that no writer does."""
    honest = written(small_table())
    front, footer = split(honest)
    yield "magic-encrypted", honest[:-4] + b"PARE"
    yield "magic-start-wrong", b"XXXX" + honest[4:]
    yield "magic-end-wrong", honest[:-4] + b"PAR2"
    yield "magic-alone", MAGIC
    yield "magic-twice", MAGIC + MAGIC
    yield "footer-length-0", honest[:-8] + bytes(4) + MAGIC
    yield "footer-length-max", honest[:-8] + b"\xff" * 4 + MAGIC
    yield "footer-length-whole-file", honest[:-8] + struct.pack("<I", len(honest) - 8) + MAGIC
    yield "footer-all-ones", front + b"\xff" * 100 + struct.pack("<I", 100) + MAGIC
    for kind in (LIST, STRUCT, TRUE):
        nested = bytes([1 << 4 | kind]) * 100_000
        yield f"footer-nested-{kind}", MAGIC + nested + struct.pack("<I", len(nested)) + MAGIC
    huge_list = bytes([2 << 4 | LIST, 0xFC]) + varint(2**40)
    yield "footer-list-2e40", MAGIC + huge_list + struct.pack("<I", len(huge_list)) + MAGIC
    long_text = bytes([6 << 4 | BINARY]) + varint(2**62)
    yield "footer-text-2e62", MAGIC + long_text + struct.pack("<I", len(long_text)) + MAGIC
    for text in (b"!!!! not base64", b"AAAA", b"/////" + b"/" * 3000):
        yield f"arrow-schema-{text[:4].decode()}", joined(front, {**footer, 5: (LIST, (STRUCT, [{1: (BINARY, b"ARROW:schema"), 2: (BINARY, text)}]))})  # fmt: skip
    for name in ("", "..", "a/b", "a\0b", "n" * 300, "ü😀", "_metadata", "a=b", "a\nb", " ", "a,b;{}()\t="):
        yield f"column-name-{name[:12]!a}", written(pa.table({name: [1, 2]}))
    yield "column-names-equal", written(pa.table([[1], [2]], names=["a", "a"]))
    yield "column-names-equal-but-case", written(pa.table([[1], [2]], names=["a", "A"]))
    yield "text-not-utf8", written(pa.table({"a": pa.array([b"ok", b"\xff\xfe"])}))
    bad_text = one_column(flat(BYTE_ARRAY_TYPE), ["a"], BYTE_ARRAY_TYPE, [data_page(plain_text(b"\xff\xfe\xc0"), 1, PLAIN)], 1, 1)
    yield "text-column-not-utf8", bad_text
    for encoding in range(-1, 12):
        page = data_page(b"\x04\0\0\0abcd" * 3, 3, encoding)
        yield f"encoding-{encoding}", one_column(flat(BYTE_ARRAY_TYPE), ["a"], BYTE_ARRAY_TYPE, [page], 3, 3)
    for codec in range(-1, 10):
        page = data_page(b"\x04\0\0\0abcd" * 3, 3, PLAIN)
        yield f"codec-{codec}", one_column(flat(BYTE_ARRAY_TYPE), ["a"], BYTE_ARRAY_TYPE, [page], 3, 3, codec)
    for width in (0, 1, 32, 33, 255):
        pages = [dictionary_page(plain_text(b"abcd"), 1), data_page(bytes([width]) + b"\xfe\xff\xff\x0f" + b"\xff" * 8, 9, RLE_DICTIONARY)]
        yield f"dictionary-width-{width}", one_column(flat(BYTE_ARRAY_TYPE), ["a"], BYTE_ARRAY_TYPE, pages, 9, 9)
    yield "text-length-beyond-page", one_column(flat(BYTE_ARRAY_TYPE), ["a"], BYTE_ARRAY_TYPE, [data_page(b"\xff\xff\xff\x7fab", 1, PLAIN)], 1, 1)
    yield "zero-columns", joined(MAGIC, {1: (I32, 1), 2: (LIST, (STRUCT, [element("schema", children=0)])), 3: (I64, 3), 4: (LIST, (STRUCT, []))})
    types = {"null": pa.nulls(3), "time": pa.array([1, 2], pa.time64("ns")), "uint64": pa.array([2**64 - 1], pa.uint64()),
             "nanoseconds": pa.array([2**63 - 1], pa.timestamp("ns")), "seconds": pa.array([2**40], pa.timestamp("s")),
             "float16": pa.array([1.5], pa.float16()), "decimal256": pa.array([None], pa.decimal256(76, 10)),
             "duration": pa.array([5], pa.duration("us")), "fixed": pa.array([b"abc"], pa.binary(3)),
             "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())), "dictionary": pa.array(["a", None]).dictionary_encode(),
             "date-far": pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), "nan": pa.array([float("nan"), float("inf"), -0.0])}  # fmt: skip
    for name, column in types.items():
        yield f"type-{name}", written(pa.table({"a": column}))
