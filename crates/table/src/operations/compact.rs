//! Compaction: the small files of a partition become few large ones with the same rows.
//!
//! Invariant: it is committed only after the new files were read back and hold just the rows of the old ones.

use std::collections::BTreeMap;

use deltalake::DeltaTable;

use super::{Rewrite, RowChanges, Workspace};
use crate::{
    Table, TableError,
    live::{LiveFile, live_files},
    log::change::{Change, Reads},
    reader::FileReader,
};

/// A file is small below this share of the target size.
const SMALL_PERCENT: u64 = 75;

/// Make few large files of many small ones.
#[derive(Debug, Clone)]
pub struct Compact {
    /// How large files should become, in bytes.
    pub target_bytes: u64,
    /// How many bytes one run rewrites at the most; what is left over waits for the next one.
    pub max_input_bytes: u64,
    /// What is smaller is put together, in bytes; by default it is 75 % of the target.
    pub below_bytes: Option<u64>,
    /// How many small files a partition must have at least.
    pub min_files: usize,
}

impl Default for Compact {
    fn default() -> Self {
        Self { target_bytes: 256 << 20, max_input_bytes: 2 << 30, below_bytes: None, min_files: 2 }
    }
}

impl Compact {
    /// The files to put together, partition by partition.
    fn choose(&self, files: Vec<LiveFile>) -> Vec<LiveFile> {
        let below_bytes = self.below_bytes.unwrap_or(self.target_bytes.saturating_mul(SMALL_PERCENT) / 100);
        let small = files.into_iter().filter(|file| file.size_bytes < below_bytes);
        let mut chosen = Vec::new();
        let mut left_bytes = self.max_input_bytes;
        for files in by_partition(small).into_values() {
            let mut after_bytes = left_bytes;
            let mut takes = |file: &LiveFile| match after_bytes.checked_sub(file.size_bytes) {
                Some(after) => {
                    after_bytes = after;
                    true
                }
                None => false,
            };
            let fitting: Vec<LiveFile> = files.into_iter().filter(|file| takes(file)).collect();
            // One file by itself would only be copied, run after run.
            if fitting.len() >= self.min_files.max(2) {
                chosen.extend(fitting);
                left_bytes = after_bytes;
            }
        }
        chosen
    }
}

/// The files of each partition, in the order of the partitions' values.
pub(crate) fn by_partition(
    files: impl IntoIterator<Item = LiveFile>,
) -> BTreeMap<Vec<(String, Option<String>)>, Vec<LiveFile>> {
    let mut partitions: BTreeMap<_, Vec<LiveFile>> = BTreeMap::new();
    for file in files {
        let mut values: Vec<_> = file.values.clone().into_iter().collect();
        values.sort();
        partitions.entry(values).or_default().push(file);
    }
    partitions
}

impl Table {
    pub(super) async fn prepare_compact(
        &self,
        compact: &Compact,
        workspace: &Workspace,
        newest: &DeltaTable,
    ) -> Result<Rewrite, TableError> {
        let reader = FileReader::new(self.folder(), newest)?;
        // A table that says how large its files are goes before whoever compacts it.
        let target_bytes = reader.layout.target_file_bytes.unwrap_or(compact.target_bytes);
        let compact = &Compact { target_bytes, ..compact.clone() };
        let chosen = compact.choose(live_files(newest)?);
        let mut workspace = workspace.clone();
        workspace.writer.target_file_bytes = usize::try_from(compact.target_bytes).unwrap_or(usize::MAX);
        let (files, copied) = self.copy_rows(&reader, &workspace, &chosen).await?;
        let base = newest.version().ok_or(TableError::NotCreated)?;
        let change = Change {
            operation: "OPTIMIZE",
            parameters: vec![("targetSize", compact.target_bytes.to_string())],
            data_change: false,
            reads: Reads::Files(base),
            ..Change::append(Vec::new())
        };
        let rows = RowChanges { copied, ..RowChanges::default() };
        Ok(Rewrite::replacing(change, files, &chosen, rows))
    }
}
