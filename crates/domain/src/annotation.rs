//! What people say of tables and columns: descriptions, tags, classifications.
//!
//! Invariant: a classification that is stricter wins where several are inherited.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::InheritedNotes;

/// How many tags a table or a column has at the most.
pub const MAX_TAGS: usize = 50;
/// The longest tag or classification, in characters.
const MAX_LABEL_CHARS: usize = 64;
/// The classifications that everybody knows, the strictest first. Others are between `confidential` and `public`.
const KNOWN: [&str; 3] = ["pii", "confidential", "public"];

/// A tag, or the name of a classification.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// A text that is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not acceptable: use a letter or digit, then letters, digits, and any of `_ - . : /`, {MAX_LABEL_CHARS} \
     characters at most"
)]
pub struct LabelError(String);

impl Label {
    /// The text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How strict it is as a classification: the smaller, the stricter.
    pub fn strictness(&self) -> u8 {
        match KNOWN.iter().position(|known| *known == self.0) {
            Some(0) => 0,
            Some(1) => 1,
            Some(_) => 3,
            None => 2,
        }
    }
}

impl FromStr for Label {
    type Err = LabelError;
    fn from_str(text: &str) -> Result<Self, LabelError> {
        let is_first = |byte: u8| byte.is_ascii_alphanumeric();
        let is_next = |byte: u8| is_first(byte) || b"_-.:/".contains(&byte);
        let fits = text.len() <= MAX_LABEL_CHARS && text.bytes().next().is_some_and(is_first);
        if fits && text.bytes().all(is_next) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(LabelError(text.chars().take(MAX_LABEL_CHARS).collect()))
        }
    }
}

impl TryFrom<String> for Label {
    type Error = LabelError;
    fn try_from(text: String) -> Result<Self, LabelError> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is said of a table or a column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// What it is, in somebody's words. A table's own is in its entry.
    pub description: Option<String>,
    /// Tags, each once, in order.
    pub tags: Vec<Label>,
    /// How its values are to be treated.
    pub classification: Option<Label>,
}

/// What to change of it; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotesChange {
    /// The new description; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
    /// The new tags.
    pub tags: Option<Vec<Label>>,
    /// The new classification; `Some(None)` takes it away.
    pub classification: Option<Option<Label>>,
}

impl Notes {
    /// With a change made.
    #[must_use]
    pub fn changed(mut self, change: NotesChange) -> Self {
        self.description = change.description.unwrap_or(self.description);
        self.tags = change.tags.unwrap_or(self.tags);
        self.classification = change.classification.unwrap_or(self.classification);
        self.tags.sort_unstable();
        self.tags.dedup();
        self
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is said of a table, and of its columns by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableNotes {
    /// Of the table.
    pub table: Notes,
    /// Of its columns; those of which nothing is said are left out.
    pub columns: BTreeMap<String, Notes>,
    /// What its columns inherit, by their names in lower case; those that inherit nothing are left out.
    pub inherited: BTreeMap<String, InheritedNotes>,
    /// Whether there is too much before the table to find everything that its columns inherit.
    pub is_cut_off: bool,
}

impl TableNotes {
    /// The strictest classification that counts for the table or one of its columns.
    pub fn strictest(&self) -> Option<&Label> {
        self.classifications().min_by_key(|label| (label.strictness(), label.as_str()))
    }

    /// Every classification that counts: of the table, of its columns, and of those that have none of their own what
    /// they inherit.
    pub fn classifications(&self) -> impl Iterator<Item = &Label> {
        let own = self.columns.values().chain([&self.table]).filter_map(|notes| notes.classification.as_ref());
        let owning = self.columns.iter().filter(|(_, notes)| notes.classification.is_some());
        let owning: BTreeSet<String> = owning.map(|(name, _)| name.to_lowercase()).collect();
        let inherited = self.inherited.iter().filter(move |(name, _)| !owning.contains(*name));
        own.chain(inherited.flat_map(|(_, notes)| notes.classifications.iter().map(|inherited| &inherited.label)))
    }

    /// What a column inherits.
    pub fn inherited_by(&self, column: &str) -> Option<&InheritedNotes> {
        self.inherited.get(&column.to_lowercase())
    }

    /// The classification that counts for a column: its own, or the strictest that it inherits.
    pub fn classification_of(&self, column: &str) -> Option<&Label> {
        let own = self.columns.get(column).and_then(|notes| notes.classification.as_ref());
        own.or_else(|| Some(&self.inherited_by(column)?.classifications.first()?.label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    #[test]
    fn labels_are_short_plain_words() {
        assert_eq!(label("PII").as_str(), "pii");
        assert_eq!(label("team:sales/eu").as_str(), "team:sales/eu");
        for text in ["", " a", "a b", "-a", "\u{e4}", "a\n", &"a".repeat(65)] {
            assert!(text.parse::<Label>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_strictest_classification_of_a_table_is_that_of_its_columns_too() {
        let notes = |classification: &str| Notes { classification: Some(label(classification)), ..Notes::default() };
        let mut table = TableNotes { table: notes("public"), ..TableNotes::default() };
        assert_eq!(table.strictest(), Some(&label("public")));
        table.columns.insert("a".into(), notes("trading"));
        assert_eq!(table.strictest(), Some(&label("trading")));
        table.columns.insert("b".into(), notes("confidential"));
        table.columns.insert("c".into(), notes("pii"));
        assert_eq!(table.strictest(), Some(&label("pii")));
    }

    #[test]
    fn what_a_column_inherits_counts_where_it_has_no_classification_of_its_own() {
        let inherited = |text: &str| {
            let from = crate::LabelOrigin { table: "a.s".parse().unwrap(), column: None };
            let one = crate::InheritedLabel { label: label(text), from };
            InheritedNotes { classifications: vec![one], tags: Vec::new() }
        };
        let both = [("email".to_owned(), inherited("pii")), ("note".to_owned(), inherited("trading"))];
        let mut table = TableNotes { inherited: both.into(), ..TableNotes::default() };
        assert_eq!((table.strictest(), table.classification_of("Email")), (Some(&label("pii")), Some(&label("pii"))));
        let own = Notes { classification: Some(label("public")), ..Notes::default() };
        table.columns.insert("Email".into(), own);
        let counting: Vec<&str> = table.classifications().map(Label::as_str).collect();
        assert_eq!((counting, table.classification_of("Email")), (vec!["public", "trading"], Some(&label("public"))));
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let notes = Notes { description: Some("x".into()), tags: vec![label("a")], classification: Some(label("pii")) };
        let change = NotesChange { tags: Some(vec![label("c"), label("b"), label("c")]), ..NotesChange::default() };
        let changed = notes.clone().changed(change);
        assert_eq!(changed.tags, [label("b"), label("c")]);
        assert_eq!((changed.description, changed.classification), (notes.description, notes.classification));
    }
}
