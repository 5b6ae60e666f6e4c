//! Places of distinct values, in the order in which they came: hash tables of places beside the values themselves.

use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::RandomState;

/// How many slots a table has before it grows. A power of two, as every later number.
const FEWEST_SLOTS: usize = 64;
/// What a slot without a place has.
const FREE: u32 = u32::MAX;
/// How many low bits of a whole number lead to its place without a hash.
const LOW_BITS: u32 = 16;
/// How many slots low bits may have for each value that there is.
const SLOTS_PER_VALUE: usize = 8;

/// A hash table of places. Who has the values tells which is at a place.
///
/// The hashes are seeded at random, so that nobody can send values that all fall on one slot.
#[derive(Default)]
pub(super) struct Places {
    hashes: RandomState,
    slots: Vec<u32>,
    count: u32,
}

impl Places {
    /// The place of a value, which is the next one if it is new.
    pub(super) fn of<K: Hash + Eq + Copy>(&mut self, key: K, key_at: impl Fn(usize) -> K) -> u32 {
        if self.count as usize * 2 >= self.slots.len() {
            self.grow(&key_at);
        }
        let slot = self.slot(key, &key_at);
        if self.slots[slot] == FREE {
            self.slots[slot] = self.count;
            self.count += 1;
        }
        self.slots[slot]
    }

    /// The slot that has the place of this value, or is free for it.
    fn slot<K: Hash + Eq + Copy>(&self, key: K, key_at: impl Fn(usize) -> K) -> usize {
        let last = self.slots.len() - 1;
        let mut slot = self.hashes.hash_one(key) as usize & last;
        while self.slots[slot] != FREE && key_at(self.slots[slot] as usize) != key {
            slot = (slot + 1) & last;
        }
        slot
    }

    #[cold]
    fn grow<K: Hash + Eq + Copy>(&mut self, key_at: impl Fn(usize) -> K) {
        self.slots = vec![FREE; (self.slots.len() * 2).max(FEWEST_SLOTS)];
        for place in 0..self.count {
            let slot = self.slot(key_at(place as usize), &key_at);
            self.slots[slot] = place;
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }
}

/// The places of whole numbers that lie near each other, as days and most keys do, by their low bits: those that have
/// the same high bits as the first one. What is not here may still have a place.
#[derive(Default)]
pub(super) struct NearPlaces {
    high: Option<i64>,
    places: Vec<u32>,
}

impl NearPlaces {
    pub(super) fn get(&self, whole: i64) -> Option<u32> {
        let place = self.places.get(low(whole)).copied().filter(|place| *place != FREE)?;
        (self.high == Some(whole >> LOW_BITS)).then_some(place)
    }

    /// Keep a place, if there is room for it beside so many values.
    #[cold]
    pub(super) fn keep(&mut self, whole: i64, place: u32, values: usize) {
        let (high, low) = (whole >> LOW_BITS, low(whole));
        if *self.high.get_or_insert(high) != high {
            return;
        }
        let wanted = (low + 1).next_power_of_two();
        if wanted > self.places.len() && wanted <= (values * SLOTS_PER_VALUE).max(FEWEST_SLOTS) {
            self.places.resize(wanted, FREE);
        }
        if let Some(slot) = self.places.get_mut(low) {
            *slot = place;
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.places.capacity() * size_of::<u32>()
    }
}

fn low(whole: i64) -> usize {
    (whole & ((1 << LOW_BITS) - 1)) as usize
}
