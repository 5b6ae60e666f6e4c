//! Columns computed from others: parts of dates and moments to partition by.
//!
//! Invariant: where a derived column has a value, it is what the derivation gives; moments with a zone count in UTC.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch},
    compute::{DatePart as Part, cast, date_part, kernels::cmp::distinct},
    datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
    util::display::{ArrayFormatter, FormatOptions},
};
use sluice_domain::{DatePart, DerivedColumn};

use crate::{Refusal, TableError, layout::spelled};

/// The column that parts are taken of where only their names are asked for.
const DATE_COLUMN: &str = "date";
/// The parts that may be asked for by name only.
const NAMED_PARTS: [DatePart; 4] = [DatePart::Year, DatePart::Month, DatePart::Day, DatePart::Hour];
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A value that an upload brought for a derived column, and which is not what the derivation gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedMismatch {
    /// The row of the batch, from 0.
    pub row: usize,
    /// The column.
    pub column: String,
    /// The value.
    pub value: String,
    /// What it should be, in words.
    pub expected: String,
}

/// The columns that a new table derives: those asked for, and parts of a column `date` that are asked for by their
/// names alone and are not in the file.
pub fn derivations_of(file: &Schema, partition_by: &[String], asked: &[DerivedColumn]) -> Vec<DerivedColumn> {
    let mut derived = asked.to_vec();
    let Some(date) = spelled(file, DATE_COLUMN) else { return derived };
    for name in partition_by {
        let part = NAMED_PARTS.into_iter().find(|part| part.as_str().eq_ignore_ascii_case(name));
        let is_known = spelled(file, name).is_some() || asked.iter().any(|column| column.name == *name);
        if let (Some(part), false) = (part, is_known) {
            derived.push(DerivedColumn { name: name.clone(), part, source: date.name().clone() });
        }
    }
    derived
}

/// Computes the derived columns of a table.
#[derive(Debug, Clone)]
pub struct Derivations {
    columns: Vec<(usize, usize, DerivedColumn)>,
}

impl Derivations {
    /// The schema with the derived columns at its end.
    ///
    /// # Errors
    /// [`Refusal::BadPartitioning`] for a column that is there already, or a source that is not there or has no such
    /// part.
    pub fn extend(file: &Schema, derived: &[DerivedColumn]) -> Result<(Schema, Vec<DerivedColumn>), Refusal> {
        let mut fields: Vec<Arc<Field>> = file.fields().iter().cloned().collect();
        let mut spelled_out = Vec::with_capacity(derived.len());
        for column in derived {
            let refused = |reason| Refusal::BadPartitioning { column: column.to_string(), reason };
            let source = spelled(file, &column.source).ok_or_else(|| refused("there is no such column"))?;
            check_source(column.part, source.data_type()).map_err(refused)?;
            if fields.iter().any(|field| field.name().eq_ignore_ascii_case(&column.name)) {
                return Err(refused("a column of this name is there already; give it another with `as`"));
            }
            fields.push(Arc::new(Field::new(&column.name, type_of(column.part), true)));
            spelled_out.push(DerivedColumn { source: source.name().clone(), ..column.clone() });
        }
        Ok((Schema::new_with_metadata(fields, file.metadata().clone()), spelled_out))
    }

    /// For rows of a table with these columns. What is not there (any more), or has another type now, is not computed.
    pub fn new(schema: &Schema, derived: &[DerivedColumn]) -> Self {
        let places = derived.iter().filter_map(|column| {
            let (to, field) = schema.column_with_name(&column.name)?;
            let (from, source) = schema.column_with_name(&column.source)?;
            let fits = *field.data_type() == type_of(column.part);
            (fits && check_source(column.part, source.data_type()).is_ok()).then(|| (to, from, column.clone()))
        });
        Self { columns: places.collect() }
    }

    /// The rows with their derived columns.
    ///
    /// # Errors
    /// The first value that is there and differs, within `Ok`; otherwise what Arrow cannot compute.
    pub fn apply(&self, rows: RecordBatch) -> Result<Result<RecordBatch, DerivedMismatch>, TableError> {
        if self.columns.is_empty() {
            return Ok(Ok(rows));
        }
        let schema: SchemaRef = rows.schema();
        let mut columns = rows.columns().to_vec();
        for (to, from, column) in &self.columns {
            let computed = compute(column.part, &columns[*from])?;
            if let Some(mismatch) = find_mismatch(column, &columns[*to], &computed)? {
                return Ok(Err(mismatch));
            }
            columns[*to] = computed;
        }
        Ok(Ok(RecordBatch::try_new(schema, columns)?))
    }
}

/// The type of the column that holds a part.
fn type_of(part: DatePart) -> DataType {
    if part == DatePart::Date { DataType::Date32 } else { DataType::Int32 }
}

fn check_source(part: DatePart, source: &DataType) -> Result<(), &'static str> {
    match (part, source) {
        (DatePart::Hour, DataType::Date32) => Err("a date has no hour"),
        (_, DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _)) => Ok(()),
        _ => Err("its column holds neither dates nor timestamps"),
    }
}

/// The part of each value; missing where the value is.
fn compute(part: DatePart, source: &ArrayRef) -> Result<ArrayRef, TableError> {
    let moments: ArrayRef = match source.data_type() {
        // The calendar is that of UTC, which is how moments with a zone are kept.
        DataType::Timestamp(..) => {
            Arc::new(source.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<Arc<str>>))
        }
        _ => Arc::clone(source),
    };
    let part = match part {
        DatePart::Year => Part::Year,
        DatePart::Month => Part::Month,
        DatePart::Day => Part::Day,
        DatePart::Hour => Part::Hour,
        DatePart::Date => return Ok(days(&moments)),
    };
    Ok(cast(&date_part(&moments, part)?, &DataType::Int32)?)
}

fn days(moments: &ArrayRef) -> ArrayRef {
    match moments.data_type() {
        DataType::Timestamp(..) => {
            let day = |micros: i64| i32::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX);
            Arc::new(moments.as_primitive::<TimestampMicrosecondType>().unary::<_, Date32Type>(day))
        }
        _ => Arc::clone(moments),
    }
}

fn find_mismatch(
    column: &DerivedColumn,
    given: &ArrayRef,
    computed: &ArrayRef,
) -> Result<Option<DerivedMismatch>, TableError> {
    if given.null_count() == given.len() {
        return Ok(None);
    }
    let differs = distinct(given, computed)?;
    let Some(row) = (0..given.len()).find(|&row| given.is_valid(row) && differs.value(row)) else { return Ok(None) };
    let text = |values: &ArrayRef| -> Result<String, TableError> {
        if values.is_null(row) {
            return Ok("nothing".to_owned());
        }
        Ok(ArrayFormatter::try_new(values, &FormatOptions::default())?.value(row).to_string())
    };
    Ok(Some(DerivedMismatch {
        row,
        column: column.name.clone(),
        value: text(given)?,
        expected: format!("{}({}), which is {}", column.part.as_str(), column.source, text(computed)?),
    }))
}

#[cfg(test)]
mod tests;
