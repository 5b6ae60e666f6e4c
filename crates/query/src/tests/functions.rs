//! The functions that queries have beside the engine's own, and the engine's that stand for others.

use rstest::rstest;

use super::lake::TestQueries;

/// What an expression comes to, as JSON.
async fn value(expression: &str) -> String {
    let rows = TestQueries::new().json(&format!("SELECT {expression} AS x")).await.unwrap();
    rows.trim_start_matches("[{\"x\":").trim_end_matches("}]").to_owned()
}

#[rstest]
#[case("mask_email('john.doe@example.com')", "\"j******e@example.com\"")]
#[case("mask_email('@x.io')", "\"*@x.io\"")]
#[case("mask_email(NULL)", "null")]
#[case("mask_phone('+1-555-0123')", "\"+1-555-****\"")]
#[case("mask_phone('555-012-3456 ext')", "\"555-012-**** ext\"")]
#[case("mask_phone(15550123)", "\"1555****\"")]
#[case("mask_credit_card('4111 1111 1111 1111')", "\"************1111\"")]
#[case("mask_credit_card(4111111111111111)", "\"************1111\"")]
#[case("mask_ssn('123-45-6789')", "\"***-**-6789\"")]
#[case("hash_salted('CUST001', 'default_salt', 10)", "\"210aeba2eb\"")]
#[case("hash_salted('CUST001', 's1', 10)", "\"2a522cf710\"")]
#[case("hash_salted('CUST001', 's1') = encode(sha256('s1CUST001'), 'hex')", "true")]
#[case("hash_salted(NULL, 's1')", "null")]
#[tokio::test]
async fn values_are_masked_and_hashed(#[case] expression: &str, #[case] wanted: &str) {
    assert_eq!(value(expression).await, wanted);
}

#[rstest]
#[case("is_weekend(DATE '2026-11-22')", "true")]
#[case("is_weekend(DATE '2026-11-23')", "false")]
#[case("is_weekend(TIMESTAMP '2026-11-21 23:59:59')", "true")]
#[case("is_weekend('2026-11-21')", "true")]
#[case("is_weekend(CAST(NULL AS DATE))", "null")]
#[case("is_month_end(DATE '2024-02-29')", "true")]
#[case("is_month_end(TIMESTAMP '2024-02-28 10:00:00')", "false")]
#[case("is_business_hour(TIMESTAMP '2026-11-22 09:00:00')", "true")]
#[case("is_business_hour(TIMESTAMP '2026-11-22 17:59:00')", "true")]
#[case("is_business_hour(TIMESTAMP '2026-11-22 18:00:00')", "false")]
#[case("is_business_hour(TIMESTAMP '2026-11-22 08:59:59')", "false")]
#[case("date_part('quarter', DATE '2026-11-22')", "4")]
#[case("date_part('isodow', DATE '2026-11-23') - 1", "0")]
#[case("to_char(DATE '2026-11-22', '%A')", "\"Sunday\"")]
#[case("CAST(regexp_replace('$1,234.50', '[^0-9.-]', '', 'g') AS DECIMAL(18, 2))", "1234.50")]
#[tokio::test]
async fn dates_and_texts_tell_their_features(#[case] expression: &str, #[case] wanted: &str) {
    assert_eq!(value(expression).await.trim_matches('"'), wanted.trim_matches('"'));
}

#[rstest]
#[case("SELECT hash_salted('x') AS x")]
#[case("SELECT hash_salted('x', '') AS x")]
#[case("SELECT hash_salted('x', NULL) AS x")]
#[case("SELECT hash_salted('x', 's', 0) AS x")]
#[case("SELECT hash_salted('x', 's', 65) AS x")]
#[case("SELECT hash_salted(name, '') AS x FROM shop.orders")]
#[case("SELECT mask_email(1.5) AS x")]
#[case("SELECT is_weekend(1) AS x")]
#[tokio::test]
async fn what_they_cannot_take_is_the_callers_mistake(#[case] sql: &str) {
    use sluice_domain::{ErrorKind, Failure};
    let error = TestQueries::new().failure(sql).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn a_column_is_masked_row_by_row() {
    let rows = TestQueries::new().json("SELECT mask_phone(n) AS x FROM shop.numbers WHERE n >= 19998 ORDER BY n").await;
    assert_eq!(rows.unwrap(), "[{\"x\":\"1****\"},{\"x\":\"1****\"}]");
}
