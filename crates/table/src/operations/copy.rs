//! Rows of files into other files, unchanged but for the types of their columns.
//!
//! Invariant: what was written is read back, and holds just the rows that were there.

use futures::TryStreamExt as _;

use super::{Workspace, compact::by_partition, digest::Digest, sink::Sink};
use crate::{DataFile, Table, TableError, live::LiveFile, reader::FileReader};

impl Table {
    /// Write the rows of files anew, partition by partition; gives the new files and how many rows they hold.
    pub(super) async fn copy_rows(
        &self,
        reader: &FileReader,
        workspace: &Workspace,
        files: &[LiveFile],
    ) -> Result<(Vec<DataFile>, u64), TableError> {
        let (mut digest, mut written) = (Digest::new(&reader.schema)?, Vec::new());
        for partition in by_partition(files.iter().cloned()).into_values() {
            let mut sink = Sink::open(workspace, reader)?;
            for file in &partition {
                let mut batches = reader.read(file).await?;
                while let Some(batch) = batches.try_next().await? {
                    digest = digest.with(&batch).await?;
                    sink.write(batch).await?;
                }
            }
            written.extend(sink.finish(self.folder()).await?);
        }
        digest.verify(&written, reader).await?;
        Ok((written, digest.rows))
    }
}
