//! Numbers kept for quantiles, and different values counted: all as long as they are few, some of them after that.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use crate::cells::Fingerprint;

/// How many of the smallest fingerprints tell the number of all.
const SMALLEST: usize = 4096;

/// Some numbers of many: each of them is kept with the same chance.
#[derive(Debug)]
pub(super) struct Sample {
    limit: usize,
    seen: u64,
    state: u64,
    pub(super) numbers: Vec<f64>,
}

impl Sample {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, seen: 0, state: 0x9e37_79b9_7f4a_7c15, numbers: Vec::new() }
    }

    pub(super) fn is_exact(&self) -> bool {
        self.seen as usize <= self.limit
    }

    pub(super) fn add(&mut self, number: f64) {
        self.seen += 1;
        if self.numbers.len() < self.limit {
            self.numbers.push(number);
            return;
        }
        let place = (self.next() % self.seen) as usize;
        if let Some(kept) = self.numbers.get_mut(place) {
            *kept = number;
        }
    }

    /// The next of the numbers of xorshift: the same table always gives the same sample.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

/// The different values of a column, and how often each was there.
#[derive(Debug)]
pub(super) struct Values {
    limit: usize,
    pub(super) counts: HashMap<Fingerprint, (u64, Value)>,
    /// Values beyond the limit are told from their smallest fingerprints alone.
    smallest: BTreeSet<u64>,
    pub(super) is_exact: bool,
}

impl Values {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, counts: HashMap::new(), smallest: BTreeSet::new(), is_exact: true }
    }

    /// Count a value; it is made only where it is new.
    pub(super) fn add(&mut self, fingerprint: Fingerprint, value: impl FnOnce() -> Value) {
        if let Some((count, _)) = self.counts.get_mut(&fingerprint) {
            *count += 1;
        } else if self.counts.len() < self.limit {
            self.counts.insert(fingerprint, (1, value()));
        } else {
            self.is_exact = false;
        }
        let is_small = self.smallest.len() < SMALLEST || self.smallest.last() > Some(&fingerprint.0);
        if is_small && self.smallest.insert(fingerprint.0) && self.smallest.len() > SMALLEST {
            self.smallest.pop_last();
        }
    }

    /// How many different ones there are: counted, or told from how densely the smallest fingerprints lie.
    pub(super) fn unique(&self) -> u64 {
        match self.smallest.last() {
            Some(largest) if !self.is_exact && self.smallest.len() == SMALLEST => {
                let density = *largest as f64 / u64::MAX as f64;
                ((SMALLEST - 1) as f64 / density).round() as u64
            }
            _ => self.counts.len() as u64,
        }
    }

    /// The most frequent values, at the most so many.
    pub(super) fn top(&self, count: usize) -> Vec<(Value, u64)> {
        let mut all: Vec<_> = self.counts.values().map(|(count, value)| (value, *count)).collect();
        all.sort_by(|(one, count), (other, more)| {
            more.cmp(count).then_with(|| one.to_string().cmp(&other.to_string()))
        });
        all.into_iter().take(count).map(|(value, count)| (value.clone(), count)).collect()
    }

    /// All of them, where they are no more than so many.
    pub(super) fn few(&self, most: usize) -> Option<Vec<Value>> {
        let few = self.is_exact && self.counts.len() <= most;
        few.then(|| {
            let distinct: HashSet<&Value> = self.counts.values().map(|(_, value)| value).collect();
            let mut values: Vec<Value> = distinct.into_iter().cloned().collect();
            values.sort_by_key(ToString::to_string);
            values
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_all_numbers_until_they_are_too_many() {
        let mut sample = Sample::new(100);
        (0..100).for_each(|number| sample.add(f64::from(number)));
        assert!(sample.is_exact() && sample.numbers.len() == 100);
        (100..100_000).for_each(|number| sample.add(f64::from(number)));
        assert!(!sample.is_exact() && sample.numbers.len() == 100);
        let mean = sample.numbers.iter().sum::<f64>() / 100.0;
        assert!((35_000.0..65_000.0).contains(&mean), "{mean}");
    }

    #[test]
    fn values_are_counted_until_they_are_too_many_and_then_estimated() {
        let mut values = Values::new(1000);
        // Fingerprints as even as those of a hash.
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..1000).for_each(|number| values.add((spread(number), number), || number.into()));
        assert!(values.is_exact && values.unique() == 1000);
        (1000..200_000).for_each(|number| values.add((spread(number), number), || number.into()));
        assert!(!values.is_exact && values.counts.len() == 1000);
        let unique = values.unique();
        assert!((190_000..210_000).contains(&unique), "{unique}");
    }
}
