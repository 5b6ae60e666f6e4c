//! Which pipeline feeds which: no data may come back to where it came from.

use std::collections::{BTreeMap, BTreeSet};

use crate::{PipelineName, TableRef};

/// A pipeline as far as others depend on it.
#[derive(Debug, Clone, Copy)]
pub struct PipelineLink<'p> {
    /// Its name.
    pub name: &'p PipelineName,
    /// What it reads.
    pub inputs: &'p [TableRef],
    /// The tables below the views among that.
    pub below: &'p [TableRef],
    /// What it fills.
    pub target: &'p TableRef,
}

impl<'p> PipelineLink<'p> {
    fn reads(self) -> impl Iterator<Item = (&'p TableRef, &'p PipelineName)> {
        self.inputs.iter().chain(self.below).map(move |input| (input, self.name))
    }
}

/// The pipelines, in the order of the data, through which rows that `new` makes would come back to it; it stands at
/// both ends. An older one of the same name among the others is passed over.
pub fn find_cycle(new: PipelineLink<'_>, others: &[PipelineLink<'_>]) -> Option<Vec<PipelineName>> {
    let makers: BTreeMap<&TableRef, &PipelineLink<'_>> =
        others.iter().filter(|other| other.name != new.name).map(|other| (other.target, other)).collect();
    // From each table against the data, with the way back to the new one.
    let mut after: BTreeMap<&PipelineName, &PipelineName> = BTreeMap::new();
    let mut looked_at: BTreeSet<&TableRef> = BTreeSet::new();
    let mut waiting: Vec<(&TableRef, &PipelineName)> = new.reads().collect();
    while let Some((table, reader)) = waiting.pop() {
        if table == new.target {
            let mut way = vec![new.name.clone()];
            let mut next = reader;
            while next != new.name {
                way.push(next.clone());
                next = after.get(next).copied().unwrap_or(new.name);
            }
            way.push(new.name.clone());
            return Some(way);
        }
        if !looked_at.insert(table) {
            continue;
        }
        let Some(maker) = makers.get(table) else { continue };
        after.entry(maker.name).or_insert(reader);
        waiting.extend(maker.reads());
    }
    None
}
