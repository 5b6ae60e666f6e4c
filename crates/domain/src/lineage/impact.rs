//! What becomes of other columns where one is dropped.

use std::collections::{BTreeMap, BTreeSet};

use super::{ColumnNode, Influence};

/// One step between columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnStep {
    /// Where it begins.
    pub source: ColumnNode,
    /// Where it ends.
    pub target: ColumnNode,
    /// How the target depends on the source.
    pub influence: Influence,
}

/// A column that depends on another, or that another depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnImpact {
    /// The column.
    pub node: ColumnNode,
    /// How many steps away it is.
    pub depth: u32,
    /// Whether values come from values all the way.
    pub is_direct: bool,
}

/// What was reached from a column by these steps, nearest first; the column itself is left out.
///
/// `downstream` says which way the steps were gone.
pub fn impact(
    start: &ColumnNode,
    depths: &BTreeMap<ColumnNode, u32>,
    steps: &[ColumnStep],
    downstream: bool,
) -> Vec<ColumnImpact> {
    let direct = directly_reached(start, steps, downstream);
    let mut impacts: Vec<ColumnImpact> = depths
        .iter()
        .filter(|(node, _)| *node != start)
        .map(|(node, depth)| ColumnImpact { node: node.clone(), depth: *depth, is_direct: direct.contains(node) })
        .collect();
    impacts.sort_by(|a, b| (a.depth, &a.node).cmp(&(b.depth, &b.node)));
    impacts
}

fn directly_reached<'a>(start: &'a ColumnNode, steps: &'a [ColumnStep], downstream: bool) -> BTreeSet<&'a ColumnNode> {
    let mut next: BTreeMap<&ColumnNode, Vec<&ColumnNode>> = BTreeMap::new();
    for step in steps.iter().filter(|step| step.influence.is_direct()) {
        let (from, to) = if downstream { (&step.source, &step.target) } else { (&step.target, &step.source) };
        next.entry(from).or_default().push(to);
    }
    let (mut reached, mut pending) = (BTreeSet::from([start]), vec![start]);
    while let Some(node) = pending.pop() {
        let fresh = next.get(node).into_iter().flatten().filter(|node| reached.insert(node));
        pending.extend(fresh.copied().collect::<Vec<_>>());
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::Dataset;

    fn node(column: &str) -> ColumnNode {
        ColumnNode::new(Dataset::new("a", "b").unwrap(), column).unwrap()
    }

    #[test]
    fn one_indirect_step_makes_all_that_follow_indirect_unless_there_is_another_way() {
        let step = |source, target, influence| ColumnStep { source: node(source), target: node(target), influence };
        let steps = [
            step("x", "copied", Influence::Identity),
            step("x", "filtered", Influence::Filter),
            step("filtered", "beyond", Influence::Identity),
            step("copied", "summed", Influence::Aggregation),
            step("filtered", "summed", Influence::Identity),
        ];
        let depths = [("x", 0), ("copied", 1), ("filtered", 1), ("beyond", 2), ("summed", 2)];
        let depths = depths.map(|(name, depth)| (node(name), depth)).into();
        let found = impact(&node("x"), &depths, &steps, true);
        let told: Vec<_> =
            found.iter().map(|found| (found.node.column.as_deref().unwrap(), found.depth, found.is_direct)).collect();
        assert_eq!(told, [("copied", 1, true), ("filtered", 1, false), ("beyond", 2, false), ("summed", 2, true)]);
    }
}
