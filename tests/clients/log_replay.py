"""A Delta table in a local folder, read by replaying its log by the book: nothing of delta-rs, DuckDB or Sluice in it.

Besides the rows it checks what readers usually let pass: no gap between versions, every line whole, one metaData and one
protocol in version 0 and none of another table after, no file added twice or removed while not live, every live file there with the size
that the log says, rows as many as its statistics say, and the sequences of each writer rising from version to version.
"""

import json
from pathlib import Path
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TYPES = {
    "long": pa.int64(),
    "integer": pa.int32(),
    "short": pa.int16(),
    "byte": pa.int8(),
    "double": pa.float64(),
    "float": pa.float32(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
}


def arrow_type(delta_type) -> pa.DataType:
    if isinstance(delta_type, dict) and delta_type["type"] == "struct":
        return pa.struct([(field["name"], arrow_type(field["type"])) for field in delta_type["fields"]])
    if isinstance(delta_type, dict) and delta_type["type"] == "array":
        return pa.list_(arrow_type(delta_type["elementType"]))
    if isinstance(delta_type, dict) and delta_type["type"] == "map":
        return pa.map_(arrow_type(delta_type["keyType"]), arrow_type(delta_type["valueType"]))
    if delta_type.startswith("decimal("):
        return pa.decimal128(*map(int, delta_type[8:-1].split(",")))
    return TYPES[delta_type]


class Replay:
    """A version of a table (the newest without a number), after a look at every version before it."""

    def __init__(self, location: str, version: int | None = None):
        self.folder = Path(unquote(urlparse(location).path))
        self.live, self.metadata, self.sequences = {}, None, {}
        commits = sorted((self.folder / "_delta_log").glob("[0-9]*.json"))
        self.version = len(commits) - 1 if version is None else version
        for version, commit in enumerate(commits[: self.version + 1]):
            assert commit.name == f"{version:020}.json", f"version {version} is missing"
            self._apply(version, commit.read_text())
        self.schema = json.loads(self.metadata["schemaString"])

    def _apply(self, version, text):
        assert text.strip(), f"version {version} is empty"
        for action, body in (item for line in text.split("\n") if line for item in json.loads(line).items()):
            if action == "metaData":
                known = self.metadata or body
                assert version == 0 or self.metadata, "the table has no metaData in its first version"
                assert body["id"] == known["id"], "two tables were made in one place"
                assert body["partitionColumns"] == known["partitionColumns"], f"version {version} partitions anew"
                self.metadata = body
            elif action == "protocol":
                assert version == 0, f"version {version} has a protocol"
            elif action == "add":
                assert body["path"] not in self.live, f"version {version} adds {body['path']} again"
                self.live[body["path"]] = body
            elif action == "remove":
                assert body["path"] in self.live, f"version {version} removes {body['path']}, which is not live"
                del self.live[body["path"]]
            elif action == "txn":
                before = self.sequences.get(body["appId"], -1)
                assert body["version"] > before, f"version {version} goes back from {before} to {body['version']}"
                self.sequences[body["appId"]] = body["version"]

    def table(self) -> pa.Table:
        """The rows, in no order."""
        fields = {field["name"]: arrow_type(field["type"]) for field in self.schema["fields"]}
        parts = [self._file(add, fields) for add in self.live.values()]
        return pa.concat_tables(parts) if parts else pa.schema(list(fields.items())).empty_table()

    def _file(self, add, fields):
        path = self.folder / unquote(add["path"])
        assert path.resolve().is_relative_to(self.folder.resolve()), f"{add['path']} lies elsewhere"
        assert path.stat().st_size == add["size"], f"{add['path']} has {path.stat().st_size} bytes, not {add['size']}"
        rows = pq.ParquetFile(path).read()
        assert rows.num_rows == json.loads(add["stats"])["numRecords"], f"{add['path']} has {rows.num_rows} rows"
        columns = []
        for name, kind in fields.items():
            if name in self.metadata["partitionColumns"]:
                value = pa.scalar(add["partitionValues"][name], pa.string())
                columns.append(pc.cast(pa.repeat(value, rows.num_rows), kind))
            elif name in rows.column_names:
                columns.append(rows.column(name).cast(kind))
            else:
                # The column is younger than the file.
                columns.append(pa.nulls(rows.num_rows, kind))
        return pa.table(columns, names=list(fields))


def read_with_replay(location: str) -> pa.Table:
    return Replay(location).table()
