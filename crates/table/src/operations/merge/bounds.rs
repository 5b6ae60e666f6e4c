//! Between which values the keys of a source lie, to leave out files of the table that hold none of them.

use arrow::{
    array::{Array as _, ArrayRef},
    datatypes::Schema,
};

use super::keys::Encoder;
use crate::{TableError, live::LiveFile, operations::prune::bounds_of, reader::FileReader};

#[derive(Debug)]
struct ColumnBounds {
    column: String,
    encoder: Encoder,
    least: Option<Vec<u8>>,
    greatest: Option<Vec<u8>>,
    has_missing: bool,
}

/// The bounds of each column of a key.
#[derive(Debug)]
pub(super) struct KeyBounds(Vec<ColumnBounds>);

impl KeyBounds {
    pub(super) fn new(schema: &Schema, keys: &[String]) -> Result<Self, TableError> {
        let bounds = keys.iter().map(|column| {
            let encoder = Encoder::new(schema, std::slice::from_ref(column))?;
            Ok(ColumnBounds { column: column.clone(), encoder, least: None, greatest: None, has_missing: false })
        });
        Ok(Self(bounds.collect::<Result<_, TableError>>()?))
    }

    /// Widen them to these keys.
    pub(super) fn add(&mut self, keys: &[ArrayRef]) -> Result<(), TableError> {
        for (bounds, values) in self.0.iter_mut().zip(keys) {
            bounds.add(values)?;
        }
        Ok(())
    }

    /// Whether a file of the table may hold a key that lies within.
    pub(super) fn may_meet(&self, file: &LiveFile, reader: &FileReader) -> Result<bool, TableError> {
        for bounds in &self.0 {
            if !bounds.may_meet(file, reader)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl ColumnBounds {
    fn add(&mut self, values: &ArrayRef) -> Result<(), TableError> {
        self.has_missing |= values.null_count() > 0;
        let rows = self.encoder.encode_columns(std::slice::from_ref(values))?;
        let (Some(least), Some(greatest)) = (rows.iter().min(), rows.iter().max()) else { return Ok(()) };
        if self.least.as_deref().is_none_or(|known| least.data() < known) {
            self.least = Some(least.data().to_vec());
        }
        if self.greatest.as_deref().is_none_or(|known| greatest.data() > known) {
            self.greatest = Some(greatest.data().to_vec());
        }
        Ok(())
    }

    fn may_meet(&self, file: &LiveFile, reader: &FileReader) -> Result<bool, TableError> {
        let (Some(least), Some(greatest)) = (&self.least, &self.greatest) else { return Ok(false) };
        let of_file = if reader.partition_by.contains(&self.column) {
            let value = reader.one_row(file)?.column_by_name(&self.column).cloned();
            value.map(|value| (value.clone(), value))
        } else if self.has_missing {
            // Bounds say nothing of rows without a value.
            None
        } else {
            bounds_of(file, &self.column, &reader.schema)
        };
        let Some((low, high)) = of_file else { return Ok(true) };
        let (low, high) = (self.encoder.encode_columns(&[low])?, self.encoder.encode_columns(&[high])?);
        Ok(low.row(0).data() <= greatest.as_slice() && high.row(0).data() >= least.as_slice())
    }
}
