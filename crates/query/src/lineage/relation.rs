//! What the columns of a relation come from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use datafusion::{common::plan_err, error::Result};
use sluice_domain::{TableRef, lineage::Influence};

/// The most dependences that the columns of one relation may have: a statement of a few kilobytes can ask for billions.
pub(super) const MAX_DEPENDENCES: usize = 200_000;

/// A column of a table, by number.
pub(super) type InputId = u32;

/// The columns of tables that were met.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    ids: HashMap<(TableRef, String), InputId>,
    columns: Vec<(TableRef, String)>,
}

impl Inputs {
    pub(super) fn id(&mut self, table: &TableRef, column: &str) -> InputId {
        let column = (table.clone(), column.to_owned());
        let next = InputId::try_from(self.columns.len()).unwrap_or(InputId::MAX);
        *self.ids.entry(column.clone()).or_insert_with(|| {
            self.columns.push(column);
            next
        })
    }

    pub(super) fn get(&self, id: InputId) -> Option<&(TableRef, String)> {
        self.columns.get(id as usize)
    }
}

/// What influences something without being its value.
pub(super) type Influences = BTreeSet<(InputId, Influence)>;

/// What one column comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Origins {
    /// Where its values come from, and the most that is done to them on the way.
    pub(super) direct: BTreeMap<InputId, Influence>,
    /// What decides about its values, and not about the other columns'.
    pub(super) indirect: Influences,
}

impl Origins {
    /// The column of a table as it is.
    pub(super) fn identity(input: InputId) -> Self {
        Self { direct: [(input, Influence::Identity)].into(), indirect: Influences::new() }
    }

    /// Let values come from those of another column, with no less than this done to them.
    pub(super) fn absorb(&mut self, other: &Self, at_least: Influence) {
        for (input, influence) in &other.direct {
            let influence = (*influence).max(at_least);
            self.direct.entry(*input).and_modify(|known| *known = influence.max(*known)).or_insert(influence);
        }
        self.indirect.extend(&other.indirect);
    }

    /// Let another column decide about the values.
    pub(super) fn depend(&mut self, other: &Self, influence: Influence) {
        self.indirect.extend(other.all().map(|input| (input, influence)));
    }

    /// Every input, whatever it does.
    pub(super) fn all(&self) -> impl Iterator<Item = InputId> + '_ {
        self.direct.keys().copied().chain(self.indirect.iter().map(|(input, _)| *input))
    }
}

/// What the columns of a relation come from, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Relation {
    pub(super) columns: Vec<Origins>,
    /// What decides which rows there are, and in which order.
    pub(super) influences: Influences,
}

impl Relation {
    /// A relation whose columns come from nothing.
    pub(super) fn of_nothing(columns: usize) -> Self {
        Self { columns: vec![Origins::default(); columns], influences: Influences::new() }
    }

    /// Let a column decide about the rows.
    pub(super) fn depend(&mut self, other: &Origins, influence: Influence) {
        self.influences.extend(other.all().map(|input| (input, influence)));
    }

    /// Beside this one.
    pub(super) fn beside(mut self, right: Self) -> Self {
        self.columns.extend(right.columns);
        self.influences.extend(right.influences);
        self
    }

    /// Each column comes from the one in its place there, too.
    pub(super) fn united(mut self, other: &Self) -> Self {
        for (column, other) in self.columns.iter_mut().zip(&other.columns) {
            column.absorb(other, Influence::Identity);
        }
        self.influences.extend(&other.influences);
        self
    }

    /// The relation, if it is not too much.
    pub(super) fn bounded(self) -> Result<Self> {
        let of_columns = self.columns.iter().map(|column| column.direct.len() + column.indirect.len()).sum::<usize>();
        if of_columns + self.influences.len() > MAX_DEPENDENCES {
            return plan_err!("its columns have more than {MAX_DEPENDENCES} dependences");
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relation_with_more_dependences_than_are_accepted_is_refused() {
        let dependent =
            Origins { direct: (0..1_000).map(|input| (input, Influence::Identity)).collect(), ..Origins::default() };
        let relation = |columns| Relation { columns: vec![dependent.clone(); columns], ..Relation::default() };
        assert!(relation(MAX_DEPENDENCES / 1_000).bounded().is_ok());
        let mut more = relation(MAX_DEPENDENCES / 1_000);
        more.depend(&Origins::identity(7), Influence::Filter);
        assert!(more.bounded().is_err());
    }
}
