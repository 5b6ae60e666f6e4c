//! The whole catalog as lines of JSON: to move it from one database to another, and to keep a copy.
//!
//! Invariant: an import is complete or did not happen; a text that was cut off is told from a whole one.

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Catalog, CatalogError};

/// The form of the lines.
const FORM: u32 = 1;
/// The longest line that is read, in bytes: the text of a log entry with thousands of files fits.
const MAX_LINE_BYTES: usize = 256 << 20;

/// Takes rows: the table, and the columns with their values.
pub(crate) type RowSink<'s> = dyn FnMut(&'static str, Row) -> Result<(), CatalogError> + Send + 's;
/// Gives rows, until there is none.
pub(crate) type RowSource<'s> = dyn FnMut() -> Result<Option<(String, Row)>, CatalogError> + Send + 's;
/// A row: texts, whole numbers and nulls by the names of their columns.
pub(crate) type Row = BTreeMap<String, Value>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Line {
    SluiceCatalog { form: u32 },
    Row { table: String, values: Row },
    End { rows: u64 },
}

impl Catalog {
    /// Write everything that the catalog holds, as of one moment; gives the number of rows.
    ///
    /// # Errors
    /// The database's, and those of writing.
    pub async fn export(&self, out: &mut (dyn Write + Send)) -> Result<u64, CatalogError> {
        let mut rows = 0;
        write_line(out, &Line::SluiceCatalog { form: FORM })?;
        self.transfer()
            .dump(&mut |table, values| {
                rows += 1;
                write_line(out, &Line::Row { table: table.to_owned(), values })
            })
            .await?;
        write_line(out, &Line::End { rows })?;
        out.flush()?;
        Ok(rows)
    }

    /// Take what [`Catalog::export`] wrote; gives the number of rows. The catalog must be new.
    ///
    /// # Errors
    /// [`CatalogError::Corrupt`] where the text is not an export, or of another release, or not whole;
    /// [`CatalogError::CatalogInUse`] where there are rows already. Nothing is changed then.
    pub async fn import(&self, input: &mut (dyn BufRead + Send)) -> Result<u64, CatalogError> {
        let mut lines = Lines { input, number: 0 };
        match lines.next()? {
            Line::SluiceCatalog { form: FORM } => {}
            _ => return Err(lines.refused("is not the first line of an export of this release")),
        }
        let mut taken = 0;
        self.transfer()
            .load(&mut || match lines.next()? {
                Line::Row { table, values } => {
                    taken += 1;
                    Ok(Some((table, values)))
                }
                Line::End { rows } if rows == taken => Ok(None),
                _ => Err(lines.refused("does not follow from the lines before it")),
            })
            .await
    }
}

struct Lines<'i> {
    input: &'i mut (dyn BufRead + Send),
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Line, CatalogError> {
        self.number += 1;
        let mut text = Vec::new();
        let mut bounded = std::io::Read::take(&mut *self.input, MAX_LINE_BYTES as u64);
        bounded.read_until(b'\n', &mut text)?;
        if text.last() != Some(&b'\n') {
            return Err(self.refused("is cut off"));
        }
        serde_json::from_slice(&text).map_err(|error| self.refused(&error.to_string()))
    }

    fn refused(&self, reason: &str) -> CatalogError {
        CatalogError::corrupt("import", format!("line {} {reason}", self.number))
    }
}

fn write_line(out: &mut (dyn Write + Send), line: &Line) -> Result<(), CatalogError> {
    let mut text = serde_json::to_vec(line).map_err(|error| CatalogError::corrupt("export", error))?;
    text.push(b'\n');
    Ok(out.write_all(&text)?)
}
