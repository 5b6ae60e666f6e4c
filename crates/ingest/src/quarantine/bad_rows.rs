//! The bad rows of one upload: counted against its limits, and written down.

use std::{
    io::{self, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use chrono::Utc;
use sluice_domain::{BadRowLimits, TableRef, UploadEntry, UploadId};
use tempfile::SpooledTempFile;

use super::record::Record;
use crate::{DecodeError, row_sink::BadRow};

/// How much of the bad rows is held in memory, in bytes; beyond it they lie on the disk.
const MEMORY_BYTES: usize = 1 << 20;

/// Bad rows as JSON, one a line.
pub(crate) struct Spool(SpooledTempFile);

impl Spool {
    /// The lines, from the first.
    pub(super) fn into_reader(self) -> io::Result<SpooledTempFile> {
        let Self(mut file) = self;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

/// Takes the bad rows of an upload, as long as it may have them.
pub(crate) struct BadRows {
    upload: UploadId,
    limits: BadRowLimits,
    count: u64,
    first: Option<DecodeError>,
    spool: SpooledTempFile,
}

impl BadRows {
    /// Those of an upload, no more than the limits say; none where the table has no quarantine.
    pub(crate) fn of(entry: &UploadEntry, limits: BadRowLimits, scratch_dir: &Path) -> Self {
        Self::new((entry.id, &entry.table), limits, scratch_dir)
    }

    /// The same of an upload that is not entered yet.
    pub(crate) fn new((upload, table): (UploadId, &TableRef), mut limits: BadRowLimits, scratch_dir: &Path) -> Self {
        if table.quarantine().is_none() || table.table.is_quarantine() {
            limits.max_rows = Some(0);
        }
        Self { upload, limits, count: 0, first: None, spool: SpooledTempFile::new_in(MEMORY_BYTES, scratch_dir) }
    }

    /// Take one more.
    ///
    /// # Errors
    /// What is wrong with the row, where none may be; or that there are too many.
    pub(crate) fn add(&mut self, row: BadRow) -> Result<(), DecodeError> {
        self.count += 1;
        if self.limits.max_rows == Some(0) {
            return Err(row.error);
        }
        if self.limits.max_rows.is_some_and(|limit| self.count > limit) {
            return Err(self.too_many(self.first.as_ref().unwrap_or(&row.error)));
        }
        let record = Record::new(self.upload, &row, Utc::now());
        serde_json::to_writer(&mut self.spool, &record).map_err(io::Error::from)?;
        self.spool.write_all(b"\n")?;
        self.first.get_or_insert(row.error);
        Ok(())
    }

    /// The bad rows beside so many good ones; none where there are none.
    ///
    /// # Errors
    /// That there are too many.
    pub(crate) fn finish(mut self, good_rows: u64) -> Result<Option<(u64, Spool)>, DecodeError> {
        let Some(first) = self.first.take() else { return Ok(None) };
        let all = self.count + good_rows;
        if self.limits.max_fraction.is_some_and(|limit| limit.is_exceeded_by(self.count, all)) {
            return Err(self.too_many(&first));
        }
        if good_rows == 0 {
            return Err(first);
        }
        Ok(Some((self.count, Spool(self.spool))))
    }

    fn too_many(&self, first: &DecodeError) -> DecodeError {
        DecodeError::TooManyBadRows { count: self.count, first: first.to_string() }
    }
}
