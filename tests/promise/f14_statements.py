"""SQL that kills or stalls an engine without guards: each a name and a text of at most a few hundred kilobytes."""


def _chain(term, joint, count):
    return f"SELECT {joint.join([term] * count)}"


def _nested(opening, inner, closing, levels):
    return opening * levels + inner + closing * levels


def _doubling(levels):
    tables = ", ".join(f"t{at} AS (SELECT a.x FROM t{at - 1} a, t{at - 1} b)" for at in range(1, levels))
    return f"WITH t0 AS (SELECT 1 AS x), {tables} SELECT count(*) FROM t{levels - 1}"


def _growth(function, levels):
    """A text that each level makes some times longer, by a function that no length can be read off."""
    text = "'xxxxxxxxxxxxxxxx'"
    for _ in range(levels):
        text = function(text)
    return f"SELECT length({text})"


def _wide_case(branches):
    return "SELECT CASE " + " ".join(f"WHEN n = {at} THEN '{at}'" for at in range(branches)) + " END FROM killers.numbers"


def _in_list(count, table):
    return f"SELECT count(*) FROM {table} WHERE n IN ({', '.join(map(str, range(count)))})"


NUMBERS = "killers.numbers"
CROSS = f"{NUMBERS} a, {NUMBERS} b, {NUMBERS} c"
BACKSLASH_D = r"\d"

STATEMENTS = {
    # Long chains: a recursive planner runs out of stack, or of time.
    "plus-5000": _chain("1", "+", 5_000),
    "plus-20000": _chain("1", "+", 20_000),
    "or-20000": _chain("true", " OR ", 20_000),
    "or-columns-20000": f"SELECT count(*) FROM {NUMBERS} WHERE " + " OR ".join(f"n={at}" for at in range(20_000)),
    "and-20000": _chain("true", " AND ", 20_000),
    "concat-operators-20000": _chain("'x'", "||", 20_000),
    "union-all-5000": _chain("1", " UNION ALL SELECT ", 5_000),
    "union-all-100": _chain("1", " UNION ALL SELECT ", 100),
    "intersect-5000": _chain("1", " INTERSECT SELECT ", 5_000),
    "operators-at-the-limit": f"SELECT max({'+'.join(['n'] * 490)}) FROM {NUMBERS}",
    "casts-5000": "SELECT 1" + "::bigint" * 5_000,
    "subscripts-5000": "SELECT x" + "[1]" * 5_000,
    "not-20000": "SELECT " + "NOT " * 20_000 + "true",
    "minus-20000": "SELECT " + "- " * 20_000 + "1",
    # Depth.
    "parentheses-20000": f"SELECT {_nested('(', '1', ')', 20_000)}",
    "functions-5000": f"SELECT {_nested('abs(', '1', ')', 5_000)}",
    "case-2000": f"SELECT {_nested('CASE WHEN true THEN ', '1', ' END', 2_000)}",
    "arrays-5000": f"SELECT {_nested('[', '1', ']', 5_000)}",
    "subqueries-3000": f"SELECT * FROM {_nested('(SELECT * FROM ', NUMBERS, ')', 3_000)}",
    "exists-500": f"SELECT 1 WHERE {_nested('EXISTS (SELECT 1 WHERE ', 'true', ')', 500)}",
    "with-inside-with": _nested("WITH t AS (", "SELECT 1 AS x", ") SELECT * FROM t", 40),
    "with-doubling": _doubling(40),
    "table-parentheses": f"SELECT * FROM {_nested('(', NUMBERS, ')', 400)}",
    # Width.
    "in-list-50000": _in_list(50_000, NUMBERS),
    "in-list-4000": _in_list(4_000, NUMBERS),
    "columns-9000": "SELECT " + ", ".join(f"1 AS c{at}" for at in range(9_000)),
    "columns-1200-sorted": f"SELECT {', '.join(f'n AS c{at}' for at in range(1_200))} FROM {NUMBERS} ORDER BY n DESC",
    "case-2000-branches": _wide_case(2_000),
    "values-20000": "SELECT * FROM (VALUES " + ", ".join(f"({at})" for at in range(20_000)) + ")",
    "joins-300": f"SELECT count(*) FROM {NUMBERS} t0" + "".join(f" JOIN {NUMBERS} t{at} USING (n)" for at in range(1, 300)),
    "joins-24": f"SELECT count(*) FROM {NUMBERS} t0" + "".join(f" JOIN {NUMBERS} t{at} ON t0.n = t{at}.n" for at in range(1, 24)),
    "grouping-sets": f"SELECT count(*) FROM (SELECT {', '.join(f'n % {at + 2} AS c{at}' for at in range(20))} FROM {NUMBERS}) GROUP BY CUBE ({', '.join(f'c{at}' for at in range(20))})",
    # Values that a call makes from nothing.
    "repeat-2e9": "SELECT repeat('x', 2000000000)",
    "repeat-hidden": f"SELECT length(repeat('x', n * 1000000)) FROM {NUMBERS}",
    "repeat-repeat": "SELECT length(repeat(repeat(repeat('x', 1000), 1000), 1000))",
    "repeat-rows": f"SELECT sum(length(repeat('x', 9000))) FROM {CROSS}",
    "array-repeat-1e9": "SELECT array_repeat(1, 1000000000)",
    "array-resize-1e9": "SELECT array_resize([1], 1000000000, 1)",
    "lpad-2e9": "SELECT lpad('x', 2000000000, 'y')",
    "rpad-2e9": "SELECT rpad('x', 2000000000, 'y')",
    "space-like": "SELECT concat_ws(repeat(' ', 9999), " + ", ".join(["'x'"] * 4_000) + ")",
    "replace-chain": _growth(lambda text: f"replace({text}, 'x', 'xxxxxxxxxxxxxxxx')", 9),
    "replace-in-rows": f"SELECT max(length(replace(replace(replace(repeat('x', 5000), 'x', repeat('x', 2)), 'x', '{'x' * 1000}'), 'x', '{'x' * 1000}'))) FROM {NUMBERS}",
    "concat-chain": "WITH " + ", ".join(["t0 AS (SELECT repeat('x', 9000) AS s)"] + [f"t{at} AS (SELECT concat(s, s, s, s, s, s, s, s) AS s FROM t{at - 1})" for at in range(1, 9)]) + " SELECT length(s) FROM t8",
    "operator-chain-growth": "WITH " + ", ".join(["t0 AS (SELECT repeat('x', 9000) AS s)"] + [f"t{at} AS (SELECT s || s || s || s || s || s || s || s AS s FROM t{at - 1})" for at in range(1, 9)]) + " SELECT length(s) FROM t8",
    "regexp-replace-chain": _growth(lambda text: f"regexp_replace({text}, 'x', 'xxxxxxxxxxxxxxxxxxxxxxxx', 'g')", 8),
    "translate-like-growth": _growth(lambda text: f"replace({text}, '', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')", 7),
    "array-concat-chain": "WITH " + ", ".join(["t0 AS (SELECT array_repeat(1, 9000) AS s)"] + [f"t{at} AS (SELECT array_concat(s, s, s, s, s, s, s, s) AS s FROM t{at - 1})" for at in range(1, 9)]) + " SELECT array_length(s) FROM t8",
    "string-agg": f"SELECT length(string_agg(repeat('x', 9000), ',')) FROM {NUMBERS} a, {NUMBERS} b",
    "array-agg-cross": f"SELECT array_length(array_agg(a.n)) FROM {CROSS}",
    "array-to-string": f"SELECT length(array_to_string(array_agg(repeat('x', 9000)), repeat('y', 1))) FROM {NUMBERS} a, {NUMBERS} b",
    "unnest-cross": "SELECT count(*) FROM (SELECT unnest(array_repeat(1, 9000)) AS x) a, (SELECT unnest(range(0, 9000)) AS y) b, (SELECT unnest(range(0, 9000)) AS z) c",
    "sized-type": "SELECT CAST(NULL AS BIGINT[2147483647])",
    "arrow-cast-sized": "SELECT arrow_cast(NULL, 'FixedSizeBinary(2147483647)')",
    # Work without end.
    "series-1e11": "SELECT count(*) FROM generate_series(1, 100000000000)",
    "series-scalar-1e11": "SELECT generate_series(1, 100000000000)",
    "series-hidden": "SELECT count(*) FROM generate_series(1, (SELECT 100000000000))",
    "cross-1e12": f"SELECT count(*) FROM {CROSS} WHERE a.n + b.n < c.n",
    "cross-sorted": f"SELECT a.n FROM {CROSS} ORDER BY a.n * b.n * c.n DESC",
    "cross-grouped": f"SELECT a.n, b.n, c.n, count(*) FROM {CROSS} GROUP BY 1, 2, 3",
    "cross-distinct": f"SELECT count(DISTINCT a.n * 100000000 + b.n * 10000 + c.n) FROM {CROSS}",
    "recursion-endless": "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t",
    "recursion-doubling": "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT a.x FROM t a, (VALUES (1), (2)) b) SELECT count(*) FROM t",
    "recursion-growing-text": "WITH RECURSIVE t AS (SELECT 'x' AS s UNION ALL SELECT concat(s, s) FROM t) SELECT max(length(s)) FROM t",
    "window-cross": f"SELECT sum(a.n) OVER (ORDER BY b.n ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM {CROSS}",
    "window-frames": f"SELECT max(x) FROM (SELECT max(a.n) OVER (ORDER BY a.n ROWS BETWEEN 9000 PRECEDING AND 9000 FOLLOWING) AS x FROM {NUMBERS} a, {NUMBERS} b)",
    "sort-of-huge-rows": f"SELECT repeat('x', 9000) AS s FROM {NUMBERS} a, {NUMBERS} b ORDER BY a.n * b.n DESC, s",
    "explain-analyze-cross": f"EXPLAIN ANALYZE SELECT count(*) FROM {CROSS} WHERE a.n + b.n < c.n",
    "explain-analyze-growth": "EXPLAIN ANALYZE " + _growth(lambda text: f"replace({text}, 'x', 'xxxxxxxxxxxxxxxx')", 9),
    "explain-verbose-doubling": "EXPLAIN VERBOSE " + _doubling(9),
    # Regular expressions and patterns.
    "regex-counted": f"SELECT count(*) FROM {NUMBERS} WHERE CAST(n AS TEXT) ~ '((({BACKSLASH_D}{{1,200}}){{1,200}}){{1,200}})'",
    "regex-nested-stars": f"SELECT regexp_like(repeat('a', 9000), '(a*)*(a*)*(a*)*b') FROM {NUMBERS}",
    "regex-50000": "SELECT regexp_like('x', '" + "(a|b)?" * 8_000 + "')",
    "regex-per-row": f"SELECT count(*) FROM {NUMBERS} WHERE regexp_like('aaaa', concat('(', CAST(n AS TEXT), '|a{{1,900}}){{1,900}}'))",
    "like-wildcards": f"SELECT count(*) FROM {NUMBERS} WHERE repeat('a', 9000) LIKE '{'%a' * 2_000}b'",
    "levenshtein": f"SELECT max(levenshtein(repeat('a', 9000), repeat('b', 9000))) FROM {NUMBERS}",
    # Extremes of types.
    "power-overflow": f"SELECT power(n, 1000000), exp(n * 1000), factorial(n) FROM {NUMBERS}",
    "interval-extremes": "SELECT timestamp '2024-01-01' + interval '99999999 years', date '9999-12-31' + interval '1000000000 days'",
    "divide-by-zero": f"SELECT n / (n - n) FROM {NUMBERS}",
    "decimal-extremes": "SELECT CAST('99999999999999999999999999999999999999' AS DECIMAL(38,0)) * CAST('99999999999999999999999999999999999999' AS DECIMAL(38,0))",
    # What must not be run at all.
    "copy": "COPY (SELECT 1) TO '/tmp/sluice-must-not-write.csv'",
    "create-external-table": "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    "create-table-as": "CREATE TABLE x AS SELECT 1",
    "read-a-file": "SELECT * FROM '/etc/passwd'",
    "read-csv": "SELECT * FROM read_csv('/etc/passwd')",
    "set": "SET datafusion.execution.batch_size = 1000000000",
    "many-statements": "SELECT 1; " * 5_000,
    "prepare": "PREPARE p AS SELECT 1",
    "drop": "DROP TABLE killers.numbers",
    # Text that is no statement.
    "nul": "SELECT '\0'",
    "open-quote-60KB": "SELECT '" + "x" * 60_000,
    "comment-60KB": "SELECT 1 /*" + "/*" * 30_000,
    "one-megabyte": f"SELECT '{'x' * 1_000_000}'",
    "identifier-60KB": f'SELECT "{"i" * 60_000}"',
    "commas-60000": "SELECT " + "," * 60_000,
    "brackets-open-60000": "SELECT " + "(" * 60_000,
}  # fmt: skip

# A part that has one of each kind, for the short form.
SHORT = (
    "plus-20000", "or-20000", "union-all-5000", "union-all-100", "operators-at-the-limit", "parentheses-20000", "functions-5000", "case-2000", "subqueries-3000", "with-doubling",
    "in-list-50000", "in-list-4000", "columns-1200-sorted", "joins-300", "joins-24", "grouping-sets", "repeat-2e9", "repeat-hidden", "repeat-rows", "array-repeat-1e9",
    "space-like", "replace-chain", "replace-in-rows", "concat-chain", "operator-chain-growth", "regexp-replace-chain", "array-concat-chain", "string-agg", "array-agg-cross",
    "sized-type", "series-1e11", "series-hidden", "cross-1e12", "cross-sorted", "recursion-endless", "recursion-growing-text", "window-frames", "sort-of-huge-rows",
    "explain-analyze-cross", "regex-counted", "regex-nested-stars", "like-wildcards", "levenshtein", "interval-extremes", "copy", "create-external-table", "read-a-file", "set",
    "many-statements", "one-megabyte",
)  # fmt: skip
