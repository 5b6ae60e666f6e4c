//! Views, as queries read them.

use rstest::rstest;
use sluice_domain::{Action, Caller, ErrorKind, Failure};

use super::lake::TestQueries;
use crate::{OutputFormat, QueryRequest};

fn of_namespaces(names: &[&str]) -> TestQueries {
    let namespaces = names.iter().map(|name| name.parse().unwrap()).collect();
    let caller = Caller { name: "eve".into(), actions: vec![Action::Read], namespaces: Some(namespaces) };
    TestQueries { caller, ..TestQueries::new() }
}

#[rstest]
#[case("SELECT * FROM v.paid", r#"[{"id":1,"paid":10}]"#)]
#[case("SELECT P.id FROM \"V\".Paid AS p WHERE p.paid > 1", r#"[{"id":1}]"#)]
#[case("SELECT twice FROM v.twice", r#"[{"twice":20}]"#)]
#[case("WITH paid AS (SELECT 7 AS id) SELECT p.id FROM v.paid, paid AS p", r#"[{"id":7}]"#)]
#[case("SELECT s.id FROM shop.sales AS s JOIN v.paid USING (id)", r#"[{"id":1}]"#)]
#[tokio::test]
async fn a_view_is_read_like_a_table(#[case] sql: &str, #[case] rows: &str) {
    let request = QueryRequest { sql: sql.into(), ..QueryRequest::default() };
    let answer = TestQueries::new().run(request, OutputFormat::Json).await.unwrap();
    assert_eq!(answer.text(), rows);
    assert_eq!(answer.tables, [("shop.sales".parse().unwrap(), 4)], "tables are told, not views");
}

#[tokio::test]
async fn a_view_shows_what_its_reader_may_read_and_no_more_to_who_sees_the_view() {
    let queries = of_namespaces(&["v"]);
    assert_eq!(queries.json("SELECT people FROM v.pay").await.unwrap(), r#"[{"people":20000}]"#);
    let denied = queries.failure("SELECT people FROM v.pay, hr.salaries").await;
    assert_eq!(denied.kind(), ErrorKind::NotFound, "{denied}");
    assert_eq!(queries.json("SELECT people FROM v.above").await.unwrap(), r#"[{"people":20000}]"#);
    // That another view reads it gives no right to it.
    let below = queries.failure("SELECT a.people FROM v.above AS a, w.heads AS b").await;
    assert_eq!(below.kind(), ErrorKind::NotFound, "{below}");
    let hidden = of_namespaces(&["shop"]).failure("SELECT people FROM v.pay").await;
    assert_eq!(hidden.kind(), ErrorKind::NotFound, "{hidden}");
}

#[rstest]
#[case("SELECT * FROM v.paid VERSION AS OF 1", "no versions")]
#[case("SELECT * FROM v.broken", "v.broken")]
#[case("SELECT nope FROM v.paid", "nope")]
#[case("SELECT 1 FROM v.paid, shop.sales VERSION AS OF 4", "two versions")]
#[case("SELECT * FROM v.deep0", "views")]
#[tokio::test]
async fn what_cannot_be_read_is_the_callers_to_mend(#[case] sql: &str, #[case] word: &str) {
    let error = TestQueries::new().failure(sql).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains(word), "{error}");
}

#[tokio::test]
async fn views_are_as_deep_as_they_may_be_and_tables_as_old_as_is_said() {
    assert_eq!(TestQueries::new().json("SELECT count(*) AS n FROM v.deep2").await.unwrap(), r#"[{"n":2}]"#);
    let versions = [("shop.sales".parse().unwrap(), 4)].into();
    let request = QueryRequest { sql: "SELECT id FROM v.paid".into(), versions, ..QueryRequest::default() };
    let answer = TestQueries::new().run(request, OutputFormat::Json).await.unwrap();
    assert_eq!(answer.text(), r#"[{"id":1}]"#);
}

#[tokio::test]
async fn the_lineage_of_a_view_is_that_of_its_tables() {
    let queries = TestQueries::new();
    let told = queries.service.lineage(&queries.caller, QueryRequest::of("SELECT paid FROM v.paid")).await.unwrap();
    let inputs: Vec<String> =
        told.outputs[0].inputs.iter().map(|input| format!("{}.{}", input.table, input.column)).collect();
    assert_eq!(inputs, ["shop.sales.amount"]);
}
