//! What is not run, and what the caller is told.

use rstest::rstest;
use sluice_domain::{Caller, ErrorKind, Failure};

use super::lake::TestQueries;
use crate::QueryError;

#[rstest]
#[case("INSERT INTO shop.orders VALUES (1)")]
#[case("INSERT INTO shop.orders SELECT * FROM shop.orders")]
#[case("UPDATE shop.orders SET id = 1")]
#[case("DELETE FROM shop.orders")]
#[case("MERGE INTO shop.orders AS t USING shop.numbers AS s ON t.id = s.n WHEN MATCHED THEN DELETE")]
#[case("TRUNCATE TABLE shop.orders")]
#[case("COPY shop.orders TO '/tmp/x.csv'")]
#[case("COPY (SELECT 1) TO '/tmp/x.csv'")]
#[case("COPY shop.orders FROM '/etc/passwd'")]
#[case("CREATE TABLE shop.x (a INT)")]
#[case("CREATE TABLE shop.x AS SELECT 1")]
#[case("CREATE OR REPLACE TABLE shop.x AS SELECT 1")]
#[case("CREATE VIEW shop.x AS SELECT 1")]
#[case("CREATE SCHEMA x")]
#[case("CREATE DATABASE x")]
#[case("CREATE EXTERNAL TABLE t (a INT) STORED AS TEXTFILE LOCATION '/etc/passwd'")]
#[case("CREATE FUNCTION f() RETURNS INT RETURN 1")]
#[case("DROP TABLE shop.orders")]
#[case("DROP SCHEMA shop CASCADE")]
#[case("ALTER TABLE shop.orders ADD COLUMN x INT")]
#[case("SET datafusion.execution.batch_size = 1")]
#[case("RESET datafusion.execution.batch_size")]
#[case("SHOW TABLES")]
#[case("SHOW ALL")]
#[case("SHOW CREATE TABLE shop.orders")]
#[case("DESCRIBE shop.orders")]
#[case("PREPARE p AS SELECT 1")]
#[case("EXECUTE p")]
#[case("DEALLOCATE p")]
#[case("BEGIN")]
#[case("COMMIT")]
#[case("GRANT SELECT ON shop.orders TO ann")]
#[case("ANALYZE TABLE shop.orders")]
#[case("USE shop")]
#[case("EXPLAIN INSERT INTO shop.orders VALUES (1)")]
#[case("EXPLAIN ANALYZE COPY shop.orders TO '/tmp/x.csv'")]
#[case("EXPLAIN ANALYZE DELETE FROM shop.orders")]
#[case("EXPLAIN EXPLAIN SELECT 1")]
#[case("SELECT 1; SELECT 2")]
#[case("SELECT 1; DROP TABLE shop.orders")]
#[case("SELECT * INTO shop.x FROM shop.orders")]
#[case("SELECT * FROM (SELECT * INTO shop.x FROM shop.orders) AS t")]
#[case("SELECT * FROM shop.orders FOR UPDATE")]
#[case("WITH x AS (INSERT INTO shop.orders VALUES (1) RETURNING *) SELECT * FROM x")]
#[case("WITH x AS (WITH y AS (DELETE FROM shop.orders RETURNING *) SELECT * FROM y) SELECT * FROM x")]
#[case("WITH x AS (UPDATE shop.orders SET id = 1 RETURNING *) SELECT * FROM x")]
#[tokio::test]
async fn what_is_not_a_query_is_refused(#[case] sql: &str) {
    let error = TestQueries::new().failure(sql).await;
    // What the dialect does not know at all is as good as refused.
    let refused = matches!(error, QueryError::NotReadOnly { .. } | QueryError::Syntax { .. });
    assert!(refused, "{sql} failed otherwise: {error:?}");
}

#[rstest]
#[case("DROP TABLE shop.orders")]
#[case("COPY shop.orders TO '/tmp/x.csv'")]
#[case("EXPLAIN ANALYZE DELETE FROM shop.orders")]
#[case("WITH x AS (DELETE FROM shop.orders RETURNING *) SELECT * FROM x")]
#[case("SELECT 1; SELECT 2")]
#[case("SELECT * INTO shop.x FROM shop.orders")]
#[tokio::test]
async fn a_statement_that_writes_is_forbidden(#[case] sql: &str) {
    let error = TestQueries::new().failure(sql).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, "not-read-only"), "{error:?}");
}

#[rstest]
#[case("", ErrorKind::Malformed, "invalid-sql")]
#[case("SELEC 1", ErrorKind::Malformed, "invalid-sql")]
#[case("SELECT FROM WHERE", ErrorKind::Malformed, "invalid-sql")]
#[case("SELECT missing FROM shop.orders", ErrorKind::Invalid, "invalid-query")]
#[case("SELECT missing(1)", ErrorKind::Invalid, "invalid-query")]
#[case("SELECT * FROM orders", ErrorKind::Invalid, "invalid-query")]
#[case("SELECT * FROM lake.shop.orders", ErrorKind::Invalid, "invalid-query")]
#[case("SELECT * FROM '/etc/passwd'", ErrorKind::Invalid, "invalid-query")]
#[case("SELECT * FROM \"/etc/passwd\"", ErrorKind::Invalid, "invalid-query")]
#[case("SELECT * FROM read_csv('/etc/passwd')", ErrorKind::Invalid, "invalid-query")]
#[case("SELECT * FROM shop.orders TABLESAMPLE (10 PERCENT)", ErrorKind::Invalid, "invalid-query")]
#[case("SELECT * FROM information_schema.tables", ErrorKind::NotFound, "no-such-table")]
#[case("SELECT * FROM shop.missing", ErrorKind::NotFound, "no-such-table")]
#[case("SELECT * FROM shop.orders VERSION AS OF 99", ErrorKind::NotFound, "no-such-table")]
#[case("SELECT * FROM shop.orders VERSION AS OF 1.5", ErrorKind::Invalid, "invalid-query")]
#[case("SELECT 1 / (id - id) FROM shop.orders", ErrorKind::Invalid, "query-evaluation-failed")]
#[case("SELECT CAST(coalesce(name, 'x') AS INT) FROM shop.orders", ErrorKind::Invalid, "query-evaluation-failed")]
#[tokio::test]
async fn a_failure_has_its_kind_and_code(#[case] sql: &str, #[case] kind: ErrorKind, #[case] code: &str) {
    let error = TestQueries::new().failure(sql).await;
    assert_eq!((error.kind(), error.code()), (kind, code), "{error:?}");
}

#[tokio::test]
async fn a_table_outside_the_callers_namespaces_is_like_one_that_does_not_exist() {
    let mut queries = TestQueries::new();
    queries.caller = Caller { namespaces: Some(vec!["shop".parse().unwrap()]), ..queries.caller };
    for sql in ["SELECT * FROM hr.salaries", "SELECT 1 WHERE EXISTS (SELECT 1 FROM hr.salaries)"] {
        let error = queries.failure(sql).await;
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string().replace("hr.salaries", "hr.missing"), {
            queries.failure("SELECT * FROM hr.missing").await.to_string()
        });
    }
    assert!(queries.json("SELECT count(*) FROM shop.numbers").await.is_ok());
}

#[tokio::test]
async fn one_query_reads_one_version_of_a_table() {
    let sql = "SELECT * FROM shop.orders VERSION AS OF 1 AS a JOIN shop.orders AS b ON a.id = b.id";
    let error = TestQueries::new().failure(sql).await;
    assert!(error.to_string().contains("two versions"), "{error}");
}
