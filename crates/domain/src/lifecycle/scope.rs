//! What a rule is about.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::LifecycleRuleError;
use crate::{NamespaceName, TableRef};

/// The longest name of a tag or classification, in bytes.
const MAX_LABEL_BYTES: usize = 128;
/// The longest prefix, in bytes: keys of S3 have no more.
const MAX_PREFIX_BYTES: usize = 1024;

/// A part of the lake that has a retention of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LakeZone {
    /// The uploads as they came.
    Raw,
    /// The tables made from them.
    Standardized,
    /// The tables made from other tables.
    Curated,
}

impl LakeZone {
    /// Every zone, in the way that data takes.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Standardized, Self::Curated];

    /// The zone's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Standardized => "standardized",
            Self::Curated => "curated",
        }
    }
}

impl FromStr for LakeZone {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|zone| zone.as_str() == text).ok_or_else(|| format!("{text:?} is not a zone"))
    }
}

/// What a rule is about, from the widest to the narrowest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifecycleScope {
    /// Everything.
    Lake,
    /// A zone.
    Zone(LakeZone),
    /// The tables of a namespace, and the uploads to them.
    Namespace(NamespaceName),
    /// The tables with this classification, their own, a column's, or one that a column inherits; and the uploads to them.
    Classification(String),
    /// The tables with this tag, and the uploads to them.
    Tag(String),
    /// What lies below this prefix of the keys of the store.
    Prefix(String),
    /// One table, and the uploads to it.
    Table(TableRef),
}

impl LifecycleScope {
    /// How narrow it is: a narrower one goes before a wider one. Of prefixes the longer one is narrower.
    pub fn narrowness(&self) -> (u8, usize) {
        match self {
            Self::Lake => (0, 0),
            Self::Zone(_) => (1, 0),
            Self::Namespace(_) => (2, 0),
            Self::Classification(_) => (3, 0),
            Self::Tag(_) => (4, 0),
            Self::Prefix(prefix) => (5, prefix.len()),
            Self::Table(_) => (6, 0),
        }
    }

    /// Whether it can be a scope at all.
    ///
    /// # Errors
    /// [`LifecycleRuleError`], naming the field.
    pub fn check(&self) -> Result<(), LifecycleRuleError> {
        match self {
            Self::Tag(label) => check_text("scope.tag", label, MAX_LABEL_BYTES),
            Self::Classification(label) => check_text("scope.classification", label, MAX_LABEL_BYTES),
            Self::Prefix(prefix) => check_text("scope.prefix", prefix, MAX_PREFIX_BYTES),
            Self::Lake | Self::Zone(_) | Self::Namespace(_) | Self::Table(_) => Ok(()),
        }
    }
}

impl fmt::Display for LifecycleScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lake => f.write_str("lake"),
            Self::Zone(zone) => write!(f, "zone {}", zone.as_str()),
            Self::Namespace(namespace) => write!(f, "namespace {namespace}"),
            Self::Classification(label) => write!(f, "classification {label}"),
            Self::Tag(label) => write!(f, "tag {label}"),
            Self::Prefix(prefix) => write!(f, "prefix {prefix}"),
            Self::Table(table) => write!(f, "table {table}"),
        }
    }
}

pub(super) fn check_text(field: &'static str, text: &str, max_bytes: usize) -> Result<(), LifecycleRuleError> {
    if text.is_empty() || text.len() > max_bytes || text.chars().any(char::is_control) {
        return Err(LifecycleRuleError::new(
            field,
            format!("it does not have 1 to {max_bytes} bytes without control characters"),
        ));
    }
    Ok(())
}
