//! Single values of one column: ranges and sets.

use arrow::{array::RecordBatch, buffer::BooleanBuffer};
use serde_json::{Map, Value};
use sluice_domain::RuleValue;

use super::{Kind, Reach, bounds::check_ends, column_test::ColumnTest};
use crate::{
    arguments::{ArgumentError, Arguments},
    cells::present,
    expectation::{Binder, Looked, Ready, RowTest, count_of},
    value::{Limit, ValueCheck},
};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "expect_column_values_to_be_between",
        reach: Reach::Row,
        parameters: &["column", "min_value", "max_value", "strict_min", "strict_max", "mostly"],
        parse: between,
    },
    Kind {
        name: "expect_column_values_to_be_in_set",
        reach: Reach::Row,
        parameters: &["column", "value_set", "mostly"],
        parse: |arguments| in_set(arguments, true),
    },
    Kind {
        name: "expect_column_values_to_not_be_in_set",
        reach: Reach::Row,
        parameters: &["column", "value_set", "mostly"],
        parse: |arguments| in_set(arguments, false),
    },
];

/// An end of a range, as it was written.
type End = Option<(RuleValue, bool)>;

fn limit((value, is_strict): &(RuleValue, bool)) -> Limit<'_> {
    Limit { value, is_strict: *is_strict }
}

fn between(arguments: &Arguments<'_>) -> Result<Binder, ArgumentError> {
    let (column, mostly) = (arguments.text("column")?, arguments.mostly()?);
    let end = |name: &str, strict: &str| -> Result<End, ArgumentError> {
        let is_strict = arguments.flag(strict)?.unwrap_or_default();
        Ok(arguments.value(name)?.map(|value| (value, is_strict)))
    };
    let (least, most) = (end("min_value", "strict_min")?, end("max_value", "strict_max")?);
    let number = |end: &End| end.as_ref().and_then(|(value, _)| value.to_string().parse::<f64>().ok());
    check_ends(arguments, number(&least).zip(number(&most)).is_some_and(|(least, most)| least > most))?;
    Ok(Box::new(move |setting| {
        let at = setting.column(&column)?;
        let data_type = setting.data_type(at);
        let below = least.as_ref().map(|end| ValueCheck::range(data_type, Some(limit(end)), None)).transpose()?;
        let above = most.as_ref().map(|end| ValueCheck::range(data_type, None, Some(limit(end)))).transpose()?;
        let told = |end: &End| end.as_ref().map_or_else(|| "…".to_owned(), |(value, _)| value.to_string());
        let test = Between {
            at: [at],
            column: column.clone(),
            reason: format!("{column} must lie between {} and {}", told(&least), told(&most)),
            below: below.map(|check| (check, 0)),
            above: above.map(|check| (check, 0)),
        };
        Ok(Ready::rows(test, mostly))
    }))
}

/// Whether values lie between two ends; counts those on each side.
struct Between {
    at: [usize; 1],
    column: String,
    reason: String,
    below: Option<(ValueCheck, u64)>,
    above: Option<(ValueCheck, u64)>,
}

impl RowTest for Between {
    fn look(&mut self, rows: &RecordBatch) -> Result<Looked, String> {
        let values = rows.column(self.at[0]);
        let considered = present(values);
        let mut unexpected = BooleanBuffer::new_unset(values.len());
        for (check, count) in [&mut self.below, &mut self.above].into_iter().flatten() {
            let broken = check.broken(values).map_err(|error| error.to_string())?;
            *count += broken.count_set_bits() as u64;
            unexpected = &unexpected | &broken;
        }
        Ok(Looked { considered, unexpected })
    }

    fn columns(&self) -> &[usize] {
        &self.at
    }

    fn complaints(&self) -> Vec<String> {
        let side = |end: &Option<(ValueCheck, u64)>, told: &str| {
            end.as_ref().filter(|(_, count)| *count > 0).map(|_| format!("Values {told} in {}", self.column))
        };
        side(&self.below, "below minimum").into_iter().chain(side(&self.above, "above maximum")).collect()
    }

    fn reason(&self) -> String {
        self.reason.clone()
    }

    fn details(&self, rows: u64) -> Map<String, Value> {
        let side = |name: &str, end: &Option<(ValueCheck, u64)>| {
            end.as_ref().filter(|(_, count)| *count > 0).map(|(_, count)| (name.to_owned(), count_of(*count, rows)))
        };
        side("below_min", &self.below).into_iter().chain(side("above_max", &self.above)).collect()
    }
}

fn in_set(arguments: &Arguments<'_>, wanted: bool) -> Result<Binder, ArgumentError> {
    let (column, mostly) = (arguments.text("column")?, arguments.mostly()?);
    let set = arguments.values("value_set")?;
    Ok(Box::new(move |setting| {
        let at = setting.column(&column)?;
        let check = ValueCheck::one_of(setting.data_type(at), &set)?;
        let told = if wanted { "outside of the set" } else { "of the set" };
        let test = ColumnTest::new(at, format!("Values {told} in {column}"), move |values| {
            let outside = check.broken(values).map_err(|error| error.to_string())?;
            Ok(if wanted { outside } else { !&outside })
        });
        Ok(Ready::rows(test, mostly))
    }))
}
