"""Bodies of many blocks, which are decoded on all cores and read along while they come in."""

import gzip
import json

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from other_readers import read_with_deltalake
from sluice_client import check_problem, new_table

ROWS = 150_000
TABLE = pa.table(
    {
        "id": pa.array(range(ROWS)),
        "price": pa.array([number % 977 + 0.25 for number in range(ROWS)]),
        "note": pa.array([f'row {number}, "quoted"\nand two lines' if number % 5 == 0 else None for number in range(ROWS)]),
    }
)


def quoted(text):
    return "" if text is None else '"' + text.replace('"', '""') + '"'


def csv_lines():
    columns = (column.to_pylist() for column in TABLE.columns)
    return [f"{id},{price},{quoted(note)}\n" for id, price, note in zip(*columns, strict=True)]


def csv_body(lines):
    return ("id,price,note\n" + "".join(lines)).encode()


def json_lines():
    return "".join(f"{json.dumps(row)}\n" for row in TABLE.to_pylist()).encode()


def pieces(body):
    """The body as a client sends it that does not know how long it is."""
    yield from (body[start : start + 50_000] for start in range(0, len(body), 50_000))


def stored(lake, table):
    return read_with_deltalake(lake.describe(table)["location"])


@pytest.mark.parametrize("format", ["csv", "csv.gz", "ndjson"])
def test_a_long_body_makes_a_table_and_is_added_to_it(lake, format):
    table, headers = new_table(), {}
    body = json_lines() if format == "ndjson" else csv_body(csv_lines())
    if format.endswith(".gz"):
        body, headers = gzip.compress(body, 1), {"Content-Encoding": "gzip"}
    for count in (1, 2):
        receipt = lake.upload(table, pieces(body), headers, format=format.removesuffix(".gz"))
        assert receipt["rows_committed"] == ROWS
        assert stored(lake, table).num_rows == count * ROWS
    expected = pa.concat_tables([TABLE, TABLE]).sort_by("id").combine_chunks()
    found = stored(lake, table).select(TABLE.column_names).cast(TABLE.schema).sort_by("id").combine_chunks()
    assert found.equals(expected)


def test_types_that_only_the_end_tells_hold_every_row(lake):
    table = new_table()
    lake.upload(table, pieces(csv_body([*csv_lines(), "x,1e3,\n"])), format="csv")
    found = stored(lake, table)
    assert (found.num_rows, found.schema.field("id").type) == (ROWS + 1, pa.string())
    assert pc.sum(found["price"]).as_py() == pc.sum(TABLE["price"]).as_py() + 1000


def test_a_bad_row_at_the_end_is_set_aside_as_it_was_written(lake):
    table, bad = new_table(), '"1",2'
    receipt = lake.upload(table, pieces(csv_body([*csv_lines(), f"{bad}\n"])), format="csv")
    assert (receipt["rows_committed"], receipt["rows_quarantined"]) == (ROWS, 1)
    assert stored(lake, table).num_rows == ROWS
    set_aside = stored(lake, receipt["quarantine_table"]).to_pylist()
    assert [(row["record"], row["line"]) for row in set_aside] == [(bad, 2 + ROWS + ROWS // 5)]


def test_an_error_at_the_end_names_its_place_and_takes_no_name(lake):
    table = new_table()
    body = csv_body([*csv_lines(), "1,2\n"])
    response = lake.send(table, pieces(body), format="csv", max_bad_rows=0)
    check_problem(response, {400, 422}, f"line {2 + ROWS + ROWS // 5}", "the record has 2 fields")
    lake.describe(table, status=404)


def test_a_body_that_breaks_off_leaves_nothing(lake):
    table, body = new_table(), csv_body(csv_lines())

    def cut():
        yield body[: len(body) // 2]
        raise ConnectionAbortedError("the client went away")

    with pytest.raises(Exception, match="the client went away"):
        lake.send(table, cut(), format="csv")
    lake.describe(table, status=404)
    lake.upload(table, pieces(body), format="csv")
    assert stored(lake, table).num_rows == ROWS
