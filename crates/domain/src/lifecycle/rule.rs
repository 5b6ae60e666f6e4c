//! Rules: what becomes of data of a certain age.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Age, LakeZone, LifecycleScope, StorageClass, scope::check_text};
use crate::{ColumnName, ErrorKind, Failure};

/// The longest name of a rule, in characters.
const MAX_NAME_CHARS: usize = 128;
/// The longest description or reason, in bytes.
const MAX_TEXT_BYTES: usize = 2048;
/// Neither old data files nor the log's versions are let go earlier than after so many seconds, 168 hours.
const VERSION_FLOOR_SECONDS: u64 = 168 * 3600;
/// How many files a partition must have at least for a compaction to be worth it.
const FILES_TO_COMPACT: std::ops::RangeInclusive<u32> = 2..=100_000;
/// How large files are that a compaction makes, in bytes.
const COMPACTED_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=16 << 30;

/// A name of a rule that is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "rule name {0:?} is not acceptable: use 1 to {MAX_NAME_CHARS} letters, digits, underscores, hyphens or dots, and a \
     letter, digit or underscore first"
)]
pub struct LifecycleNameError(String);

/// The name of a rule in its lake. Case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LifecycleName(String);

impl LifecycleName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LifecycleName {
    type Err = LifecycleNameError;
    fn from_str(text: &str) -> Result<Self, LifecycleNameError> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if first && plain && text.len() <= MAX_NAME_CHARS {
            return Ok(Self(text.to_owned()));
        }
        Err(LifecycleNameError(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for LifecycleName {
    type Error = LifecycleNameError;
    fn try_from(text: String) -> Result<Self, LifecycleNameError> {
        text.parse()
    }
}

impl From<LifecycleName> for String {
    fn from(name: LifecycleName) -> Self {
        name.0
    }
}

impl fmt::Display for LifecycleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A field of a rule that is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not acceptable: {reason}")]
pub struct LifecycleRuleError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl LifecycleRuleError {
    /// The error of this field.
    pub fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }
}

impl Failure for LifecycleRuleError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn code(&self) -> &'static str {
        "bad-rule"
    }
}

/// A class that objects get at an age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransitionStep {
    /// From which age on.
    pub after: Age,
    /// The class.
    pub storage_class: StorageClass,
}

/// Classes that objects get as they grow older.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// One after the other, each later and colder.
    pub steps: Vec<TransitionStep>,
}

/// An age after which something goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpiryAge {
    /// From which age on.
    pub after: Age,
}

/// Rows that go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowExpiry {
    /// The date or timestamp that tells how old a row is; without it, a row is as old as its data file.
    #[serde(default)]
    pub column: Option<ColumnName>,
    /// From which age on they go.
    pub after: Age,
}

/// What the law demands to keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetainedData {
    /// Nothing younger than this goes.
    #[serde(rename = "for")]
    pub period: Age,
}

/// For how long old versions of a table can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRetention {
    /// Data files that no newer version needs go after this time.
    #[serde(default)]
    pub vacuum_after: Option<Age>,
    /// Versions of the log go after this time.
    #[serde(default)]
    pub log_after: Option<Age>,
}

/// When small files are put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compaction {
    /// What is smaller is put together, in bytes.
    pub below_bytes: u64,
    /// How large files become, in bytes.
    pub target_bytes: u64,
    /// From how many small files on.
    #[serde(default = "min_files")]
    pub min_files: u32,
}

fn min_files() -> u32 {
    10
}

/// What is to stay as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldData {
    /// Why.
    pub reason: String,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleAction {
    /// The bytes of uploads get other storage classes.
    Transition(Transition),
    /// The bytes of uploads go.
    ExpireObjects(ExpiryAge),
    /// Rows of tables go.
    ExpireRows(RowExpiry),
    /// Nothing younger goes, whatever the other rules say.
    Retain(RetainedData),
    /// Old versions of tables go.
    Versions(VersionRetention),
    /// The files of deleted tables go.
    PurgeDeleted(ExpiryAge),
    /// Small files are put together.
    Compact(Compaction),
    /// Nothing is done at all.
    LegalHold(HeldData),
}

impl LifecycleAction {
    /// The kind's name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Transition(_) => "transition",
            Self::ExpireObjects(_) => "expire_objects",
            Self::ExpireRows(_) => "expire_rows",
            Self::Retain(_) => "retain",
            Self::Versions(_) => "versions",
            Self::PurgeDeleted(_) => "purge_deleted",
            Self::Compact(_) => "compact",
            Self::LegalHold(_) => "legal_hold",
        }
    }

    fn check(&self) -> Result<(), LifecycleRuleError> {
        match self {
            Self::Transition(transition) => transition.check(),
            Self::Versions(versions) => versions.check(),
            Self::Compact(compaction) => compaction.check(),
            Self::LegalHold(hold) => check_text("action.legal_hold.reason", &hold.reason, MAX_TEXT_BYTES),
            Self::ExpireObjects(_) | Self::ExpireRows(_) | Self::Retain(_) | Self::PurgeDeleted(_) => Ok(()),
        }
    }
}

impl Transition {
    fn check(&self) -> Result<(), LifecycleRuleError> {
        let refused = |reason: &str| Err(LifecycleRuleError::new("action.transition.steps", reason));
        if self.steps.is_empty() {
            return refused("there is none");
        }
        if self.steps.iter().any(|step| step.storage_class == StorageClass::Standard) {
            return refused("STANDARD is what objects have to begin with");
        }
        if self.steps.iter().any(|step| step.after == Age::Infinite) {
            return refused("nothing is ever infinitely old");
        }
        let grows = |pair: &[TransitionStep]| {
            pair[0].after.seconds() < pair[1].after.seconds() && pair[0].storage_class < pair[1].storage_class
        };
        if self.steps.windows(2).all(grows) {
            Ok(())
        } else {
            refused("each must be later and colder than the one before")
        }
    }

    /// The class of an object of this age, which is at least the one it was stored with.
    pub fn class_at(&self, age_seconds: u64) -> StorageClass {
        let due = self.steps.iter().filter(|step| step.after.seconds() <= age_seconds);
        due.map(|step| step.storage_class).max().unwrap_or_default()
    }
}

impl VersionRetention {
    fn check(&self) -> Result<(), LifecycleRuleError> {
        if self.vacuum_after.is_none() && self.log_after.is_none() {
            return Err(LifecycleRuleError::new("action.versions", "it says neither vacuum_after nor log_after"));
        }
        let fields =
            [("action.versions.vacuum_after", self.vacuum_after), ("action.versions.log_after", self.log_after)];
        match fields.iter().find(|(_, age)| age.is_some_and(|age| age.seconds() < VERSION_FLOOR_SECONDS)) {
            Some((field, _)) => Err(LifecycleRuleError::new(field, "it is less than 168h, which readers may need")),
            None => Ok(()),
        }
    }
}

impl Compaction {
    fn check(&self) -> Result<(), LifecycleRuleError> {
        if !COMPACTED_BYTES.contains(&self.target_bytes) {
            let (least, most) = (COMPACTED_BYTES.start(), COMPACTED_BYTES.end());
            return Err(LifecycleRuleError::new(
                "action.compact.target_bytes",
                format!("it is not between {least} and {most}"),
            ));
        }
        if self.below_bytes == 0 || self.below_bytes > self.target_bytes {
            return Err(LifecycleRuleError::new("action.compact.below_bytes", "it is not between 1 and target_bytes"));
        }
        if !FILES_TO_COMPACT.contains(&self.min_files) {
            let (least, most) = (FILES_TO_COMPACT.start(), FILES_TO_COMPACT.end());
            return Err(LifecycleRuleError::new(
                "action.compact.min_files",
                format!("it is not between {least} and {most}"),
            ));
        }
        Ok(())
    }
}

/// Who does what a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunBy {
    /// This server.
    #[default]
    Server,
    /// S3 itself, by the lifecycle configuration of the bucket.
    Bucket,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleRule {
    /// What it is about.
    pub scope: LifecycleScope,
    /// What it does.
    pub action: LifecycleAction,
    /// Who does it.
    #[serde(default)]
    pub run_by: RunBy,
    /// Whether it is in force.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
}

fn enabled() -> bool {
    true
}

impl LifecycleRule {
    /// Whether it can be a rule at all.
    ///
    /// # Errors
    /// [`LifecycleRuleError`], naming the field.
    pub fn check(&self) -> Result<(), LifecycleRuleError> {
        self.scope.check()?;
        self.action.check()?;
        if let Some(description) = &self.description {
            check_text("description", description, MAX_TEXT_BYTES)?;
        }
        if self.run_by == RunBy::Bucket { self.check_for_bucket() } else { Ok(()) }
    }

    /// What S3 can run: it knows prefixes and whole days, and nothing of tables.
    fn check_for_bucket(&self) -> Result<(), LifecycleRuleError> {
        let refused = |reason: &str| Err(LifecycleRuleError::new("run_by", reason));
        if !matches!(self.scope, LifecycleScope::Zone(LakeZone::Raw) | LifecycleScope::Prefix(_)) {
            return refused("a bucket runs rules of the scope zone raw or of a prefix only");
        }
        if let LifecycleScope::Prefix(prefix) = &self.scope
            && (prefix.trim() != prefix || prefix.contains(|c: char| c.is_whitespace() && c != ' '))
        {
            return Err(LifecycleRuleError::new(
                "scope.prefix",
                "its blanks would not come back from the bucket as they are",
            ));
        }
        let ages: Vec<Age> = match &self.action {
            LifecycleAction::Transition(transition) => transition.steps.iter().map(|step| step.after).collect(),
            LifecycleAction::ExpireObjects(window) => vec![window.after],
            _ => return refused("a bucket runs transition and expire_objects only"),
        };
        if ages.iter().all(|age| age.days().is_some()) { Ok(()) } else { refused("a bucket counts whole days") }
    }
}

/// A rule as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLifecycleRule {
    /// Its name.
    pub name: LifecycleName,
    /// What it says.
    pub rule: LifecycleRule,
    /// Who said so last.
    pub principal: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests;
