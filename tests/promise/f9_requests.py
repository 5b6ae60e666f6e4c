"""Hostile requests around harmless files: compression, forms, names, parameters, lengths and chunks that lie."""

import gzip
import struct
import zlib
from urllib.parse import quote

import zstandard
from f9_parquet import packed_zeros
from f9_wire import request_bytes

MEBIBYTE = 1 << 20
CSV = b"a,b\n1,x\n2,y\n"


def gzip_zeros(size_bytes, start=b""):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [packer.compress(start)]
    pieces += [packer.compress(b"0" * MEBIBYTE) for _ in range(size_bytes >> 20)]
    return b"".join(pieces) + packer.flush()


def zstd_frame(window_log, content=CSV):
    """A frame by hand, whose header asks for a window of this size."""
    block = struct.pack("<I", len(content) << 3 | 1)[:3] + content
    return b"\x28\xb5\x2f\xfd" + bytes([0x00, (window_log - 10) << 3]) + block


def compressed():
    """(name, body maker, headers, params, rows are those of the plain file)."""
    packed, framed = gzip.compress(CSV, mtime=0), zstandard.ZstdCompressor(write_checksum=True).compress(CSV)
    plain = {"format": "csv"}
    for label, encoding, body in (("gzip", "gzip", packed), ("zstd", "zstd", framed)):
        told = [("Content-Encoding", encoding)]
        yield f"{label}-good", lambda b=body: b, told, plain, CSV
        yield f"{label}-of-plain", lambda: CSV, told, plain, None
        yield f"{label}-untold", lambda b=body: b, [], plain, None
        yield f"{label}-empty", lambda: b"", told, plain, None
        yield f"{label}-twice", lambda b=body, e=encoding: gzip.compress(b) if e == "gzip" else zstandard.compress(b), told, plain, None
        yield f"{label}-twice-told-twice", lambda b=body: gzip.compress(b), [("Content-Encoding", f"{encoding}, gzip")], plain, None
        yield f"{label}-trailing-garbage", lambda b=body: b + b"garbage", told, plain, None
        yield f"{label}-trailing-zeros", lambda b=body: b + bytes(100), told, plain, None
        yield f"{label}-two-members", lambda b=body: b + b, told, plain, CSV + CSV
        yield f"{label}-by-name", lambda b=body: b, [], {"file_name": f"x.csv.{'gz' if label == 'gzip' else 'zst'}"}, CSV
        for cut in (1, 2, 4, 8, len(body) // 2, len(body) - 1):
            yield f"{label}-cut-{cut}", lambda b=body, n=cut: b[:-n], told, plain, None
        for at in range(0, len(body), 3):
            yield f"{label}-byte-{at}", lambda b=body, n=at: b[:n] + bytes([b[n] ^ 0x55]) + b[n + 1 :], told, plain, CSV
    yield "gzip-told-zstd-sent", lambda: framed, [("Content-Encoding", "gzip")], plain, None
    yield "zstd-told-gzip-sent", lambda: packed, [("Content-Encoding", "zstd")], plain, None
    for encoding in ("br", "deflate", "compress", "x-gzip", "gzip;q=1", "GZIP ", "identity, identity", "", "é"):
        yield f"encoding-{encoding!a}", lambda: packed, [("Content-Encoding", encoding)], plain, None
    yield "gzip-bomb-csv-64MB", lambda: gzip_zeros(64 << 20, b"a\n"), [("Content-Encoding", "gzip")], plain, None
    yield "gzip-bomb-json-64MB", lambda: gzip_zeros(64 << 20, b'[{"a":"'), [("Content-Encoding", "gzip")], {"format": "json"}, None
    yield "gzip-bomb-parquet-64MB", lambda: gzip_zeros(64 << 20, b"PAR1"), [("Content-Encoding", "gzip")], {"format": "parquet"}, None
    yield "gzip-bomb-lines-64MB", lambda: gzip.compress(b"a,b\n" + b"1,2\n" * 16_000_000, 1, mtime=0), [("Content-Encoding", "gzip")], plain, None
    yield "zstd-bomb-1GB", lambda: packed_zeros(1 << 30), [("Content-Encoding", "zstd")], plain, None
    yield "zstd-bomb-parquet-1GB", lambda: packed_zeros(1 << 30), [("Content-Encoding", "zstd")], {"format": "parquet"}, None
    yield "gzip-bomb-in-gzip", lambda: gzip.compress(gzip_zeros(64 << 20)), [("Content-Encoding", "gzip")], plain, None
    yield "gzip-100000-members", lambda: gzip.compress(b"1\n", mtime=0) * 100_000, [("Content-Encoding", "gzip")], plain, None
    yield "gzip-1000000-empty-members", lambda: gzip.compress(b"", mtime=0) * 1_000_000, [("Content-Encoding", "gzip")], plain, None
    yield "gzip-name-20MiB", lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (20 * MEBIBYTE), [("Content-Encoding", "gzip")], plain, None
    for window in (17, 27, 28, 31, 41):
        yield f"zstd-window-2^{window}", lambda w=window: zstd_frame(w), [("Content-Encoding", "zstd")], plain, CSV
    yield "zstd-skippable-frames", lambda: (b"\x50\x2a\x4d\x18" + bytes(4)) * 500_000, [("Content-Encoding", "zstd")], plain, None
    yield "zstd-skippable-4GB", lambda: b"\x50\x2a\x4d\x18" + b"\xff" * 4 + b"x" * 1000, [("Content-Encoding", "zstd")], plain, None


def parameters():
    """(name, body, headers, params): a good file, asked for in a bad way."""
    for names in ("..", "absent", "a,a", "a,A", ",", "a,", "%00", "a/b", "n" * 300, "a,b", "_x", "a b", "A", ",".join("c" * 17), "a" + ",b" * 500, "ü", "a\n"):
        yield f"partition-{names[:10]!a}", CSV, [], {"format": "csv", "partition_by": names}
    for value in ("..", "a/b", "", "%00", "a=b", "x" * 5_000, "😈", "50%", "a\\b", "__HIVE_DEFAULT_PARTITION__", " ", ".", "a\x01b", "CON", "'\""):
        body = f'a,b\n1,"{value}"\n'.replace('"\'""', '"\'"""').encode()
        yield f"partition-value-{value[:10]!a}", body, [], {"format": "csv", "partition_by": "b"}
    many = b"a,b\n" + b"".join(b"%d,%d\n" % (at, at) for at in range(3_000))
    yield "partitions-3000", many, [], {"format": "csv", "partition_by": "b"}
    yield "partition-all-columns", CSV, [], {"format": "csv", "partition_by": "a,b"}
    for name, value in (
        ("format", "xlsx"), ("format", ""), ("format", "CSV\0"), ("format", "parquet,csv"), ("delimiter", ""), ("delimiter", "ab"), ("delimiter", "\n"), ("delimiter", "\0"),
        ("delimiter", "é"), ("delimiter", '"'), ("quote", ","), ("quote", "\r"), ("quote", "none"), ("header", "perhaps"), ("header", "false"), ("null_values", "," * 1000),
        ("null_values", "1"), ("empty_as_null", "no"), ("file_name", "../../etc/passwd.csv"), ("file_name", "n" * 300), ("file_name", "a\r\nX: y.csv"), ("file_name", "a\0.csv"),
        ("unknown", "1"), ("partition_by", "\0"), ("format[]", "csv"),
    ):  # fmt: skip
        yield f"parameter-{name}={value[:10]!a}", CSV, [], {"format": "csv", **{name: value}}
    for name, value in (
        ("Content-Type", "multipart/form-data"), ("Content-Type", "multipart/form-data; boundary="), ("Content-Type", "multipart/form-data; boundary=" + "b" * 300), ("Content-Type", "x" * 5000),
        ("Content-Type", "text/csv; charset=utf-16"), ("Content-Type", "multipart/mixed; boundary=x"), ("Content-Type", "; ;"), ("Content-Type", "é"), ("Idempotency-Key", ""), ("Idempotency-Key", "k" * 256),
        ("Idempotency-Key", "k k"), ("Idempotency-Key", "é"), ("Prefer", "x" * 5000), ("Prefer", "respond-async=\"\\"), ("Expect", "200-nothing"), ("X-Request-Id", "é" * 500), ("Accept", "\t"),
        ("Range", "bytes=0-1"), ("Content-Range", "bytes 0-1/2"), ("Content-MD5", "x"), ("Authorization", "Bearer \t"), ("Forwarded", "for=127.0.0.1;host=evil"), ("X-Forwarded-Host", "evil"),
    ):  # fmt: skip
        yield f"header-{name}-{value[:12]!a}", CSV, [(name, value)], {"format": "csv"}


def form(parts, boundary="x", end=True):
    lines = b"".join(b"--" + boundary.encode() + b"\r\n" + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts)
    return lines + (b"--" + boundary.encode() + b"--\r\n" if end else b"")


def forms():
    """(name, body maker, the rows are those of the plain file)."""
    part = b'Content-Disposition: form-data; name="file"; filename="a.csv"'
    named = lambda name: b'Content-Disposition: form-data; name="file"; filename="' + name + b'"'  # noqa: E731
    yield "good", lambda: form([(part, CSV)]), CSV
    yield "no-end", lambda: form([(part, CSV)], end=False), None
    yield "other-boundary", lambda: form([(part, CSV)], boundary="y"), None
    yield "no-part", lambda: form([]), None
    yield "empty", lambda: b"", None
    yield "no-name", lambda: form([(b"Content-Disposition: form-data", CSV)]), None
    yield "other-name", lambda: form([(part.replace(b'"file"', b'"other"'), CSV)]), None
    yield "two-files", lambda: form([(part, CSV), (part, CSV)]), None
    yield "file-then-text", lambda: form([(part, CSV), (b'Content-Disposition: form-data; name="x"', b"1")]), None
    yield "no-headers", lambda: form([(b"", CSV)]), None
    yield "headers-10000", lambda: form([(part + b"".join(b"\r\nX-%d: y" % at for at in range(10_000)), CSV)]), None
    yield "header-1MB", lambda: form([(part + b"\r\nX: " + b"y" * 1_000_000, CSV)]), None
    yield "preamble-1MB", lambda: b"p" * 1_000_000 + form([(part, CSV)]), None
    yield "boundary-inside", lambda: form([(part, b"a,b\n--x\n1,2\n")]), None
    yield "truncated-in-header", lambda: form([(part, CSV)])[:40], None
    yield "lf-only", lambda: form([(part, CSV)]).replace(b"\r\n", b"\n"), None
    yield "part-compressed", lambda: form([(named(b"a.csv.gz"), gzip.compress(CSV, mtime=0))]), CSV
    yield "part-compressed-bomb", lambda: form([(named(b"a.csv.gz"), gzip_zeros(64 << 20, b"a\n"))]), None
    for name in (b"../../x.csv", b"a\r\nX-Evil: 1\r\n.csv", b"a\0.csv", b"n" * 300 + b".csv", b'a".csv', b"\xff.csv", b"%0d%0a.csv", b"C:\\x.csv", b".csv", b"a.csv.gz.zst", b"a.parquet", "ü.csv".encode()):
        yield f"file-name-{name[:12]!a}", lambda n=name: form([(named(n), CSV)]), CSV


def paths():
    """(name, namespace and table as they stand in the path)."""
    odd = ["..", ".", "%2e%2e", "%00", "a%00b", "n" * 300, "a%2Fb", "..%2f..%2fetc", "%c0%ae", "ü", "%ff", "1a", "-a", "a.b", "a b", "%20", "a;b", "a'b", "a%0d%0aX:y", "%", "%zz", "*", "~", "CON", "_", "a" * 129]
    for name in odd:
        yield f"table-{name[:14]!a}", f"hostile/{quote(name, safe='%;*~')}"
        yield f"namespace-{name[:14]!a}", f"{quote(name, safe='%;*~')}/t"


def raw(target, host):
    """(name, the request as bytes, the client hangs up after it): what is wrong is the message itself.

    Such a request may be answered by the HTTP layer with a bare refusal, or by closing the connection.
    """
    good = lambda *headers: request_bytes("POST", target, host, headers, CSV)  # noqa: E731
    chunked = [("Transfer-Encoding", "chunked")]
    chunks = lambda body: request_bytes("POST", target, host, chunked, body)  # noqa: E731
    yield "length-longer-then-closed", good(("Content-Length", "1000")), True
    yield "length-longer-then-silent", good(("Content-Length", "1000")), False
    yield "length-shorter", good(("Content-Length", "6")), False
    for value in ("-1", "abc", "99999999999999999999999", "1e3", "+5", "0x10", "5,5", " "):
        yield f"length-{value[:6]!a}", good(("Content-Length", value)), True
    yield "length-6-EiB", good(("Content-Length", str(6 << 60))), False
    yield "length-twice", good(("Content-Length", "5"), ("Content-Length", "12")), True
    yield "length-and-chunked", good(("Content-Length", "5"), ("Transfer-Encoding", "chunked")), True
    for value in ("gzip", "chunked, chunked", "chunked, gzip", "xchunked", "", "identity"):
        yield f"transfer-encoding-{value!a}", request_bytes("POST", target, host, [("Transfer-Encoding", value)], CSV), True
    yield "chunks-garbage", chunks(b"garbage\r\n"), False
    yield "chunks-size-huge", chunks(b"FFFFFFFFFFFFFFFF\r\nabc"), True
    yield "chunks-size-overflow", chunks(b"1" + b"0" * 40 + b"\r\nabc"), True
    yield "chunks-size-negative", chunks(b"-5\r\nabc\r\n0\r\n\r\n"), True
    yield "chunks-cut", chunks(b"C\r\na,b\n1,x"), True
    yield "chunks-no-end", chunks(b"C\r\n" + CSV + b"\r\n"), True
    yield "chunks-wrong-size", chunks(b"5\r\n" + CSV + b"\r\n0\r\n\r\n"), True
    yield "chunks-extension-1MB", chunks(b"C;" + b"e" * 1_000_000 + b"\r\n" + CSV + b"\r\n0\r\n\r\n"), True
    yield "chunks-one-byte-each", chunks(b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in CSV * 2_000) + b"0\r\n\r\n"), False
    yield "chunks-trailers-1MB", chunks(b"C\r\n" + CSV + b"\r\n0\r\n" + b"X: y\r\n" * 170_000 + b"\r\n"), True
    yield "headers-200", good(*((f"X-{at}", "y") for at in range(200))), True
    yield "header-1MB", good(("X", "y" * 1_000_000)), True
    yield "header-name-bad", good(("X Y", "z")), True
    yield "header-value-nul", good(("X", "a\0b")), True
    yield "header-folded", good(("X", "a\r\n b")), True
    yield "target-100KB", request_bytes("POST", target + "&file_name=" + "n" * 100_000, host, [], CSV), True
    yield "target-with-space", request_bytes("POST", target + " x", host, [], CSV), True
    yield "target-not-ascii", request_bytes("POST", target + "&file_name=\udcff", host, [], CSV), True
    yield "method-unknown", request_bytes("BREW", target, host, [], CSV), True
    yield "method-long", request_bytes("A" * 10_000, target, host, [], CSV), True
    yield "version-9", good().replace(b"HTTP/1.1", b"HTTP/9.9", 1), True
    yield "not-http", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), True
    yield "http2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]) + b"\xff" * 200, True
    yield "line-ends-alone", b"\r\n" * 10_000, True
    yield "host-missing", good().replace(b"Host: ", b"Hosx: ", 1), True
