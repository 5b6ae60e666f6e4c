//! What columns inherit of what is said of the columns that their values come from.
//!
//! Values that are masked, hashed or counted still come from values: how a value is computed ends nothing, what somebody
//! says of a column does. What only decides about rows (a filter, a join, an order) passes nothing on.
//!
//! Invariant: names of columns that differ in case only are one column here, as they are in tables.
//! Invariant: of one label, the nearest column that has it is told; cycles end where they began.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use crate::{
    Label, Notes, TableNotes, TableRef,
    lineage::{ColumnNode, ColumnStep, Dataset},
};

/// How many labels of a kind a column inherits, the nearest first.
const MAX_LABELS: usize = 50;

/// Where a label is said: of a column, or of a table with all its columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelOrigin {
    /// The table.
    pub table: TableRef,
    /// Its column; none where the table as a whole is so classified.
    pub column: Option<String>,
}

/// `namespace.table.column`, or `namespace.table`.
impl fmt::Display for LabelOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "{}.{column}", self.table),
            None => self.table.fmt(f),
        }
    }
}

/// A label that a column has from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InheritedLabel {
    /// The label.
    pub label: Label,
    /// Where it is said.
    pub from: LabelOrigin,
}

/// What a column inherits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InheritedNotes {
    /// Classifications, each once, the strictest first.
    pub classifications: Vec<InheritedLabel>,
    /// Tags, each once, in order.
    pub tags: Vec<InheritedLabel>,
}

impl InheritedNotes {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.classifications.is_empty() && self.tags.is_empty()
    }
}

/// A column by the dataset and by its name in lower case.
type Place = (Dataset, String);

/// What is said of a table, its columns by their names in lower case.
struct Said<'a> {
    table: &'a TableRef,
    whole: &'a Notes,
    columns: BTreeMap<String, (&'a String, &'a Notes)>,
}

/// Steps between columns, and what is said of the tables among them.
pub struct Inheritance<'a> {
    sources: BTreeMap<Place, BTreeSet<Place>>,
    said: BTreeMap<Dataset, Said<'a>>,
}

fn place(node: &ColumnNode) -> Option<Place> {
    Some((node.dataset.clone(), node.column.as_ref()?.to_lowercase()))
}

impl<'a> Inheritance<'a> {
    /// Over the steps along which values go; others are left out. Of tables of which nothing is said here, nothing is
    /// inherited, and what comes from before them is.
    pub fn new(steps: &[ColumnStep], said: &'a BTreeMap<TableRef, TableNotes>) -> Self {
        let mut sources: BTreeMap<Place, BTreeSet<Place>> = BTreeMap::new();
        for step in steps.iter().filter(|step| step.influence.is_direct()) {
            if let (Some(source), Some(target)) = (place(&step.source), place(&step.target)) {
                sources.entry(target).or_default().insert(source);
            }
        }
        let said = said.iter().map(|(table, notes)| {
            let columns = notes.columns.iter().map(|(name, notes)| (name.to_lowercase(), (name, notes)));
            (Dataset::of_table(table), Said { table, whole: &notes.table, columns: columns.collect() })
        });
        Self { sources, said: said.collect() }
    }

    /// What the columns of a table inherit, by their names in lower case; those that inherit nothing are left out.
    pub fn of_table(&self, table: &TableRef) -> BTreeMap<String, InheritedNotes> {
        let dataset = Dataset::of_table(table);
        let own = self.sources.range((dataset.clone(), String::new())..).map(|(place, _)| place);
        let own = own.take_while(|(other, _)| *other == dataset);
        let inherited = own.map(|place| (place.1.clone(), self.of_column(place)));
        inherited.filter(|(_, notes)| !notes.is_empty()).collect()
    }

    fn of_column(&self, start: &Place) -> InheritedNotes {
        let (mut classifications, mut tags) = (BTreeMap::new(), BTreeMap::new());
        self.walk(start, |place| {
            let Some(said) = self.said.get(&place.0) else { return true };
            match said.columns.get(&place.1) {
                Some((name, Notes { classification: Some(label), .. })) => {
                    enter(&mut classifications, label, said.table, Some(name));
                    false
                }
                _ => {
                    let whole = said.whole.classification.iter();
                    whole.for_each(|label| enter(&mut classifications, label, said.table, None));
                    true
                }
            }
        });
        self.walk(start, |place| {
            let column = self.said.get(&place.0).and_then(|said| Some((said.table, said.columns.get(&place.1)?)));
            if let Some((table, (name, notes))) = column {
                notes.tags.iter().for_each(|label| enter(&mut tags, label, table, Some(name)));
            }
            true
        });
        let listed = |labels: BTreeMap<&Label, LabelOrigin>| {
            labels.into_iter().map(|(label, from)| InheritedLabel { label: label.clone(), from }).collect()
        };
        let mut inherited = InheritedNotes { classifications: listed(classifications), tags: listed(tags) };
        inherited.classifications.sort_by_key(|inherited| inherited.label.strictness());
        inherited
    }

    /// Visit what a column comes from, the nearest first; behind a place only where the visitor goes on.
    fn walk(&self, start: &Place, mut visit: impl FnMut(&Place) -> bool) {
        let (mut reached, mut pending) = (BTreeSet::from([start]), VecDeque::from([start]));
        while let Some(place) = pending.pop_front() {
            if place != start && !visit(place) {
                continue;
            }
            let fresh = self.sources.get(place).into_iter().flatten().filter(|source| reached.insert(source));
            pending.extend(fresh);
        }
    }
}

fn enter<'a>(
    labels: &mut BTreeMap<&'a Label, LabelOrigin>,
    label: &'a Label,
    table: &TableRef,
    column: Option<&String>,
) {
    if labels.len() < MAX_LABELS {
        labels.entry(label).or_insert_with(|| LabelOrigin { table: table.clone(), column: column.cloned() });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lineage::Influence;

    fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    fn node(text: &str) -> ColumnNode {
        let (dataset, column) = text.rsplit_once('.').unwrap();
        ColumnNode::new(dataset.parse().unwrap(), column).unwrap()
    }

    fn step(source: &str, target: &str, influence: Influence) -> ColumnStep {
        ColumnStep { source: node(source), target: node(target), influence }
    }

    /// Columns with a classification and tags; `*` is the table.
    fn said(columns: &[(&str, &str, &[&str])]) -> BTreeMap<TableRef, TableNotes> {
        let mut said: BTreeMap<TableRef, TableNotes> = BTreeMap::new();
        for (name, classification, tags) in columns {
            let (table, column) = name.rsplit_once('.').unwrap();
            let notes = Notes {
                description: None,
                tags: tags.iter().map(|tag| label(tag)).collect(),
                classification: classification.parse().ok(),
            };
            let table = said.entry(table.parse().unwrap()).or_default();
            match column {
                "*" => table.table = notes,
                column => drop(table.columns.insert(column.to_owned(), notes)),
            }
        }
        said
    }

    fn told(steps: &[ColumnStep], said: &BTreeMap<TableRef, TableNotes>, table: &str) -> Vec<String> {
        let inherited = Inheritance::new(steps, said).of_table(&table.parse().unwrap());
        let text = |(column, notes): (String, InheritedNotes)| {
            let all = notes.classifications.iter().chain(&notes.tags);
            all.map(|one| format!("{column}: {} from {}", one.label, one.from)).collect::<Vec<_>>()
        };
        inherited.into_iter().flat_map(text).collect()
    }

    use Influence::{Aggregation, Filter, GroupBy, Identity, Join, Sort, Transformation, Window};

    #[test]
    fn values_pass_labels_on_however_they_are_computed_and_decisions_about_rows_do_not() {
        let said = said(&[("a.s.email", "pii", &["gdpr"])]);
        for influence in [Identity, Transformation, Aggregation] {
            let steps = [step("a.s.email", "a.t.x", influence)];
            assert_eq!(told(&steps, &said, "a.t"), ["x: pii from a.s.email", "x: gdpr from a.s.email"], "{influence}");
        }
        for influence in [Filter, Join, GroupBy, Sort, Window, Influence::Conditional] {
            assert!(told(&[step("a.s.email", "a.t.x", influence)], &said, "a.t").is_empty(), "{influence}");
        }
    }

    #[test]
    fn labels_go_on_through_renamings_other_systems_and_tables_that_say_nothing() {
        let steps = [
            step("a.s.Email", "outside.contact", Identity),
            step("outside.CONTACT", "a.gone.c", Transformation),
            step("a.gone.c", "a.t.who", Identity),
        ];
        let said = said(&[("a.s.email", "pii", &[])]);
        assert_eq!(told(&steps, &said, "a.t"), ["who: pii from a.s.email"]);
    }

    #[test]
    fn what_is_said_of_a_column_ends_what_it_would_pass_on_and_tags_add_up() {
        let steps = [step("a.s.email", "a.m.hash", Transformation), step("a.m.hash", "a.t.x", Identity)];
        let said = said(&[("a.s.email", "pii", &["gdpr", "eu"]), ("a.m.hash", "public", &["eu", "hashed"])]);
        let expected =
            ["x: public from a.m.hash", "x: eu from a.m.hash", "x: gdpr from a.s.email", "x: hashed from a.m.hash"];
        assert_eq!(told(&steps, &said, "a.t"), expected);
        assert_eq!(told(&steps, &said, "a.m")[0], "hash: pii from a.s.email", "beside its own");
    }

    #[test]
    fn a_table_that_is_classified_speaks_for_its_columns_and_hides_nothing_behind_them() {
        let steps = [step("a.s.email", "a.m.c", Identity), step("a.m.c", "a.t.x", Identity)];
        let said = said(&[("a.s.email", "pii", &[]), ("a.m.*", "public", &["gold"])]);
        assert_eq!(told(&steps, &said, "a.t"), ["x: pii from a.s.email", "x: public from a.m"]);
    }

    #[test]
    fn of_many_columns_the_strictest_comes_first_and_the_nearest_is_named() {
        let steps = [
            step("a.s.p", "a.t.x", Transformation),
            step("a.s.q", "a.t.x", Transformation),
            step("a.r.p", "a.s.r", Identity),
            step("a.s.r", "a.t.x", Transformation),
        ];
        let said = said(&[("a.s.p", "trading", &[]), ("a.s.q", "pii", &[]), ("a.r.p", "pii", &[])]);
        assert_eq!(told(&steps, &said, "a.t"), ["x: pii from a.s.q", "x: trading from a.s.p"]);
    }

    proptest! {
        #[test]
        fn a_column_inherits_from_just_those_that_reach_it_whatever_cycles_there_are(
            edges in proptest::collection::vec((0u8..8, 0u8..8), 0..24), marked in 0u8..8
        ) {
            let steps: Vec<_> =
                edges.iter().map(|(from, to)| step(&format!("a.t{from}.c"), &format!("a.t{to}.c"), Identity)).collect();
            let said = said(&[(format!("a.t{marked}.c").as_str(), "pii", &[])]);
            let mut reached = BTreeSet::from([marked]);
            for _ in 0..8 {
                let more: Vec<u8> = edges.iter().filter(|(from, _)| reached.contains(from)).map(|(_, to)| *to).collect();
                reached.extend(more);
            }
            for table in (0..8).filter(|table| *table != marked) {
                prop_assert_eq!(!told(&steps, &said, &format!("a.t{table}")).is_empty(), reached.contains(&table));
            }
            let of_marked = told(&steps, &said, &format!("a.t{marked}"));
            prop_assert!(of_marked.is_empty());
        }
    }
}
