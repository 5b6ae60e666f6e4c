//! Which files a condition cannot hold in, by the bounds that the log has of their values.
//!
//! Invariant: a file is left out only on bounds that no writer cuts off: times are cut to milliseconds by some, and
//! numbers that are none stand outside of the bounds of the others.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, StringArray, UInt64Array},
    datatypes::{DataType, SchemaRef},
};
use deltalake::datafusion::{
    common::{Column, ScalarValue, pruning::PruningStatistics},
    physical_optimizer::pruning::PruningPredicate,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{live::LiveFile, reader::convert};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounds {
    num_records: Option<u64>,
    #[serde(default)]
    min_values: Map<String, Value>,
    #[serde(default)]
    max_values: Map<String, Value>,
    #[serde(default)]
    null_count: Map<String, Value>,
}

/// The bounds of one file.
struct FileBounds<'a> {
    bounds: Bounds,
    schema: &'a SchemaRef,
}

/// Whether the bounds of a file leave it open that the condition holds for one of its rows.
pub(super) fn may_hold(condition: &PruningPredicate, file: &LiveFile, schema: &SchemaRef) -> bool {
    let bounds = file.stats.as_deref().and_then(|stats| serde_json::from_str(stats).ok());
    let Some(bounds) = bounds else { return true };
    let found = condition.prune(&FileBounds { bounds, schema });
    found.map_or(true, |found| found.first().copied().unwrap_or(true))
}

/// The least and the greatest value of a column of a file, where the log tells them exactly enough.
pub(super) fn bounds_of(file: &LiveFile, column: &str, schema: &SchemaRef) -> Option<(ArrayRef, ArrayRef)> {
    let bounds: Bounds = serde_json::from_str(file.stats.as_deref()?).ok()?;
    let (bounds, column) = (FileBounds { bounds, schema }, Column::from_name(column));
    Some((bounds.min_values(&column)?, bounds.max_values(&column)?))
}

impl FileBounds<'_> {
    fn value(&self, values: &Map<String, Value>, column: &Column) -> Option<ArrayRef> {
        let data_type = self.schema.field_with_name(&column.name).ok()?.data_type();
        if !is_exact(data_type) {
            return None;
        }
        let text = match values.get(&column.name)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
        convert(&text, data_type).ok()
    }
}

fn is_exact(data_type: &DataType) -> bool {
    data_type.is_signed_integer() || matches!(data_type, DataType::Utf8 | DataType::Date32)
}

impl PruningStatistics for FileBounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.value(&self.bounds.min_values, column)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.value(&self.bounds.max_values, column)
    }

    fn num_containers(&self) -> usize {
        1
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let count = self.bounds.null_count.get(&column.name)?.as_u64()?;
        Some(Arc::new(UInt64Array::from(vec![count])))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from(vec![self.bounds.num_records?])))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
