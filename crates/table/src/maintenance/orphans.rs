//! Orphans: data files that no entry of the log names, left by uploads that came to nothing.
//!
//! Which of them may go is for those to say who know the uploads; an old one may also be a file that was removed from
//! the table so long ago that the log has forgotten it.
//!
//! Invariant: a file that the log names is no orphan, even if it was committed while the list was made.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use object_store::ObjectMeta;
use sluice_storage::Lease;
use uuid::Uuid;

use super::{MaintenanceError, data_files::is_data_file, references::References};
use crate::Table;

/// The most orphans that one page has.
const MAX_PAGE: usize = 10_000;
/// How many are removed between two looks at the lease and the log.
const BATCH: usize = 200;

/// Which orphans to list.
#[derive(Debug, Clone)]
pub struct OrphanSearch {
    /// Files younger than this may belong to an upload under way.
    pub grace: TimeDelta,
    /// The time.
    pub now: DateTime<Utc>,
    /// The path after which to begin, as the page before gave it.
    pub after: Option<String>,
    /// How many to list; 10000 at the most.
    pub limit: usize,
}

/// A data file that no entry of the log names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its path, relative to the table.
    pub path: String,
    /// The upload that wrote it, where its name tells.
    pub upload_id: Option<Uuid>,
    /// Its size, in bytes.
    pub size_bytes: u64,
    /// When it was written.
    pub modified_at: DateTime<Utc>,
}

/// Some orphans in the order of their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrphanPage {
    /// The orphans.
    pub orphans: Vec<Orphan>,
    /// Where the next page begins; none if this is the last.
    pub next: Option<String>,
}

impl Table {
    /// List the data files that no entry of the log names and that are older than the grace.
    ///
    /// # Errors
    /// A log that cannot be read, or the store's.
    pub async fn list_orphans(&self, search: &OrphanSearch) -> Result<OrphanPage, MaintenanceError> {
        let limit = search.limit.clamp(1, MAX_PAGE);
        let mut references = References::ever(self.folder()).await?;
        let found = self.find_unnamed(search, &references, limit + 1).await?;
        // Uploads that were under way when the log was read may have committed since.
        references.catch_up().await?;
        let has_more = found.len() > limit;
        let last = found.keys().nth(limit - 1).filter(|_| has_more).cloned();
        let orphans = found.into_values().take(limit).filter(|file| !references.contains(&file.location));
        Ok(OrphanPage { orphans: orphans.map(Orphan::of).collect(), next: last })
    }

    /// The first `limit` old files, by path, that the log does not name; stores do not list in that order.
    async fn find_unnamed(
        &self,
        search: &OrphanSearch,
        references: &References,
        limit: usize,
    ) -> Result<BTreeMap<String, ObjectMeta>, MaintenanceError> {
        let mut found = BTreeMap::new();
        let before = search.now - search.grace;
        let mut listed = self.folder().store.list(None);
        while let Some(file) = listed.try_next().await? {
            let path = file.location.as_ref();
            let in_page = search.after.as_deref().is_none_or(|after| path > after);
            let is_old = file.last_modified < before;
            if in_page && is_old && is_data_file(&file.location) && !references.contains(&file.location) {
                found.insert(path.to_owned(), file);
                if found.len() > limit {
                    found.pop_last();
                }
            }
        }
        Ok(found)
    }

    /// Remove orphans that are still as they were listed and still not named; gives those that are gone.
    ///
    /// # Errors
    /// The lease's, or the store's; none of the files that are gone then was needed.
    pub async fn delete_orphans(&self, lease: &Lease, orphans: &[Orphan]) -> Result<Vec<Orphan>, MaintenanceError> {
        let mut gone = Vec::new();
        let mut references = References::ever(self.folder()).await?;
        for batch in orphans.chunks(BATCH) {
            let files = batch.iter().filter_map(Orphan::as_listed).filter(|file| is_data_file(&file.location));
            let removed = self.remove_unreferenced(Some(lease), &mut references, files.collect()).await?;
            gone.extend(removed.into_iter().map(Orphan::of));
        }
        Ok(gone)
    }
}

impl Orphan {
    fn of(file: ObjectMeta) -> Self {
        Self {
            upload_id: file.location.filename().and_then(upload_id),
            path: file.location.into(),
            size_bytes: file.size,
            modified_at: file.last_modified,
        }
    }

    fn as_listed(&self) -> Option<ObjectMeta> {
        let location = object_store::path::Path::parse(&self.path).ok()?;
        let (last_modified, size) = (self.modified_at, self.size_bytes);
        Some(ObjectMeta { location, last_modified, size, e_tag: None, version: None })
    }
}

/// The upload in a name such as `part-00000-<uuid>.zstd.parquet`.
fn upload_id(name: &str) -> Option<Uuid> {
    let (number, rest) = name.strip_prefix("part-")?.split_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let (id, _) = rest.split_once('.')?;
    is_number.then(|| Uuid::try_parse(id).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_tells_its_upload() {
        let id = Uuid::new_v4();
        assert_eq!(upload_id(&format!("part-00000-{id}.zstd.parquet")), Some(id));
        assert_eq!(upload_id(&format!("part-123456-{id}.zstd.parquet")), Some(id));
        for name in [
            "a.parquet".to_owned(),
            format!("part-x-{id}.parquet"),
            format!("part--{id}.parquet"),
            "part-0-1.parquet".into(),
        ] {
            assert_eq!(upload_id(&name), None, "{name}");
        }
    }
}
