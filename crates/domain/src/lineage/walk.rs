//! A walk over a graph, level by level, without the graph: whoever walks asks for the neighbours of each level.

use std::collections::{BTreeMap, BTreeSet};

/// Which way to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To where data comes from.
    Upstream,
    /// To where it goes.
    Downstream,
}

/// How far a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkLimits {
    /// How many steps from the start.
    pub depth: u32,
    /// How many nodes, the start included.
    pub nodes: usize,
}

/// A walk that is under way. Each node is reached once, so that cycles end it.
#[derive(Debug, Clone)]
pub struct Walk<N> {
    limits: WalkLimits,
    depths: BTreeMap<N, u32>,
    level: Vec<N>,
    depth: u32,
    is_cut_off: bool,
}

impl<N: Ord + Clone> Walk<N> {
    /// A walk that is at its start.
    pub fn from(start: N, limits: WalkLimits) -> Self {
        Self { limits, depths: [(start.clone(), 0)].into(), level: vec![start], depth: 0, is_cut_off: false }
    }

    /// The nodes whose neighbours are wanted; none when the walk has ended.
    pub fn level(&self) -> &[N] {
        if self.depth < self.limits.depth { &self.level } else { &[] }
    }

    /// Go on to these neighbours of the level.
    pub fn advance(&mut self, neighbours: impl IntoIterator<Item = N>) {
        self.depth += 1;
        let fresh: BTreeSet<N> = neighbours.into_iter().filter(|node| !self.depths.contains_key(node)).collect();
        let room = self.limits.nodes.saturating_sub(self.depths.len());
        self.is_cut_off |= fresh.len() > room;
        self.level = fresh.into_iter().take(room).collect();
        self.depths.extend(self.level.iter().map(|node| (node.clone(), self.depth)));
    }

    /// What was reached, and in how many steps.
    pub fn depths(&self) -> &BTreeMap<N, u32> {
        &self.depths
    }

    /// Whether this node was reached.
    pub fn has(&self, node: &N) -> bool {
        self.depths.contains_key(node)
    }

    /// Whether there were more nodes within the depth than the walk may have.
    pub fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walked(edges: &[(u8, u8)], start: u8, limits: WalkLimits) -> Walk<u8> {
        let mut walk = Walk::from(start, limits);
        while !walk.level().is_empty() {
            let level: BTreeSet<u8> = walk.level().iter().copied().collect();
            walk.advance(edges.iter().filter(|(from, _)| level.contains(from)).map(|(_, to)| *to));
        }
        walk
    }

    const FAR: WalkLimits = WalkLimits { depth: 1_000, nodes: 1_000 };

    #[test]
    fn a_walk_ends_at_its_depth_and_on_cycles() {
        let edges = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 3)];
        assert_eq!(walked(&edges, 0, FAR).depths(), &BTreeMap::from([(0, 0), (1, 1), (2, 2), (3, 3)]));
        let near = walked(&edges, 0, WalkLimits { depth: 2, nodes: 1_000 });
        assert_eq!(near.depths().keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(!near.is_cut_off());
        assert!(walked(&edges, 0, WalkLimits { depth: 0, nodes: 1_000 }).level().is_empty());
    }

    #[test]
    fn a_walk_that_is_cut_off_says_so() {
        let star: Vec<(u8, u8)> = (1..=10).map(|leaf| (0, leaf)).collect();
        let cut = walked(&star, 0, WalkLimits { depth: 5, nodes: 10 });
        assert_eq!((cut.depths().len(), cut.is_cut_off()), (10, true));
        let whole = walked(&star, 0, WalkLimits { depth: 5, nodes: 11 });
        assert_eq!((whole.depths().len(), whole.is_cut_off()), (11, false));
    }

    proptest! {
        #[test]
        fn a_walk_without_bounds_reaches_just_what_can_be_reached(
            edges in proptest::collection::vec((0u8..12, 0u8..12), 0..40), start in 0u8..12
        ) {
            let mut reachable = BTreeSet::from([start]);
            for _ in 0..12 {
                let more: Vec<u8> =
                    edges.iter().filter(|(from, _)| reachable.contains(from)).map(|(_, to)| *to).collect();
                reachable.extend(more);
            }
            let walk = walked(&edges, start, FAR);
            prop_assert_eq!(walk.depths().keys().copied().collect::<BTreeSet<_>>(), reachable);
            prop_assert!(!walk.is_cut_off());
        }
    }
}
