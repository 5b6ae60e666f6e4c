//! How a column depends on another, in OpenLineage's words.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a column has of another: its values, or only whether and where they are.
///
/// The order is that of direct ones by how much they change a value, then the indirect ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Influence {
    /// The values as they are.
    Identity,
    /// Values computed from each of them.
    Transformation,
    /// Values computed from many of them.
    Aggregation,
    /// Which rows are kept.
    Filter,
    /// Which rows belong together.
    Join,
    /// Which rows become one.
    GroupBy,
    /// The order of the rows.
    Sort,
    /// Which rows a window function looks at.
    Window,
    /// Which of several values is taken.
    Conditional,
}

impl Influence {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Identity,
        Self::Transformation,
        Self::Aggregation,
        Self::Filter,
        Self::Join,
        Self::GroupBy,
        Self::Sort,
        Self::Window,
        Self::Conditional,
    ];

    /// Whether values come from values.
    pub fn is_direct(self) -> bool {
        matches!(self, Self::Identity | Self::Transformation | Self::Aggregation)
    }

    /// `DIRECT` or `INDIRECT`.
    pub fn kind(self) -> &'static str {
        if self.is_direct() { "DIRECT" } else { "INDIRECT" }
    }

    /// OpenLineage's subtype.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "IDENTITY",
            Self::Transformation => "TRANSFORMATION",
            Self::Aggregation => "AGGREGATION",
            Self::Filter => "FILTER",
            Self::Join => "JOIN",
            Self::GroupBy => "GROUP_BY",
            Self::Sort => "SORT",
            Self::Window => "WINDOW",
            Self::Conditional => "CONDITIONAL",
        }
    }
}

impl fmt::Display for Influence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Influence {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|influence| influence.as_str() == text);
        known.ok_or_else(|| format!("{:?} is not a kind of influence", text.chars().take(64).collect::<String>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_name_in_text_and_in_json() {
        for influence in Influence::ALL {
            assert_eq!(influence.as_str().parse(), Ok(influence));
            assert_eq!(serde_json::to_value(influence).unwrap(), influence.as_str());
        }
        assert!("identity".parse::<Influence>().is_err());
    }
}
