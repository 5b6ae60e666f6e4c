//! Whether the rows of one request are good, looked at by itself before it joins others.

use std::{io::Cursor, sync::Arc};

use arrow::{array::RecordBatch, compute::concat_batches, datatypes::SchemaRef};
use bytes::Bytes;
use sluice_domain::Format;

use super::body::options;
use crate::{DecodeError, DecodeLimits, formats, pipeline, row_sink::Strict};

/// The rows of a request.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) rows: u64,
    /// As the table has them; none for a table that is not there yet.
    pub(super) batch: Option<RecordBatch>,
}

/// Check the rows against the table's columns, or, for a table that they make, against what any table can have.
pub(super) fn check(
    format: Format,
    body: &Bytes,
    schema: Option<&SchemaRef>,
    limits: &DecodeLimits,
) -> Result<Checked, DecodeError> {
    let checked = match schema {
        Some(schema) => decode(format, body, schema, limits)?,
        None => Checked { rows: infer(format, body, limits)?, batch: None },
    };
    if checked.rows == 0 { Err(DecodeError::Empty) } else { Ok(checked) }
}

fn source(body: &Bytes) -> formats::Source {
    formats::Source::Stream(Box::new(Cursor::new(body.clone())))
}

fn decode(format: Format, body: &Bytes, schema: &SchemaRef, limits: &DecodeLimits) -> Result<Checked, DecodeError> {
    let mut batches = Vec::new();
    let rows = formats::decode(
        &options(format),
        source(body),
        schema,
        limits,
        &mut Strict(|batch| {
            batches.push(batch);
            Ok(())
        }),
    )?;
    let whole = concat_batches(schema, &batches).map_err(|error| DecodeError::malformed(format, error.to_string()))?;
    Ok(Checked { rows, batch: Some(whole) })
}

fn infer(format: Format, body: &Bytes, limits: &DecodeLimits) -> Result<u64, DecodeError> {
    let inferred = formats::infer(&options(format), source(body), limits)?;
    pipeline::check_columns(format, &inferred.table_columns())?;
    inferred.first_bad.map_or(Ok(inferred.rows), Err)
}

/// Whether rows that were checked once are right for these columns as they are.
pub(super) fn fits(batch: Option<&RecordBatch>, schema: &SchemaRef) -> bool {
    batch.is_some_and(|batch| Arc::ptr_eq(batch.schema_ref(), schema) || batch.schema_ref() == schema)
}
