//! Rows that are set aside with a reason: how many an upload may have, and where they go.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Landed, QualitySummary, RowCounts, SchemaEffect, TableName, TableRef, Terms, UploadId};

/// What the name of a table's quarantine ends with.
const SUFFIX: &str = "__quarantine";

/// A part of a whole, exact to a millionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fraction(u32);

impl Fraction {
    const WHOLE: u32 = 1_000_000;

    /// The part; none of numbers that are not between 0 and 1.
    pub fn new(number: f64) -> Option<Self> {
        (0.0..=1.0).contains(&number).then(|| Self((number * f64::from(Self::WHOLE)).round() as u32))
    }

    /// The part in hundredths.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / (f64::from(Self::WHOLE) / 100.0)
    }

    /// Whether so many of so many are more than this part.
    pub fn is_exceeded_by(self, part: u64, whole: u64) -> bool {
        u128::from(part) * u128::from(Self::WHOLE) > u128::from(whole) * u128::from(self.0)
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / f64::from(Self::WHOLE))
    }
}

impl FromStr for Fraction {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let part = text.parse().ok().and_then(Self::new);
        part.ok_or_else(|| format!("{text:?} is not a number from 0 to 1"))
    }
}

/// How many rows of an upload may be bad before it is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BadRowLimits {
    /// So many; any number where it is not said, as long as one row is good.
    pub max_rows: Option<u64>,
    /// Such a part of the rows.
    pub max_fraction: Option<Fraction>,
}

/// What an upload's files hold, and what lies beside them, before its commit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Prepared {
    /// What becomes of its rows.
    pub rows: RowCounts,
    /// The rows that go to quarantine, as an object of the raw zone.
    pub quarantine: Option<Landed>,
    /// What it means for the table's schema, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<SchemaEffect>,
    /// What the table asked of it, where that was more than the types of its columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// What came of the table's suite, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<QualitySummary>,
}

/// Quarantined rows that are sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The upload that they came with.
    pub source: UploadId,
    /// Their numbers in it.
    pub rows: Vec<u64>,
}

impl TableName {
    /// Whether it is the name of another table's quarantine.
    pub fn is_quarantine(&self) -> bool {
        self.as_str().ends_with(SUFFIX)
    }
}

impl TableRef {
    /// The table that takes the bad rows of this one; none where its name would be too long.
    pub fn quarantine(&self) -> Option<Self> {
        let table = format!("{}{SUFFIX}", self.table).parse().ok()?;
        Some(Self { namespace: self.namespace.clone(), table })
    }
}

impl UploadId {
    /// The id of the upload that brings this one's bad rows into quarantine: always the same, so that it happens once.
    pub fn of_quarantine(self) -> Self {
        Self(Uuid::from_u128(self.0.as_u128() ^ 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_exceeded_by_more_than_it() {
        let tenth: Fraction = "0.1".parse().unwrap();
        assert!(!tenth.is_exceeded_by(1, 10));
        assert!(tenth.is_exceeded_by(2, 19));
        assert!(!tenth.is_exceeded_by(0, 0));
        for bad in ["-0.1", "1.1", "NaN", "", "x"] {
            assert!(bad.parse::<Fraction>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_quarantine_is_named_after_its_table() {
        let table: TableRef = "a.orders".parse().unwrap();
        let quarantine = table.quarantine().unwrap();
        assert_eq!(quarantine.to_string(), "a.orders__quarantine");
        assert!(quarantine.table.is_quarantine() && !table.table.is_quarantine());
        let long = TableRef::parse("a", &"x".repeat(120)).unwrap();
        assert_eq!(long.quarantine(), None);
    }

    #[test]
    fn the_bad_rows_of_an_upload_have_an_id_of_their_own() {
        let id = UploadId(Uuid::from_u128(42));
        assert_ne!(id.of_quarantine(), id);
        assert_eq!(id.of_quarantine().of_quarantine(), id);
    }
}
