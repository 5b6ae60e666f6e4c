//! Files of a folder or a prefix, each an upload of its own, and the ledger of those that were seen.
//!
//! Invariant: what is listed and what is known of it pass through in pieces; only what one run takes is kept.
//! Invariant: a file that is not the one that was listed, before or after it was read, is not taken.

use std::collections::BinaryHeap;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt as _;
use glob::{MatchOptions, Pattern};
use sluice_catalog::Catalog;
use sluice_domain::{
    ChangedFiles, ErrorKind, FolderSource, Pull, PullEntry, RunCounts, RunId, Source, SourceSettingsError,
    StoredFailure,
};

use super::{
    FileHint, OptionsOf, SourceError,
    files::{Files, Listed},
    pull::{Content, Found, Place, Refusal},
};

/// The code of the failure of a file that is not what was taken.
pub(super) const FILE_CHANGED: &str = "file-changed";
/// How patterns and paths go together.
const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// One run over the files of a place.
pub(super) struct FolderPlace {
    pub(super) folder: FolderSource,
    pub(super) pattern: Pattern,
    pub(super) files: Files,
    pub(super) source: Source,
    pub(super) run: RunId,
    pub(super) catalog: Catalog,
    pub(super) options_of: OptionsOf,
}

/// What is to be done about a file.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Take,
    /// Nothing: it was taken, or failed.
    Leave,
    /// Nothing: another content of it was taken.
    Changed,
}

/// The pattern of a source.
pub(super) fn pattern(folder: &FolderSource) -> Result<Pattern, SourceSettingsError> {
    Pattern::new(&folder.pattern).map_err(|error| SourceSettingsError::new("folder.pattern", error.to_string()))
}

#[async_trait]
impl Place for FolderPlace {
    async fn look(&mut self) -> Result<Found, SourceError> {
        let settled_at = Utc::now() - TimeDelta::seconds(self.folder.settle_seconds.into());
        let mut counts = RunCounts::default();
        // The newest of those that are wanted is on top, to leave where there are too many.
        let mut wanted: BinaryHeap<(DateTime<Utc>, String, String)> = BinaryHeap::new();
        let mut listed = self.files.list();
        while let Some(mut files) = listed.try_next().await? {
            files.retain(|file| self.pattern.matches_with(&file.path, MATCHING));
            counts.files_found += files.len() as u64;
            for (file, verdict) in self.judge(files).await? {
                match verdict {
                    Verdict::Leave => {}
                    Verdict::Changed => {
                        counts.files_changed += 1;
                        self.report_changed(&file).await?;
                    }
                    Verdict::Take if self.files.can_be_half_written() && file.modified > settled_at => {
                        counts.files_waiting += 1;
                    }
                    Verdict::Take => wanted.push((file.modified, file.path, file.fingerprint)),
                }
                if wanted.len() > self.folder.max_files as usize {
                    wanted.pop();
                    counts.files_waiting += 1;
                }
            }
        }
        let pulls = wanted.into_sorted_vec().into_iter();
        let pulls = pulls.map(|(_, position, fingerprint)| self.pull(position, fingerprint)).collect();
        Ok(Found { counts, pulls })
    }

    async fn open(&self, pull: &Pull) -> Result<Content, Refusal> {
        let name = pull.position.rsplit('/').next().unwrap_or_default();
        let hint = FileHint { file_name: Some(name), media_type: None };
        let options = (self.options_of)(&self.source.definition.options, &hint).map_err(Refusal::ForGood)?;
        let body = self.files.open(&pull.position, &pull.fingerprint).await.map_err(Refusal::ForNow)?;
        Ok(Content { file_name: Some(name.to_owned()), options, body })
    }
}

impl FolderPlace {
    fn pull(&self, position: String, fingerprint: String) -> Pull {
        Pull { run: self.run, position, fingerprint, pages: 0, watermark: None }
    }

    async fn judge(&self, files: Vec<Listed>) -> Result<Vec<(Listed, Verdict)>, SourceError> {
        let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
        let known = self.catalog.pulls().seen(self.source.id, &paths).await?;
        let of = |file: &Listed| {
            let known: Vec<&PullEntry> = known.iter().filter(|entry| entry.pull.position == file.path).collect();
            verdict(&self.folder, &known, &file.fingerprint)
        };
        Ok(files.into_iter().map(|file| (of(&file), file)).map(|(verdict, file)| (file, verdict)).collect())
    }

    async fn report_changed(&self, file: &Listed) -> Result<(), SourceError> {
        let detail = format!("{} is not what it was when it was taken, and is left alone", file.path);
        let failure = StoredFailure { kind: ErrorKind::Conflict, code: FILE_CHANGED.to_owned(), detail };
        let pull = self.pull(file.path.clone(), file.fingerprint.clone());
        Ok(self.catalog.pulls().refuse(&pull, &failure).await?)
    }
}

/// What is to be done about a content of a path, of which these are known.
fn verdict(folder: &FolderSource, known: &[&PullEntry], fingerprint: &str) -> Verdict {
    let changed = match folder.changed {
        ChangedFiles::Take => Verdict::Take,
        ChangedFiles::Report => Verdict::Changed,
    };
    match known.iter().find(|entry| entry.pull.fingerprint == fingerprint).map(|entry| entry.failure()) {
        Some(None) => Verdict::Leave,
        Some(Some(failure)) if failure.code == FILE_CHANGED => changed,
        Some(Some(_)) if folder.retry_failed => Verdict::Take,
        Some(Some(_)) => Verdict::Leave,
        None if known.iter().any(|entry| entry.failure().is_none()) => changed,
        // Whatever was there before, nothing of it is in the table.
        None => Verdict::Take,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use sluice_domain::{PullState, UploadId, UploadState, UploadedPull};
    use uuid::Uuid;

    use super::*;

    fn folder(changed: ChangedFiles, retry_failed: bool) -> FolderSource {
        FolderSource { changed, retry_failed, ..serde_json::from_str(r#"{"location": "/srv"}"#).unwrap() }
    }

    fn known(fingerprint: &str, became: &str) -> PullEntry {
        let failure = |code: &str| StoredFailure { kind: ErrorKind::Invalid, code: code.into(), detail: String::new() };
        let state = match became {
            "taken" => PullState::Uploaded(Box::new(UploadedPull {
                upload: UploadId(Uuid::now_v7()),
                state: UploadState::Committed,
                rows: None,
                failure: None,
            })),
            code => PullState::Refused(failure(code)),
        };
        let pull = Pull {
            run: RunId(Uuid::now_v7()),
            position: "a.csv".into(),
            fingerprint: fingerprint.into(),
            pages: 0,
            watermark: None,
        };
        PullEntry { pull, state, entered_at: Utc::now() }
    }

    #[rstest]
    #[case(&[], (Verdict::Take, Verdict::Take))]
    #[case(&[("1", "taken")], (Verdict::Leave, Verdict::Leave))]
    #[case(&[("1", "malformed-file")], (Verdict::Leave, Verdict::Take))]
    #[case(&[("0", "taken")], (Verdict::Changed, Verdict::Take))]
    #[case(&[("0", "malformed-file")], (Verdict::Take, Verdict::Take))]
    #[case(&[("0", "taken"), ("1", FILE_CHANGED)], (Verdict::Changed, Verdict::Take))]
    #[case(&[("0", "taken"), ("1", "malformed-file")], (Verdict::Leave, Verdict::Take))]
    fn a_content_is_taken_once(#[case] entries: &[(&str, &str)], #[case] expected: (Verdict, Verdict)) {
        let entries: Vec<PullEntry> = entries.iter().map(|(fingerprint, became)| known(fingerprint, became)).collect();
        let known: Vec<&PullEntry> = entries.iter().collect();
        let (careful, eager) = (folder(ChangedFiles::Report, false), folder(ChangedFiles::Take, true));
        assert_eq!((verdict(&careful, &known, "1"), verdict(&eager, &known, "1")), expected);
    }

    #[rstest]
    #[case("**", "a.csv", true)]
    #[case("**", "a/b/c.csv", true)]
    #[case("*.csv", "a.csv", true)]
    #[case("*.csv", "a/b.csv", false)]
    #[case("**/*.csv", "b.csv", true)]
    #[case("**/*.csv", "a/x/b.csv", true)]
    #[case("2024-*/orders_?.parquet", "2024-01/orders_7.parquet", true)]
    #[case("2024-*/orders_?.parquet", "2024-01/x/orders_7.parquet", false)]
    fn a_pattern_is_about_the_whole_path(#[case] pattern: &str, #[case] path: &str, #[case] matches: bool) {
        let folder = FolderSource { pattern: pattern.into(), ..folder(ChangedFiles::Take, false) };
        assert_eq!(super::pattern(&folder).unwrap().matches_with(path, MATCHING), matches);
    }
}
