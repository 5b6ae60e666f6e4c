"""Tables read without Sluice: by delta-rs in Python and by DuckDB's delta extension."""

from pathlib import Path

import deltalake
import duckdb
import duckdb_extension_delta
import pyarrow as pa


def duckdb_connection():
    """DuckDB in UTC, with the delta extension from its Python package: nothing is fetched."""
    folder = Path(duckdb_extension_delta.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.load_extension(str(folder / "delta.duckdb_extension"))
    return connection


def read_with_duckdb(location: str) -> pa.Table:
    return duckdb_connection().execute("SELECT * FROM delta_scan(?)", [location]).to_arrow_table()


def read_with_deltalake(location: str, storage_options=None) -> pa.Table:
    return deltalake.DeltaTable(location, storage_options=storage_options).to_pyarrow_table()


def sorted_rows(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in the schema's column order and types, sorted by all columns: equal tables become identical."""
    assert set(table.column_names) == set(schema.names)
    table = table.select(schema.names).cast(schema)
    return table.sort_by([(name, "ascending") for name in schema.names]).combine_chunks()
