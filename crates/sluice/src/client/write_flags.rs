//! What becomes of the rows that are there, on the command line.

/// How an upload changes its table.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct WriteFlags {
    /// append (default), overwrite, overwrite_partitions, merge or error_if_exists
    #[arg(long)]
    mode: Option<String>,
    /// Merge: columns of the key, separated by commas
    #[arg(long)]
    merge_keys: Option<String>,
    /// Merge: update (default) or ignore rows whose key the table has
    #[arg(long)]
    merge_matched: Option<String>,
    /// Merge: insert (default) or ignore rows whose key the table lacks
    #[arg(long)]
    merge_not_matched: Option<String>,
    /// Merge: the column that says of a row that it deletes its match
    #[arg(long)]
    delete_when: Option<String>,
    /// The column with the greatest value in the newest row of a key
    #[arg(long)]
    order_by: Option<String>,
    /// Columns by which a row is there already, separated by commas; * for all
    #[arg(long)]
    dedup_keys: Option<String>,
    /// within the upload or across the table; by default both
    #[arg(long)]
    dedup: Option<String>,
    /// Which of several rows of a key counts: first, last or none
    #[arg(long)]
    dedup_keep: Option<String>,
}

impl WriteFlags {
    /// Rows take the place of those with the same keys.
    pub(crate) fn merge_on(keys: &str) -> Self {
        Self { mode: Some("merge".into()), merge_keys: Some(keys.into()), ..Self::default() }
    }

    /// The parameters that they stand for.
    pub(super) fn parameters(&self) -> [(&'static str, Option<String>); 9] {
        [
            ("mode", self.mode.clone()),
            ("merge_keys", self.merge_keys.clone()),
            ("merge_matched", self.merge_matched.clone()),
            ("merge_not_matched", self.merge_not_matched.clone()),
            ("delete_when", self.delete_when.clone()),
            ("order_by", self.order_by.clone()),
            ("dedup_keys", self.dedup_keys.clone()),
            ("dedup", self.dedup.clone()),
            ("dedup_keep", self.dedup_keep.clone()),
        ]
    }
}
