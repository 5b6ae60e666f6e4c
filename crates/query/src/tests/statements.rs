//! Statements that would exhaust or stall an engine without limits, over `shop.numbers` with a column `n` of 20,000
//! numbers; the tests of the whole server run them too.

/// One of them.
#[derive(Debug)]
pub(crate) struct Killer {
    pub(crate) name: &'static str,
    /// Whether it is refused before anything is computed.
    pub(crate) refused: bool,
    pub(crate) sql: String,
}

fn refused(name: &'static str, sql: impl Into<String>) -> Killer {
    Killer { name, refused: true, sql: sql.into() }
}

fn bounded(name: &'static str, sql: impl Into<String>) -> Killer {
    Killer { name, refused: false, sql: sql.into() }
}

fn chain(term: &str, joint: &str, count: usize) -> String {
    format!("SELECT {}", vec![term; count].join(joint))
}

/// The term with each number behind it.
fn listed(count: usize, term: &str) -> String {
    (0..count).map(|number| format!("{term}{number}")).collect::<Vec<_>>().join(", ")
}

fn wrapped(before: &str, inner: &str, after: &str, levels: usize) -> String {
    format!("{}{inner}{}", before.repeat(levels), after.repeat(levels))
}

/// Common table expressions `t0`, `t1`, … of one column `s`, each made of the one before.
fn steps(first: &str, step: &str, levels: usize, last: &str) -> String {
    let tables = (1..=levels).map(|level| {
        let before = level - 1;
        format!(", t{level} AS (SELECT {step} AS s FROM t{before})")
    });
    format!("WITH t0 AS ({first}){} SELECT {last} FROM t{levels}", tables.collect::<String>())
}

/// Common table expressions that each use the one before twice.
fn doubling(levels: usize) -> String {
    let tables = (1..levels).map(|level| {
        let before = level - 1;
        format!(", t{level} AS (SELECT a.x FROM t{before} AS a, t{before} AS b)")
    });
    format!("WITH t0 AS (SELECT 1 AS x){} SELECT * FROM t{}", tables.collect::<String>(), levels - 1)
}

/// Pairs of rows of `shop.numbers`, as many as a query's time is too short for.
const PAIRS: &str = "shop.numbers AS a, shop.numbers AS b";
const TRIPLES: &str = "shop.numbers AS a, shop.numbers AS b, shop.numbers AS c";

/// All of them.
pub(crate) fn killers() -> Vec<Killer> {
    [long_texts(), deep_texts(), lengths(), growth(), joins(), patterns(), values(), memory()]
        .into_iter()
        .flatten()
        .collect()
}

fn long_texts() -> Vec<Killer> {
    vec![
        refused("a sum of 5,000", chain("1", "+", 5_000)),
        refused("a sum of 20,000", chain("1", "+", 20_000)),
        refused("OR of 10,000", chain("n=1", " OR ", 10_000)),
        refused("AND of 10,000", chain("true", " AND ", 10_000)),
        refused("concatenation of 10,000", chain("'x'", "||", 10_000)),
        refused("UNION of 5,000", chain("1", " UNION ALL SELECT ", 5_000)),
        refused("a list of 20,000", format!("SELECT 1 WHERE 1 IN ({})", vec!["1"; 20_000].join(","))),
        refused("VALUES of 20,000", format!("SELECT * FROM (VALUES {})", vec!["(1)"; 20_000].join(","))),
        refused("joins of 200", format!("SELECT 1 FROM shop.numbers{}", ", shop.numbers".repeat(200))),
        bounded("a list of 4,900", format!("SELECT count(*) FROM shop.numbers WHERE n NOT IN ({})", listed(4_900, ""))),
        bounded("columns of 2,400", format!("SELECT {} FROM shop.numbers ORDER BY 1", listed(2_400, "n AS c"))),
        bounded("grouping sets", format!("SELECT count(*) FROM shop.numbers GROUP BY CUBE ({})", listed(24, "n % 1"))),
    ]
}

fn deep_texts() -> Vec<Killer> {
    vec![
        refused("parentheses of 20,000", format!("SELECT {}", wrapped("(", "1", ")", 20_000))),
        refused("parentheses of 90", format!("SELECT {}", wrapped("(", "1", ")", 90))),
        refused("functions of 90", format!("SELECT {}", wrapped("abs(", "1", ")", 90))),
        refused("arrays of 90", format!("SELECT {}", wrapped("[", "1", "]", 90))),
        bounded("CASE of 90", format!("SELECT {}", wrapped("CASE WHEN true THEN ", "1", " END", 90))),
        refused("NOT of 5,000", format!("SELECT {} true", "NOT ".repeat(5_000))),
        refused("minus of 5,000", format!("SELECT {} 1", "- ".repeat(5_000))),
        refused("casts of 5,000", format!("SELECT 1{}", "::int".repeat(5_000))),
        refused("subqueries of 90", format!("SELECT {}", wrapped("(SELECT ", "1", ")", 90))),
        refused("WITH of 40", wrapped("WITH t AS (", "SELECT 1 AS x", ") SELECT * FROM t", 40)),
        refused("doubling of 40", doubling(40)),
        bounded("a sum of 490", chain("n", "+", 490) + " FROM shop.numbers"),
        bounded("doubling of 8", doubling(8)),
        bounded("nested aggregates", format!("SELECT {} FROM shop.numbers", wrapped("coalesce(", "max(n)", ",0)", 40))),
    ]
}

fn lengths() -> Vec<Killer> {
    vec![
        refused("repeat", "SELECT repeat('x', 2000000000)"),
        refused("repeat of repeat", "SELECT repeat(repeat('x', 1000), 1000)"),
        refused("lpad", "SELECT lpad('x', 2000000000, 'y')"),
        refused("array_repeat", "SELECT array_repeat(1, 1000000000)"),
        refused("array_resize", "SELECT array_resize([1], 1000000000, 1)"),
        refused("a series as a value", "SELECT generate_series(1, 100000000000)"),
        refused("a series as a table", "SELECT * FROM generate_series(1, 100000000000)"),
        refused("a range with steps", "SELECT * FROM range(-100000000000, 100000000000, 3)"),
        refused("a length from a column", "SELECT repeat('x', n) FROM shop.numbers"),
        refused("a sized type", "SELECT arrow_cast(NULL, 'FixedSizeBinary(2147483647)') FROM shop.numbers"),
        refused("sizes of sizes", "SELECT CAST(NULL AS BIGINT[2147483647][2000000])"),
    ]
}

/// Texts and lists that grow by what is done to them, where no argument is a length.
fn growth() -> Vec<Killer> {
    let seed = "SELECT repeat('x', 5000) AS s";
    vec![
        bounded("replace by replace", steps(seed, "replace(s, 'x', 'xxxxxxxxxxxxxxxxxxxx')", 8, "length(s)")),
        bounded(
            "replace in each row",
            steps(
                "SELECT CAST(n AS VARCHAR) || 'x' AS s FROM shop.numbers",
                "replace(s, 'x', 'xxxxxxxxxxxxxxxxxxxx')",
                8,
                "max(length(s))",
            ),
        ),
        bounded("regexp_replace", steps(seed, "regexp_replace(s, 'x', 'xxxxxxxxxxxxxxxxxxxx', 'g')", 8, "length(s)")),
        bounded("concat with itself", steps(seed, "concat(s, s, s, s, s, s, s, s)", 9, "length(s)")),
        bounded("|| with itself", steps(seed, "s || s || s || s || s || s || s || s", 9, "length(s)")),
        bounded(
            "|| in each row",
            steps(
                "SELECT CAST(n AS VARCHAR) AS s FROM shop.numbers",
                "s || s || s || s || s || s || s || s",
                9,
                "max(length(s))",
            ),
        ),
        bounded(
            "overlay",
            steps(
                seed,
                "overlay(overlay(s || s || s || s PLACING s FROM 1) || s PLACING s || s FROM 2)",
                12,
                "length(s)",
            ),
        ),
        bounded(
            "translate",
            steps(seed, "translate(s || s || s || s || s || s, 'x', 'y') || translate(s, 'y', 'x')", 12, "length(s)"),
        ),
        bounded("array_to_string", steps(seed, "array_to_string([s, s, s, s, s, s, s, s], s)", 12, "length(s)")),
        bounded(
            "lists of lists",
            steps("SELECT [1, 2, 3, 4] AS s", "array_concat(s, s, s, s, s, s, s, s)", 11, "array_length(s)"),
        ),
        bounded("encodings", steps(seed, "encode(CAST(s || s || s || s AS BYTEA), 'hex')", 14, "length(s)")),
        bounded(
            "string_agg",
            format!("SELECT length(string_agg(CAST(a.n AS VARCHAR) || repeat('x', 1000), ',')) FROM {PAIRS}"),
        ),
        bounded("array_agg", format!("SELECT array_length(array_agg(a.n * b.n)) FROM {PAIRS}")),
        bounded("array_agg of texts", format!("SELECT array_length(array_agg(repeat('x', 9000))) FROM {PAIRS}")),
    ]
}

fn joins() -> Vec<Killer> {
    vec![
        bounded("a cross join", format!("SELECT count(*) FROM {TRIPLES} WHERE a.n + b.n < c.n")),
        bounded("a join without matches", format!("SELECT count(*) FROM {TRIPLES} WHERE a.n + b.n + c.n < 0")),
        bounded(
            "a skewed join",
            "SELECT count(*) FROM shop.numbers AS a JOIN shop.numbers AS b ON a.n / 20000 = b.n / 20000 JOIN shop.numbers AS c ON a.n / 20000 = c.n / 20000 AND a.n + b.n + c.n < 0",
        ),
        bounded("a sort of triples", format!("SELECT a.n FROM {TRIPLES} ORDER BY a.n + b.n + c.n")),
        bounded("distinct triples", format!("SELECT DISTINCT a.n, b.n, c.n FROM {TRIPLES}")),
        bounded("groups of pairs", format!("SELECT a.n, b.n, count(*) FROM {PAIRS} GROUP BY a.n, b.n ORDER BY 3")),
        bounded(
            "recursion",
            "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t",
        ),
        bounded(
            "growing recursion",
            "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT a.x + 1 FROM t AS a, generate_series(1, 100)) SELECT count(*) FROM t",
        ),
        bounded(
            "recursion of texts",
            "WITH RECURSIVE t AS (SELECT 'xxxxxxxxxx' AS s UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t",
        ),
        bounded(
            "series by series",
            "SELECT count(*) FROM generate_series(1, 1000000) AS a(x), generate_series(1, 1000000) AS b(x) WHERE a.x * b.x < 0",
        ),
        bounded(
            "correlated subqueries",
            "SELECT sum((SELECT count(*) FROM shop.numbers AS b WHERE b.n * a.n % 7 < a.n % 5)) FROM shop.numbers AS a",
        ),
    ]
}

fn patterns() -> Vec<Killer> {
    vec![
        bounded(
            "a huge repetition",
            "SELECT regexp_like(CAST(n AS VARCHAR), '((a{1000}){1000}){1000}') FROM shop.numbers",
        ),
        bounded(
            "repetitions of classes",
            "SELECT regexp_like(CAST(n AS VARCHAR), '(\\pL{1,100}\\d{1,100}){1,50}') FROM shop.numbers",
        ),
        bounded(
            "a pattern in each row",
            "SELECT count(*) FROM shop.numbers WHERE regexp_like(repeat('a', 9000), '(a|aa){1,90}' || CAST(n AS VARCHAR) || '$')",
        ),
        bounded(
            "wildcards",
            format!(
                "SELECT count(*) FROM {PAIRS} WHERE repeat('a', 9000) || CAST(a.n + b.n AS VARCHAR) LIKE '{}b'",
                "%a".repeat(200)
            ),
        ),
        bounded(
            "wildcards without case",
            format!(
                "SELECT count(*) FROM {PAIRS} WHERE repeat('a', 9000) || CAST(a.n + b.n AS VARCHAR) ILIKE '{}b'",
                "%a_".repeat(200)
            ),
        ),
        bounded(
            "matches",
            format!(
                "SELECT count(*) FROM {PAIRS} WHERE regexp_count(repeat('ab', 4000) || CAST(a.n * b.n AS VARCHAR), '(a|b|ab)*?c') > 0"
            ),
        ),
    ]
}

fn values() -> Vec<Killer> {
    vec![
        bounded(
            "a decimal beyond its digits",
            "SELECT CAST('1e75' AS DECIMAL(76, 0)) * CAST('1e75' AS DECIMAL(76, 0))",
        ),
        bounded(
            "decimals of each row",
            "SELECT sum(CAST(n AS DECIMAL(76, 38)) * CAST(n AS DECIMAL(76, 38))) FROM shop.numbers",
        ),
        bounded("the longest interval", "SELECT TIMESTAMP '9999-12-31 23:59:59' + INTERVAL '2147483647 years'"),
        bounded("the widest interval", "SELECT INTERVAL '9223372036854775807 days' * 9223372036854775807"),
        bounded(
            "the largest power",
            "SELECT power(9223372036854775807, 9223372036854775807), factorial(170), 9223372036854775807 + n FROM shop.numbers",
        ),
        bounded(
            "the smallest quotient",
            "SELECT (-9223372036854775807 - 1) / -1, (-9223372036854775807 - 1) % -1, abs(-9223372036854775807 - 1)",
        ),
        bounded(
            "series of times",
            "SELECT * FROM generate_series(TIMESTAMP '0001-01-01', TIMESTAMP '9999-12-31', INTERVAL '1 microsecond')",
        ),
        bounded(
            "casts of long texts",
            format!("SELECT CAST(repeat('9', 9000) AS DECIMAL(76, 0)), CAST(repeat('9', 9000) AS DOUBLE) FROM {PAIRS}"),
        ),
        bounded(
            "a position far away",
            "SELECT substr('x', 9223372036854775807, 9223372036854775807), left('x', -9223372036854775807), split_part('a,b', ',', 9223372036854775807)",
        ),
        bounded(
            "a slice far away",
            "SELECT array_slice([1, 2, 3], -9223372036854775807, 9223372036854775807), [1, 2][9223372036854775807]",
        ),
        bounded(
            "characters of numbers",
            "SELECT chr(1114111), to_hex(-9223372036854775807), date_bin(INTERVAL '1 nanosecond', TIMESTAMP '9999-12-31', TIMESTAMP '0001-01-01')",
        ),
    ]
}

fn memory() -> Vec<Killer> {
    vec![
        bounded(
            "a sort of huge rows",
            format!("SELECT repeat('x', 9000) || CAST(a.n * b.n AS VARCHAR) AS s FROM {PAIRS} ORDER BY s"),
        ),
        bounded(
            "distinct huge rows",
            format!("SELECT count(DISTINCT repeat('x', 9000) || CAST(a.n * b.n AS VARCHAR)) FROM {PAIRS}"),
        ),
        bounded(
            "unnest of big lists",
            "SELECT count(*) FROM (SELECT unnest(range(1, 9999)) AS x, n FROM shop.numbers) WHERE x * n < 0",
        ),
        bounded(
            "unnest of unnest",
            "SELECT count(*) FROM (SELECT unnest([n, n, n, n]) AS a FROM (SELECT unnest(range(1, 2000)) AS n FROM shop.numbers)) WHERE a < 0",
        ),
        bounded(
            "a window of all rows",
            format!(
                "SELECT max(s) FROM (SELECT sum(a.n) OVER (ORDER BY b.n ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS s FROM {PAIRS})"
            ),
        ),
        bounded(
            "windows of windows",
            "SELECT max(s) FROM (SELECT array_agg(n) OVER (ORDER BY n ROWS BETWEEN 20000 PRECEDING AND 20000 FOLLOWING) AS s FROM shop.numbers)",
        ),
        bounded(
            "texts of windows",
            "SELECT max(s) FROM (SELECT string_agg(CAST(n AS VARCHAR), ',') OVER (ORDER BY n ROWS BETWEEN 20000 PRECEDING AND CURRENT ROW) AS s FROM shop.numbers)",
        ),
        bounded(
            "a median of pairs",
            format!("SELECT median(a.n * b.n), approx_percentile_cont(a.n, 0.5) FROM {PAIRS}"),
        ),
        bounded(
            "one huge row",
            format!("SELECT array_agg(s) FROM (SELECT repeat('x', 9000) AS s FROM {PAIRS} LIMIT 15000)"),
        ),
        bounded("a wide struct of lists", format!("SELECT named_struct('a', range(1, 9000), 'b', a.n) FROM {PAIRS}")),
    ]
}
