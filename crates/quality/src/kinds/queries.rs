//! Queries over the whole table: rows that there must not be, and one figure.

use serde_json::json;
use sluice_domain::Observed;

use super::{Kind, Reach, bounds::Bounds};
use crate::{
    arguments::{ArgumentError, Arguments},
    expectation::{Binder, Finding, Ready},
    queries::{BATCH, MAX_QUERY_BYTES, QUERY, QueryAnswer, UNEXPECTED_ROWS},
};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "unexpected_rows_expectation",
        reach: Reach::Query,
        parameters: &[UNEXPECTED_ROWS],
        parse: unexpected_rows,
    },
    Kind {
        name: "expect_query_result_to_be_between",
        reach: Reach::Query,
        parameters: &[QUERY, "min_value", "max_value", "strict_min", "strict_max"],
        parse: result_between,
    },
];

fn read_query(arguments: &Arguments<'_>, name: &str) -> Result<String, ArgumentError> {
    let query = arguments.long_text(name, MAX_QUERY_BYTES)?;
    match query.contains(BATCH) {
        true => Ok(query),
        false => Err(ArgumentError::new(name, format!("it does not read {BATCH}, which stands for the table"))),
    }
}

fn asking(query: String, judge: impl Fn(&QueryAnswer) -> Finding + 'static) -> Binder {
    Box::new(move |setting| Ok(Ready::Known(judge(setting.answer(&query)?))))
}

fn unexpected_rows(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    Ok(asking(read_query(arguments, UNEXPECTED_ROWS)?, |answer| {
        let mut observed = Observed { value: Some(json!(answer.rows)), ..Observed::default() };
        let success = answer.rows == 0;
        if !success {
            observed.details.insert("details".into(), json!({"unexpected_rows": answer.shown}));
        }
        let complaint = format!("The query finds {} rows that there must not be", answer.rows);
        Finding { success, observed, complaints: if success { Vec::new() } else { vec![complaint] } }
    }))
}

fn result_between(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let bounds = Bounds::read(arguments)?;
    Ok(asking(read_query(arguments, QUERY)?, move |answer| {
        let (value, number) = answer.value.clone().unwrap_or_default();
        let success = answer.rows == 1 && number.is_some_and(|number| bounds.hold(number));
        let complaint = match answer.rows {
            1 => bounds.complaint("The result of the query", &value),
            rows => format!("The query gives {rows} rows, where one is wanted"),
        };
        Finding::of_value(success, value, complaint)
    }))
}
