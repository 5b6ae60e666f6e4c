//! The lineage of a result as rows: one for each dependence, and one for each column that depends on nothing.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray, UInt64Array},
    datatypes::UInt64Type,
};
use datafusion::{common::DFSchema, error::Result};
use sluice_domain::lineage::{Influence, SqlInput, SqlLineage, SqlOutput};

use super::relation::{InputId, Inputs, Relation};
use crate::QueryError;

/// A dependence: the place and the name of a column of the result, neither where all rows depend on it.
type Row<'a> = (Option<u64>, Option<&'a str>, Option<(InputId, Influence)>);

/// The rows of a relation with this schema.
pub(super) fn write(schema: &DFSchema, relation: &Relation, inputs: &Inputs) -> Result<RecordBatch> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for ((place, field), column) in (0..).zip(schema.fields()).zip(&relation.columns) {
        let told = rows.len();
        let direct = column.direct.iter().map(|(input, influence)| (*input, *influence));
        let all = direct.chain(column.indirect.iter().copied());
        rows.extend(all.map(|input| (Some(place), Some(field.name().as_str()), Some(input))));
        if rows.len() == told {
            rows.push((Some(place), Some(field.name()), None));
        }
    }
    rows.extend(relation.influences.iter().map(|input| (None, None, Some(*input))));
    batch(&rows, inputs)
}

fn batch(rows: &[Row<'_>], inputs: &Inputs) -> Result<RecordBatch> {
    let input = |row: &Row<'_>| inputs.get(row.2?.0);
    let places: UInt64Array = rows.iter().map(|row| row.0).collect();
    let outputs: StringArray = rows.iter().map(|row| row.1).collect();
    let tables: StringArray = rows.iter().map(|row| Some(input(row)?.0.to_string())).collect();
    let columns: StringArray = rows.iter().map(|row| Some(input(row)?.1.as_str())).collect();
    let influences: StringArray = rows.iter().map(|row| Some(row.2?.1.as_str())).collect();
    let columns: [(&str, ArrayRef); 5] = [
        ("place", Arc::new(places)),
        ("output", Arc::new(outputs)),
        ("table", Arc::new(tables)),
        ("column", Arc::new(columns)),
        ("influence", Arc::new(influences)),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true)))?)
}

/// Add what these rows tell.
///
/// # Errors
/// A fault for rows that are not such.
pub(crate) fn read(rows: &RecordBatch, lineage: &mut SqlLineage) -> std::result::Result<(), QueryError> {
    let strange = || QueryError::fault("the rows do not tell a lineage");
    let texts = |at: usize| rows.columns().get(at).and_then(|column| column.as_string_opt::<i32>()).ok_or_else(strange);
    let places =
        rows.columns().first().and_then(|column| column.as_primitive_opt::<UInt64Type>()).ok_or_else(strange)?;
    let (outputs, tables, columns, influences) = (texts(1)?, texts(2)?, texts(3)?, texts(4)?);
    for at in 0..rows.num_rows() {
        let input = match tables.is_null(at) {
            true => None,
            false => Some(SqlInput {
                table: tables.value(at).parse().map_err(QueryError::fault)?,
                column: columns.value(at).to_owned(),
                influence: influences.value(at).parse().map_err(|error: String| QueryError::fault(error))?,
            }),
        };
        match places.is_null(at) {
            true => lineage.influences.extend(input),
            false => add(lineage, places.value(at), outputs.value(at), input),
        }
    }
    Ok(())
}

fn add(lineage: &mut SqlLineage, place: u64, name: &str, input: Option<SqlInput>) {
    // The rows of one column follow one another, and the columns come in their order.
    if lineage.outputs.len() as u64 <= place {
        lineage.outputs.push(SqlOutput { name: name.to_owned(), inputs: Vec::new() });
    }
    if let Some(output) = lineage.outputs.last_mut() {
        output.inputs.extend(input);
    }
}
