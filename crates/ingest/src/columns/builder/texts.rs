//! Many texts of one column at a time: what becomes of a value is decided once, not for each.

use sluice_domain::{Moment, parse_moment};

use super::{ColumnBuilder, Refused, Values, exact_double};
use crate::kinds::parse_integer;

impl ColumnBuilder {
    /// Add the values that texts stand for, as [`ColumnBuilder::append_text`] does; none is a missing value.
    ///
    /// After a refusal the column is good for nothing.
    pub(crate) fn append_texts<'t>(&mut self, texts: impl Iterator<Item = Option<&'t str>>) -> Result<(), Refused> {
        let nullable = self.nullable;
        let mut count = 0;
        macro_rules! take {
            ($values:expr, $parse:expr) => {{
                let parse = $parse;
                for text in texts {
                    match text {
                        Some(text) => match parse(text).or_else(|| parse(text.trim_matches(' '))) {
                            Some(value) => $values.append_value(value),
                            None => return Err(self.refusal(text)),
                        },
                        None if nullable => $values.append_null(),
                        None => return Err(self.refusal("null")),
                    }
                    count += 1;
                }
            }};
        }
        match &mut self.values {
            Values::Integer { values, range } => {
                take!(values, |text| parse_integer(text).filter(|value| range.contains(value)));
            }
            Values::Float { values, single: false } => take!(values, exact_double),
            Values::Date(values) => take!(values, |text| parse_moment(text).and_then(Moment::days)),
            Values::Text(values) => take!(values, |text: &'t str| Some(text)),
            _ => {
                for text in texts {
                    match text {
                        Some(text) => self.append_text(text)?,
                        None => self.append_null()?,
                    }
                }
            }
        }
        self.length += count;
        Ok(())
    }

    /// Add so many missing values.
    pub(crate) fn append_nulls(&mut self, count: usize) -> Result<(), Refused> {
        (0..count).try_for_each(|_| self.append_null())
    }
}
