"""Whether the rows that a table got are those that other readers see in the file: Python's csv and json, and pyarrow.

A judgement is "equal", "unjudged" (the other readers refuse the file, or do not agree about it), or what is wrong.
"""

import codecs
import csv
import io
import json
import math
from datetime import date, datetime, time, timezone
from decimal import Decimal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from log_replay import read_with_replay

EQUAL, UNJUDGED, COUNTED = "equal", "unjudged", "counted"


def judge_counts(location, aside, receipt):
    """Of a file with bad rows, which no other reader takes as it was taken: every row is where the receipt says."""
    stored, quarantined = read_with_replay(location), read_with_replay(aside)
    expected = receipt["rows_committed"], receipt["rows_quarantined"]
    found = stored.num_rows, quarantined.num_rows
    received = receipt["rows_received"] == sum(expected)
    return COUNTED if found == expected and received else f"{found} rows are there, and the receipt says {expected}"


def judge(location, form, plain, receipt):
    """The judgement over the table at this place, which one file alone was put into."""
    stored = read_with_replay(location)
    try:
        # How a file of delimited text is to be read nobody knows better than who took it.
        expected = read_csv(plain, receipt["dialect"]) if form == "csv" else READERS[form](plain)
    except Exception as refusal:  # noqa: BLE001: readers of hostile files fail in every way there is
        strict = form in ("json", "ndjson")
        return f"taken, though Python's json refuses it: {refusal}" if strict else UNJUDGED
    if expected is None:
        return UNJUDGED
    return _compare(stored, *expected)


def _compare(stored, names, rows, same):
    """Rows are compared in any order: their order in a table is nobody's promise."""
    if stored.num_rows != len(rows):
        return f"{stored.num_rows} rows instead of {len(rows)}"
    if names is not None and stored.num_columns != len(names):
        return f"{stored.num_columns} columns instead of {len(names)}"
    types = [field.type for field in stored.schema]
    found = [tuple(row.values()) for row in stored.to_pylist()] if stored.num_columns == len(set(stored.column_names)) else []
    order = stored.column_names
    left = list(rows)
    for row in found:
        at = next((at for at, other in enumerate(left[:200]) if _same_row(row, other, order, types, same)), None)
        if at is None:
            return f"the row {str(row)[:200]} is not in the file; the next there is {str(left[0])[:200]}"
        left.pop(at)
    return EQUAL


def _same_row(row, other, order, types, same):
    if isinstance(other, dict):
        # Names of columns are the same whatever their cases.
        folded = {name.casefold(): value for name, value in other.items()}
        values = [folded.get(name.casefold()) for name in order]
    else:
        values = other
    return len(values) == len(row) and all(same(value, kind, text) for value, kind, text in zip(row, types, values))


def text_of(plain):
    """The text, by the marks at its beginning; more than one of them says no more than one."""
    if plain.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return plain.decode("utf-16")
    return plain.decode().lstrip("\ufeff")


def read_csv(plain, dialect):
    """The records as texts, if two readers agree about every one of them."""
    text, delimiter, quote = text_of(plain), dialect["delimiter"], dialect.get("quote")
    if not dialect["header"] or quote is None:
        return None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, strict=True)
    first = [row for row in reader if row]
    width = len(first[0])
    second = pa.csv.read_csv(
        io.BytesIO(text.encode()),
        pa.csv.ReadOptions(autogenerate_column_names=True, block_size=max(len(plain) + 1, 1 << 16)),
        pa.csv.ParseOptions(newlines_in_values=True, delimiter=delimiter, quote_char=quote),
        pa.csv.ConvertOptions(column_types={f"f{at}": pa.string() for at in range(width)}, strings_can_be_null=False),
    )
    if [list(row.values()) for row in second.to_pylist()] != first:
        return None
    return first[0], first[1:], _same_text


def _same_text(value, kind, text):
    if text == "":
        return value is None
    return value is not None and _means(value, kind, text)


def _means(value, kind, text):
    """Whether a text stands for a value of a column."""
    if pa.types.is_string(kind):
        return value == text
    text = text.strip(" ")
    try:
        if pa.types.is_integer(kind):
            return value == int(text)
        if pa.types.is_floating(kind):
            return value == float(text) or (math.isnan(value) and math.isnan(float(text)))
        if pa.types.is_boolean(kind):
            return str(value).lower() == text.lower()
        if pa.types.is_decimal(kind):
            return value == Decimal(text)
        return _moment(value) == _moment(datetime.fromisoformat(text))
    except (ValueError, ArithmeticError):
        return False


def _moment(value):
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value if value.tzinfo is None else value.astimezone(timezone.utc)


def _strict_object(pairs):
    if len({key.lower() for key, _ in pairs}) != len(pairs):
        raise ValueError("two values of one name")
    return dict(pairs)


def _refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def _fraction(text):
    """A number as it is written; one that no decimal holds is only equal to itself."""
    try:
        return Decimal(text)
    except ArithmeticError:
        return ("number", text)


def _loads(text):
    return json.loads(text, object_pairs_hook=_strict_object, parse_constant=_refuse, parse_float=_fraction)


def read_json(plain):
    document = _loads(text_of(plain))
    rows = document if isinstance(document, list) else [document]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("not an array of objects")
    return None, rows, _same_json


def read_ndjson(plain):
    lines = text_of(plain).split("\n")
    rows = [_loads(line) for line in lines if line.strip(" \t\r")]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("not an object a line")
    return None, rows, _same_json


def _same_json(value, kind, original):
    if value is None or original is None:
        return value is None and original is None
    if pa.types.is_struct(kind):
        return isinstance(original, dict) and all(
            _same_json(value[field.name], field.type, original.get(field.name)) for field in kind
        )
    if pa.types.is_list(kind):
        same_length = isinstance(original, list) and len(value) == len(original)
        return same_length and all(_same_json(item, kind.value_type, other) for item, other in zip(value, original))
    if isinstance(original, str):
        return _means(value, kind, original)
    if pa.types.is_string(kind):
        return _loads(value) == original
    if pa.types.is_boolean(kind) or isinstance(original, bool):
        return value is original
    if pa.types.is_floating(kind):
        return value == float(original)
    return value == original


def read_parquet(plain):
    table = pq.ParquetFile(io.BytesIO(plain)).read()
    return table.column_names, [tuple(row) for row in zip(*(column.to_pylist() for column in table.columns))], _same_value


def _same_value(value, kind, original):
    if isinstance(value, float) and isinstance(original, float):
        return value == original or (math.isnan(value) and math.isnan(original))
    if isinstance(value, str) and isinstance(original, time):
        # Python's times end at microseconds.
        return value.startswith(original.isoformat("seconds"))
    if isinstance(value, (date, datetime)) and isinstance(original, (date, datetime)):
        return _moment(value) == _moment(original)
    if isinstance(value, list) and isinstance(original, list):
        return len(value) == len(original) and all(_same_value(one, None, other) for one, other in zip(value, original))
    if isinstance(value, dict) and isinstance(original, dict):
        return value.keys() == original.keys() and all(_same_value(value[key], None, original[key]) for key in value)
    return value == original


READERS = {"json": read_json, "ndjson": read_ndjson, "parquet": read_parquet}
