//! Words to find tables by, and how near one is to another.
//!
//! Invariant: a text has the same words when it is entered and when it is asked for.

use crate::{TableEntry, TableId, TableNotes};

/// The longest word, in characters; longer ones are cut.
const MAX_WORD_CHARS: usize = 40;
/// The shortest word that is looked for with a slip in it.
const MIN_SLIP_CHARS: usize = 4;
/// How many words of one table are entered.
const MAX_WORDS: usize = 2000;

/// Where a word of a table is found; a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The table's name.
    Name,
    /// Its namespace.
    Namespace,
    /// A tag or a classification, its own or a column's.
    Tag,
    /// The name of a column.
    Column,
    /// Its description.
    Description,
    /// The description of a column.
    ColumnDescription,
    /// Its owner.
    Owner,
}

impl Place {
    /// All of them, the weightiest first.
    pub const ALL: [Self; 7] =
        [Self::Name, Self::Tag, Self::Column, Self::Namespace, Self::Description, Self::Owner, Self::ColumnDescription];

    /// The place's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Namespace => "namespace",
            Self::Tag => "tag",
            Self::Column => "column",
            Self::Description => "description",
            Self::ColumnDescription => "column_description",
            Self::Owner => "owner",
        }
    }

    fn weight(self) -> i64 {
        match self {
            Self::Name => 100,
            Self::Tag => 60,
            Self::Column => 40,
            Self::Namespace => 30,
            Self::Description => 20,
            Self::Owner => 15,
            Self::ColumnDescription => 10,
        }
    }

    fn bit(self) -> i64 {
        1 << (self as u32)
    }

    /// The places that these bits tell.
    pub fn of_bits(bits: i64) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |place| bits & place.bit() != 0)
    }
}

/// A word of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The word.
    pub word: String,
    /// How much it tells of the table.
    pub weight: i64,
    /// Where it is found, as bits.
    pub places: i64,
}

/// A table that was found.
#[derive(Debug, Clone)]
pub struct SearchHit {
    /// The table.
    pub table: TableEntry,
    /// What is said of it.
    pub notes: TableNotes,
    /// How well it fits; higher is better.
    pub score: i64,
    /// Where words were found, as bits.
    pub places: i64,
}

/// The id of a table with how often it was read.
pub type TableReads = (TableId, u64);

/// The words of a text, in order: runs of letters and digits in lower case, cut also where a capital follows a small
/// letter.
pub fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut after_small) = (String::new(), false);
    for letter in text.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && after_small) {
            words.extend(finish(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
        after_small = letter.is_lowercase();
    }
    words.extend(finish(&mut word));
    words
}

fn finish(word: &mut String) -> Option<String> {
    let whole = std::mem::take(word);
    (!whole.is_empty()).then(|| whole.chars().take(MAX_WORD_CHARS).collect())
}

/// A word, and it without each one of its letters; none for words that are too short, or numbers.
pub fn slips(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    if letters.len() < MIN_SLIP_CHARS || letters.iter().all(|letter| letter.is_numeric()) {
        return Vec::new();
    }
    let without =
        |place: usize| letters.iter().enumerate().filter(move |(at, _)| *at != place).map(|(_, letter)| *letter);
    let mut slips: Vec<String> = (0..letters.len()).map(|place| without(place).collect()).collect();
    slips.push(word.to_owned());
    slips.sort_unstable();
    slips.dedup();
    slips
}

/// Whether one slip makes one word of the other: a letter too many, too few, another one, or two that changed places.
pub fn is_slip(word: &str, other: &str) -> bool {
    strsim::osa_distance(word, other) <= 1
}

/// The words of a table, each once.
pub fn postings(table: &TableEntry, notes: &TableNotes, columns: &[(String, Option<String>)]) -> Vec<Posting> {
    let mut postings = Postings::default();
    postings.add(Place::Name, table.name.table.as_str());
    postings.add(Place::Namespace, table.name.namespace.as_str());
    postings.add(Place::Owner, &table.owner);
    postings.add(Place::Description, table.description.as_deref().unwrap_or_default());
    let all = notes.columns.values().chain([&notes.table]);
    for label in all.flat_map(|notes| notes.tags.iter().chain(&notes.classification)) {
        postings.add(Place::Tag, label.as_str());
    }
    for (name, comment) in columns {
        postings.add(Place::Column, name);
        postings.add(Place::ColumnDescription, comment.as_deref().unwrap_or_default());
    }
    for notes in notes.columns.values() {
        postings.add(Place::ColumnDescription, notes.description.as_deref().unwrap_or_default());
    }
    postings.0.into_iter().map(|(word, (weight, places))| Posting { word, weight, places }).collect()
}

#[derive(Default)]
struct Postings(std::collections::BTreeMap<String, (i64, i64)>);

impl Postings {
    fn add(&mut self, place: Place, text: &str) {
        let words = words(text);
        // A name of one word is told by it wholly.
        let whole = if place == Place::Name && words.len() == 1 { place.weight() } else { 0 };
        for word in words {
            if self.0.len() >= MAX_WORDS && !self.0.contains_key(&word) {
                return;
            }
            let (weight, places) = self.0.entry(word).or_default();
            if *places & place.bit() == 0 {
                *weight += place.weight() + whole;
                *places |= place.bit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fall_into_words() {
        for (text, expected) in [
            ("customer_orders-2024", vec!["customer", "orders", "2024"]),
            ("customerOrders HTTPCode", vec!["customer", "orders", "httpcode"]),
            ("\u{dc}ber Gr\u{f6}\u{df}e!", vec!["\u{fc}ber", "gr\u{f6}\u{df}e"]),
            ("  ..  ", vec![]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        assert_eq!(words(&"a".repeat(100))[0].len(), MAX_WORD_CHARS);
    }

    #[test]
    fn words_with_a_slip_share_one_of_their_slips() {
        for (word, other) in
            [("customer", "custmer"), ("customer", "cusstomer"), ("customer", "cvstomer"), ("customer", "csutomer")]
        {
            assert!(is_slip(word, other), "{other}");
            assert!(slips(word).iter().any(|slip| slips(other).contains(slip)), "{other}");
        }
        assert!(!is_slip("customer", "costumes"));
        assert!(slips("abc").is_empty() && slips("20240101").is_empty());
    }
}
