//! A test of the values of one column.

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray},
    buffer::BooleanBuffer,
    datatypes::DataType,
};

use crate::{
    cells::present,
    expectation::{Looked, Ready, RowTest},
    setting::Setting,
};

type Breaks = Box<dyn FnMut(&ArrayRef) -> Result<BooleanBuffer, String> + Send>;

/// A test of the values of one column; where there is none, it is not asked.
pub(super) struct ColumnTest {
    at: [usize; 1],
    breaks: Breaks,
    complaint: String,
}

impl ColumnTest {
    pub(super) fn new(
        at: usize,
        complaint: String,
        breaks: impl FnMut(&ArrayRef) -> Result<BooleanBuffer, String> + Send + 'static,
    ) -> Self {
        Self { at: [at], breaks: Box::new(breaks), complaint }
    }

    /// A test of texts.
    pub(super) fn of_texts(
        setting: &Setting,
        (column, complaint): (&str, String),
        mostly: f64,
        breaks: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Ready, String> {
        let at = setting.column(column)?;
        if *setting.data_type(at) != DataType::Utf8 {
            return Err(format!("it is for texts, and {column} holds {}", setting.data_type(at)));
        }
        let test = Self::new(at, complaint, move |values| {
            let texts = texts(values)?;
            Ok(BooleanBuffer::collect_bool(texts.len(), |row| texts.is_valid(row) && breaks(texts.value(row))))
        });
        Ok(Ready::rows(test, mostly))
    }
}

fn texts(values: &ArrayRef) -> Result<&StringArray, String> {
    values.as_string_opt::<i32>().ok_or_else(|| format!("{} is no text", values.data_type()))
}

impl RowTest for ColumnTest {
    fn look(&mut self, rows: &RecordBatch) -> Result<Looked, String> {
        let values = rows.column(self.at[0]);
        let considered = present(values);
        let unexpected = &(self.breaks)(values)? & &considered;
        Ok(Looked { considered, unexpected })
    }

    fn columns(&self) -> &[usize] {
        &self.at
    }

    fn complaints(&self) -> Vec<String> {
        vec![self.complaint.clone()]
    }
}
