//! Delete: files with rows for which a condition is true are replaced by files without these rows.

use arrow::{
    array::BooleanArray,
    compute::{filter_record_batch, not},
};
use deltalake::DeltaTable;
use futures::TryStreamExt as _;

use super::{
    Rewrite, RowChanges, Workspace,
    predicate::Predicate,
    prune::may_hold,
    sink::{Sink, check_rows},
};
use crate::{
    DataFile, Table, TableError,
    live::{LiveFile, live_files},
    log::change::{Change, Reads},
    reader::FileReader,
};

/// Delete the rows for which a condition is true.
#[derive(Debug, Clone)]
pub struct Delete {
    /// The condition, as an SQL expression over the table's columns. Rows for which it is unknown stay.
    pub predicate: String,
}

/// What a file loses.
enum Loss {
    Nothing,
    Everything,
    /// All but so many rows.
    Some {
        left: u64,
    },
}

impl Table {
    pub(super) async fn prepare_delete(
        &self,
        delete: &Delete,
        workspace: &Workspace,
        newest: &DeltaTable,
    ) -> Result<Rewrite, TableError> {
        let reader = FileReader::new(self.folder(), newest)?;
        let predicate = Predicate::parse(&delete.predicate, &reader.schema).await?;
        let (mut replaced, mut files, mut rows) = (Vec::new(), Vec::new(), RowChanges::default());
        for file in live_files(newest)? {
            match loss(&file, &reader, &predicate, &mut rows).await? {
                Loss::Nothing => continue,
                Loss::Everything => {}
                Loss::Some { left } => {
                    let written = self.without(&file, &reader, &predicate, workspace).await?;
                    check_rows(&written, left)?;
                    files.extend(written);
                }
            }
            replaced.push(file);
        }
        rows.copied = files.iter().map(DataFile::rows).sum();
        let base = newest.version().ok_or(TableError::NotCreated)?;
        let change = Change {
            operation: "DELETE",
            parameters: vec![("predicate", delete.predicate.clone())],
            reads: Reads::Rows(base),
            ..Change::append(Vec::new())
        };
        Ok(Rewrite::replacing(change, files, &replaced, rows))
    }

    /// Write the rows of a file that stay.
    async fn without(
        &self,
        file: &LiveFile,
        reader: &FileReader,
        predicate: &Predicate,
        workspace: &Workspace,
    ) -> Result<Vec<DataFile>, TableError> {
        let mut sink = Sink::open(workspace, reader)?;
        let mut batches = reader.read(file).await?;
        while let Some(batch) = batches.try_next().await? {
            let stays = not(&predicate.holds(&batch)?)?;
            sink.write(filter_record_batch(&batch, &stays)?).await?;
        }
        sink.finish(self.folder()).await
    }
}

/// What the file loses, from the columns that the condition reads; rows that go are counted.
async fn loss(
    file: &LiveFile,
    reader: &FileReader,
    predicate: &Predicate,
    rows: &mut RowChanges,
) -> Result<Loss, TableError> {
    if is_spared(file, reader, predicate)? {
        return Ok(Loss::Nothing);
    }
    let (mut all, mut lost) = (0, 0);
    let mut batches = reader.read_columns(file, Some(&predicate.columns)).await?;
    while let Some(batch) = batches.try_next().await? {
        let holds: BooleanArray = predicate.holds(&batch)?;
        all += holds.len() as u64;
        lost += holds.true_count() as u64;
    }
    rows.deleted += lost;
    Ok(match lost {
        0 => Loss::Nothing,
        lost if lost == all => Loss::Everything,
        lost => Loss::Some { left: all - lost },
    })
}

/// Whether the log alone says that the condition holds for none of the file's rows.
fn is_spared(file: &LiveFile, reader: &FileReader, predicate: &Predicate) -> Result<bool, TableError> {
    let name = |column: &usize| reader.schema.field(*column).name();
    let of_partition = |column: &usize| reader.partition_by.contains(name(column));
    if !predicate.columns.is_empty() && predicate.columns.iter().all(of_partition) {
        return Ok(predicate.holds(&reader.one_row(file)?)?.true_count() == 0);
    }
    Ok(predicate.pruning.as_ref().is_some_and(|condition| !may_hold(condition, file, &reader.schema)))
}
