"""Hostile CSV, JSON and NDJSON: what parsers of text are known to stumble over."""

import json

MEBIBYTE = 1 << 20

# Values that JSON does not know, or that readers disagree about.
VALUES = [
    b"NaN", b"Infinity", b"-Infinity", b"nan", b"+1", b"01", b"-01", b"1.", b".5", b"-", b"1e", b"1e+", b"0x1F", b"1_000",
    b"1e400", b"-1e400", b"1e-400", b"123456789012345678901234567890", b"9223372036854775807", b"9223372036854775808",
    b"-9223372036854775809", b"18446744073709551616", b"0.1e1", b"-0", b"-0.0", b"1E5", b"True", b"nul", b"nulll", b"undefined",
    b"'single'", b'"open', b'"tab\there"', b'"line\nhere"', b'"\\x41"', b'"\\u12"', b'"\\uD800"', b'"\\uDC00\\uD800"', b'"\\u0000"',
    b'"\\uD83D\\uDE00"', b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe2\x80\xa8"', b"[1,]", b"[,1]",
    b"[1 2]", b"[", b"]", b"{", b"}", b"[[]", b'{"b"}', b'{"b":}', b'{"b":1,}', b"{b:1}", b"{'b':1}", b'{"b":1 "c":2}',
    b'{"b":1,"b":2}', b'{"":1}', b'{"b":{"b":{"b":1}}}', b"[]", b"{}", b"[[1],[2,[3]]]", b'[1,"x",null]', b"1//c", b"1/*c*/", b"\x00",
    b"1\x0c", b"\xa0" + b"1", b"\xef\xbb\xbf1", b"1,", b"1}{", b'"\\"', b'"\x7f"', b'"\\/"', b"12345678901234567890.5", b"1.0000000000000000000000001",
]  # fmt: skip


def json_values():
    """(name, format, body): each value as a line of NDJSON and inside a JSON array, after a good record."""
    for at, value in enumerate(VALUES):
        yield f"ndjson-value-{at}-{value[:12]!a}", "ndjson", b'{"a":1,"k":1}\n{"a":' + value + b',"k":2}\n'
        yield f"json-value-{at}-{value[:12]!a}", "json", b'[{"a":1,"k":1},{"a":' + value + b',"k":2}]'


def json_shapes():
    """(name, format, body maker)."""
    deep = {"array": (b"[", b"]"), "object": (b'{"a":', b"}")}
    for levels in (63, 64, 65, 1_000, 100_000, 3_000_000):
        for kind, (opening, closing) in deep.items():
            yield f"json-deep-{kind}-{levels}", "json", lambda o=opening, c=closing, n=levels: b'[{"v":' + o * n + b"1" + c * n + b"}]"
    yield "json-deep-open", "json", lambda: b"[" * 5_000_000
    yield "ndjson-deep-open", "ndjson", lambda: b'{"a":' * 2_000_000
    for columns in (2_000, 2_001, 200_000):
        yield f"ndjson-wide-{columns}", "ndjson", lambda n=columns: json.dumps({f"c{at}": at for at in range(n)}).encode()
    yield "ndjson-wide-by-lines", "ndjson", lambda: b"".join(b'{"c%d":1}\n' % at for at in range(5_000))
    yield "ndjson-wide-nested", "ndjson", lambda: json.dumps({"a": {f"c{at}": {"x": at} for at in range(3_000)}}).encode()
    yield "json-record-17MiB", "json", lambda: b'[{"a":"' + b"x" * (17 * MEBIBYTE) + b'"}]'
    yield "ndjson-record-17MiB", "ndjson", lambda: b'{"a":"' + b"x" * (17 * MEBIBYTE) + b'"}\n'
    yield "ndjson-array-8M-items", "ndjson", lambda: b'{"a":[' + b"1," * 7_900_000 + b"1]}\n"
    yield "ndjson-escapes", "ndjson", lambda: b'{"a":"' + b"\\u0041" * 2_000_000 + b'"}\n'
    yield "json-spaces-20MiB", "json", lambda: b" " * (20 * MEBIBYTE) + b'[{"a":1}]'
    yield "ndjson-empty-lines-20M", "ndjson", lambda: b'{"a":1}\n' + b"\n" * 20_000_000
    yield "ndjson-no-line-end-30MiB", "ndjson", lambda: b'{"a":1}' * (30 * MEBIBYTE // 7)
    yield "json-big-number-1MB", "json", lambda: b'[{"a":' + b"9" * 1_000_000 + b"}]"
    yield "json-big-exponent", "json", lambda: b'[{"a":1e' + b"9" * 100_000 + b"}]"
    yield "json-key-1MB", "json", lambda: b'[{"' + b"k" * 1_000_000 + b'":1}]'
    texts = {
        "json-scalar": b"1", "json-text": b'"x"', "json-null": b"null", "json-array-of-arrays": b"[[1]]", "json-array-empty": b"[]",
        "json-object-empty": b"{}", "json-two-values": b'{"a":1}{"a":2}', "json-trailing": b'[{"a":1}] x', "json-comma-end": b'[{"a":1},]',
        "json-comma-start": b'[,{"a":1}]', "json-missing-comma": b'[{"a":1} {"a":2}]', "json-unclosed": b'[{"a":1}', "json-nul-after": b'[{"a":1}]\0',
        "json-bom": b'\xef\xbb\xbf[{"a":1}]', "json-two-boms": b'\xef\xbb\xbf\xef\xbb\xbf[{"a":1}]', "json-bom-alone": b"\xef\xbb\xbf",
        "json-utf16": '[{"a":1}]'.encode("utf-16"), "json-utf16le": '[{"a":1}]'.encode("utf-16-le"), "json-utf32": '[{"a":1}]'.encode("utf-32"),
        "json-keys-case": b'[{"a":1,"A":2}]', "json-key-empty": b'[{"":1}]', "json-key-nul": b'[{"a\\u0000b":1}]', "json-key-surrogate": b'[{"\\ud800":1}]',
        "json-mixed": b'[{"a":1},{"a":"x"},{"a":[1]},{"a":{"b":1}},{"a":null},{"a":true}]', "json-all-null": b'[{"a":null}]',
        "json-float-and-big": b'[{"a":9007199254740993},{"a":0.5}]', "json-moments": b'[{"a":"2024-02-30"},{"a":"2024-01-01T25:00:00Z"},{"a":"0000-00-00"}]',
    }  # fmt: skip
    for name, body in texts.items():
        yield name, "json", lambda body=body: body
    lines = {
        "ndjson-cr-only": b'{"a":1}\r{"a":2}\r', "ndjson-crlf": b'{"a":1}\r\n{"a":2}\r\n', "ndjson-array-line": b'{"a":1}\n[1]\n', "ndjson-scalar-line": b'{"a":1}\n2\n',
        "ndjson-two-on-a-line": b'{"a":1}{"a":2}\n', "ndjson-comma": b'{"a":1},\n{"a":2}\n', "ndjson-comment": b'{"a":1}\n// c\n', "ndjson-bom-inside": b'{"a":1}\n\xef\xbb\xbf{"a":2}\n',
        "ndjson-utf16": '{"a":1}\n'.encode("utf-16"), "ndjson-nul-line": b'{"a":1}\n\0\n', "ndjson-open-end": b'{"a":1}\n{"a":', "ndjson-space-ends": b' {"a":1} \n\t{"a":2}\t\n',
        "ndjson-form-feed": b'{"a":1}\n\x0c{"a":2}\n', "ndjson-late-column": b'{"a":1}\n{"b":2}\n', "ndjson-line-separator": b'{"a":"\xe2\x80\xa8"}\xe2\x80\xa8{"a":2}\n',
    }  # fmt: skip
    for name, body in lines.items():
        yield name, "ndjson", lambda body=body: body


def csv_shapes():
    """(name, body maker)."""
    texts = {
        "empty-line": b"\n", "header-alone": b"a,b\n", "header-no-end": b"a,b", "ragged-short": b"a,b,c\n1,2,3\n4,5\n", "ragged-long": b"a,b\n1,2\n1,2,3\n",
        "blank-lines": b"a,b\n\n1,2\n\n\n3,4\n", "quote-open": b'a,b\n1,"2\n3,4\n', "quote-open-in-header": b'"a,b\n1,2\n', "quote-in-field": b'a,b\n1,x"y"z\n',
        "quote-after-close": b'a,b\n1,"x"y\n', "quote-doubled": b'a,b\n1,"x""y"\n', "quote-line-end": b'a,b\n1,"x\r\ny"\n', "quotes-alone": b'""""""""\n', "quote-at-end": b'a\n"',
        "cr-only": b"a,b\r1,2\r3,4\r", "crlf": b"a,b\r\n1,2\r\n", "cr-cr-lf": b"a,b\r\r\n1,2\r\r\n", "mixed-ends": b"a,b\n1,2\r\n3,4\r5,6\n", "lf-cr": b"a,b\n\r1,2\n\r",
        "nul": b"a,b\n1,\x002\n", "nul-header": b"a\0,b\n1,2\n", "nul-only": bytes(1000), "not-utf8": b"a\nok\n\xff\xfe\n", "not-utf8-header": b"\xff,b\n1,2\n", "latin1": "a\ncafé\n".encode("latin-1"),
        "bom": b"\xef\xbb\xbfa,b\n1,2\n", "bom-quoted": b'\xef\xbb\xbf"a",b\n1,2\n', "bom-alone": b"\xef\xbb\xbf", "bom-inside": b"a,b\n\xef\xbb\xbf1,2\n", "bom-cut": b"\xef\xbb",
        "utf16": "a,b\n1,2\n".encode("utf-16"), "utf16be": "a,b\n1,2\n".encode("utf-16-be"), "utf32": "a,b\n1,2\n".encode("utf-32"), "utf7": b"a\n+AGE-\n",
        "names-equal": b"a,a,a\n1,2,3\n", "names-equal-but-case": b"a,A\n1,2\n", "names-empty": b",,\n1,2,3\n", "name-long": b"n" * 300 + b"\n1\n", "name-dots": b"..\n1\n", "name-slash": b"a/b,c\\d\n1,2\n",
        "name-newline": b'"a\nb",c\n1,2\n', "name-brackets": b"a{},b(;)=\t\n1,2\n", "name-emoji": "😀,b\n1,2\n".encode(), "name-suffix-clash": b"a,a_1,a\n1,2,3\n", "name-spaces": b" a , b\n1,2\n",
        "numbers-odd": b"a,b,c,d\n007,+5,1e999,0x10\n1_000,.5,-,1e5\n", "numbers-mixed": b"a\n1\n2.5\n9007199254740993\n", "numbers-big": b"a\n123456789012345678901234567890123456789\n1\n",
        "numbers-nan": b"a\nNaN\ninf\n-inf\n1\n", "numbers-minus-zero": b"a\n-0\n-0.0\n0\n", "booleans": b"a\ntrue\nFALSE\nTrue\n", "dates-odd": b"a\n2024-02-30\n0000-01-01\n9999-12-31\n", "dates-far": b"a\n0001-01-01\n9999-12-31\n",
        "moments": b"a\n2024-01-01T00:00:60Z\n2024-01-01 24:00:00\n", "moments-good": b"a\n2024-01-01T10:00:00.123456Z\n2024-06-30T00:00:00+02:00\n", "nulls": b"a,b\n,\n,\n", "nulls-quoted": b'a,b\n"",\n,""\n',
        "formula": b"a\n=cmd|' /C calc'!A0\n@SUM(1)\n", "tabs": b"a\tb\n1\t2\n", "semicolons": b"a;b\n1;2\n", "spaces": b" \n \n", "delimiters": b",,,,\n,,,,\n", "backslash": b'a,b\n"x\\"y",2\n', "ctrl-z": b"a,b\n1,2\n\x1a", "vertical-tab": b"a,b\n1\x0b,2\n",
        "html": b"<!DOCTYPE html><html><body>not a table</body></html>\n", "binary": bytes(range(256)) * 4, "surrogates": b"a\n\xed\xa0\x80\n", "overlong": b"a\n\xc0\xaf\n", "separator-2028": b"a\nx\xe2\x80\xa8y\n",
    }  # fmt: skip
    for name, body in texts.items():
        yield name, lambda body=body: body
    for columns in (2_000, 2_001, 200_000):
        yield f"wide-{columns}", lambda n=columns: b",".join(b"c%d" % at for at in range(n)) + b"\n" + b"1," * (n - 1) + b"1\n"
    yield "wide-delimiters-16MiB", lambda: b"," * (16 * MEBIBYTE) + b"\n"
    yield "row-delimiters-16MiB", lambda: b"a,b\n" + b"," * (16 * MEBIBYTE - 1) + b"\n"
    yield "rows-delimiters-wide", lambda: (b"," * 1_999 + b"\n") * 8_000
    yield "field-15MiB", lambda: b"a,b\n" + b"x" * (15 * MEBIBYTE) + b",2\n"
    yield "field-16MiB", lambda: b"a,b\n" + b"x" * (16 * MEBIBYTE) + b",2\n"
    yield "field-64MiB", lambda: b"a,b\n" + b"x" * (64 * MEBIBYTE) + b",2\n"
    yield "quote-open-64MiB", lambda: b'a,b\n1,"' + b"x\n" * (32 * MEBIBYTE)
    yield "quotes-32MiB", lambda: b'"' * (32 * MEBIBYTE)
    yield "line-ends-32MiB", lambda: b"\n" * (32 * MEBIBYTE)
    yield "cr-32MiB", lambda: b"a,b\r" + b"\r" * (32 * MEBIBYTE)
    yield "nul-32MiB", lambda: bytes(32 * MEBIBYTE)
    yield "late-bad-row", lambda: b"a,b\n" + b"1,x\n" * 200_000 + b"1\n"
    yield "kind-changes-late", lambda: b"a\n" + b"1\n" * 200_000 + b"x\n"
    yield "one-column-a-letter", lambda: b"a\n" + b"".join(b"%d\n" % (at % 10) for at in range(300_000))
