//! What a comparison finds, and what became of it.

use serde::Serialize;
use sluice_domain::TableRef;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// A data file is not there.
    FileMissing,
    /// A data file is not what was written.
    FileDamaged,
    /// A log entry is not there.
    LogEntryMissing,
    /// A log entry is not what was committed, or is none at all.
    LogEntryDamaged,
    /// A checkpoint, or the pointer to it, says something else than the log.
    CheckpointDamaged,
    /// The table cannot be read for another reason.
    TableUnreadable,
    /// The original bytes of an upload are not there.
    RawMissing,
    /// The original bytes of an upload are not those that came in.
    RawDamaged,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The table.
    pub table: TableRef,
    /// What is wrong.
    pub kind: Damage,
    /// The version, where a log entry is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The object's path below the table's folder, or below the raw zone for original bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What was found, in words.
    pub detail: String,
}

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// What was wrong.
    #[serde(flatten)]
    pub finding: Finding,
    /// Whether it is as it should be again.
    pub repaired: bool,
    /// From what it was restored, or why it cannot be.
    pub note: String,
}

impl Finding {
    pub(super) fn of_object(table: &TableRef, kind: Damage, path: impl ToString, detail: impl Into<String>) -> Self {
        Self { table: table.clone(), kind, version: None, path: Some(path.to_string()), detail: detail.into() }
    }

    pub(super) fn of_entry(table: &TableRef, kind: Damage, version: u64, detail: impl Into<String>) -> Self {
        Self { table: table.clone(), kind, version: Some(version), path: None, detail: detail.into() }
    }

    pub(super) fn of_table(table: &TableRef, detail: impl Into<String>) -> Self {
        let kind = Damage::TableUnreadable;
        Self { table: table.clone(), kind, version: None, path: None, detail: detail.into() }
    }
}
