"""F0: the judge itself: of tables that were spoilt on purpose, each in one way, it must say what is wrong, and of a sound one nothing."""

import pyarrow as pa
from deltalake import write_deltalake
from model import ACKED, SCHEMA, Model
from verify import CrossCheck, judge

ROWS = 20
TABLE = "oracle.one"


def altered(rows):
    text = pa.array(["another text", *rows["text"].to_pylist()[1:]], pa.string())
    return rows.set_column(rows.schema.get_field_index("text"), "text", text)


def strange(rows):
    ids = pa.array([number + (1 << 40) for number in rows["id"].to_pylist()], pa.int64())
    return pa.concat_tables([rows, rows.set_column(0, "id", ids)])


# What is done to the rows of one upload out of three, and what the judge must say of it.
FAULTS = {
    "sound": (lambda rows: rows, {}),
    "lost": (lambda rows: SCHEMA.empty_table(), {"lost_rows": ROWS}),
    "doubled": (lambda rows: pa.concat_tables([rows, rows]), {"duplicate_rows": ROWS}),
    "cut": (lambda rows: rows.slice(0, 5), {"lost_rows": ROWS - 5, "partial_uploads": 1}),
    "altered": (altered, {"foreign_rows": 1}),
    "nobody's": (strange, {"foreign_rows": ROWS}),
}
COUNTS = ("lost_rows", "duplicate_rows", "partial_uploads", "foreign_rows", "unreadable")


def three_uploads(run):
    model = Model(run.random("F0"))
    for _ in range(3):
        model.new(TABLE, rows=ROWS).state = ACKED
    return model


def found_in(run, folder):
    return judge(three_uploads(run), TABLE, folder.as_uri(), CrossCheck())


def spoilt(run, name, spoil):
    """A table of the three uploads, the second one spoilt."""
    folder = run.folder / "F0" / name
    for upload in three_uploads(run).uploads:
        rows = upload.rows_table()
        write_deltalake(folder, spoil(rows) if upload.number == 1 else rows, mode="append")
    return folder


def torn(run):
    """A table whose newest commit has no bytes, which most readers take for sound."""
    folder = spoilt(run, "torn", lambda rows: rows)
    (newest,) = (folder / "_delta_log").glob("*2.json")
    newest.write_bytes(b"")
    return folder


def measure(run):
    (run.folder / "F0").mkdir()
    cases = {name: (spoilt(run, name, spoil), expected) for name, (spoil, expected) in FAULTS.items()}
    cases["torn"] = torn(run), {"unreadable": 1, "lost_rows": 3 * ROWS}
    right = 0
    for name, (folder, expected) in cases.items():
        found = found_in(run, folder)
        seen = {count: getattr(found, count) for count in COUNTS if getattr(found, count)}
        right += seen == expected
        if seen != expected:
            run.report.note(f"{name}: {seen}, not {expected}: {found.lines}")
    run.report.equal("F0.faults_told_apart", right, len(cases))
