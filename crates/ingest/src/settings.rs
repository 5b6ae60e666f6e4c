//! What an operator can set about ingestion.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluice_domain::TableName;
use sluice_table::WriterSettings;

use crate::{DecodeLimits, Isolation, ResumableSettings, RowsSettings, UpkeepSettings, WorkerSettings};

/// Limits and folders of ingestion.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSettings {
    /// The longest body that is taken, in bytes.
    pub max_body_bytes: u64,
    /// How long the next piece of a body may take, in seconds.
    pub idle_seconds: u64,
    /// How fast a body must come on the whole, in bytes a second: a few that drip would hold every place.
    pub min_bytes_per_second: u64,
    /// For how long a body may be slower than that at its beginning, in seconds.
    pub slow_start_seconds: u64,
    /// How many uploads are taken at once; more are answered with 429.
    pub concurrent_uploads: usize,
    /// How many uploads are decoded at once; the others wait with their bytes in the raw zone.
    pub concurrent_decodes: usize,
    /// How much space must be left on the disks of the zones and of scratch files for an upload to be taken, in bytes.
    pub min_free_bytes: u64,
    /// How long to wait before an upload that came to a halt is taken up again, in seconds; each try doubles it.
    pub retry_seconds: u64,
    /// A folder for scratch files, which have no name and vanish with the process. Default: `scratch` in the data
    /// folder.
    pub scratch_dir: Option<PathBuf>,
    /// Uploads whose bytes do not come by one request.
    pub resumable: ResumableSettings,
    /// How tables are looked after.
    pub upkeep: UpkeepSettings,
    /// Small writes.
    pub rows: RowsSettings,
    /// What is accepted inside a file.
    pub decode: DecodeLimits,
    /// Where files are decoded: `process`, binary formats in processes of their own, or `none`.
    pub isolation: Isolation,
    /// How the processes that decode are run.
    pub worker: WorkerSettings,
    /// How much the files of a table may hold that are written anew for a wider type of a column, in bytes.
    pub max_rewrite_bytes: u64,
    /// How data files are written.
    pub writer: WriterSettings,
    /// Where tables without a log lie.
    pub plain_tables: PlainTableSettings,
}

/// Where plain tables lie: Parquet files without a log, in folders that other programs know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlainTableSettings {
    /// The folder below the raw zone in which each of them has a folder of its name.
    pub prefix: String,
}

impl Default for PlainTableSettings {
    fn default() -> Self {
        Self { prefix: "data-lake".to_owned() }
    }
}

/// The folders of the raw zone that have another use.
const OTHER_FOLDERS: [&str; 2] = ["uploads", "tables"];

impl PlainTableSettings {
    /// Whether plain tables can lie there.
    pub(crate) fn is_usable(&self) -> bool {
        let plain = |part: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
            !part.is_empty() && !part.starts_with(['.', '_']) && part.bytes().all(known)
        };
        let first = self.prefix.split('/').next().unwrap_or_default();
        self.prefix.split('/').all(plain) && !OTHER_FOLDERS.contains(&first)
    }

    /// The folder of a table.
    pub(crate) fn folder(&self, table: &TableName) -> String {
        format!("{}/{table}", self.prefix)
    }
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            max_body_bytes: 5 << 30,
            idle_seconds: 30,
            min_bytes_per_second: 1024,
            slow_start_seconds: 60,
            concurrent_uploads: 64,
            concurrent_decodes: 2,
            min_free_bytes: 1 << 30,
            retry_seconds: 30,
            scratch_dir: None,
            resumable: ResumableSettings::default(),
            upkeep: UpkeepSettings::default(),
            rows: RowsSettings::default(),
            decode: DecodeLimits::default(),
            isolation: Isolation::default(),
            worker: WorkerSettings::default(),
            max_rewrite_bytes: 4 << 30,
            writer: WriterSettings::default(),
            plain_tables: PlainTableSettings::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("data-lake", true)]
    #[case("raw-data/v=1", true)]
    #[case("", false)]
    #[case("uploads", false)]
    #[case("tables/x", false)]
    #[case("../up", false)]
    #[case("/abs", false)]
    #[case("a//b", false)]
    fn plain_tables_lie_in_a_folder_of_their_own(#[case] prefix: &str, #[case] usable: bool) {
        assert_eq!(PlainTableSettings { prefix: prefix.into() }.is_usable(), usable);
    }
}
