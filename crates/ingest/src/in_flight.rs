//! The idempotency keys of uploads that are under way in this process.
//!
//! Invariant: a key has one holder at a time, and is free again when the holder is gone, however it went.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use sluice_domain::IdempotencyKey;

/// The keys that are held.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<IdempotencyKey>>>);

/// Holds a key.
#[derive(Debug)]
pub(crate) struct KeyClaim {
    key: IdempotencyKey,
    held: InFlight,
}

impl InFlight {
    /// Hold a key; none if somebody does.
    pub(crate) fn claim(&self, key: &IdempotencyKey) -> Option<KeyClaim> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.clone()).then(|| KeyClaim { key: key.clone(), held: self.clone() })
    }
}

impl Drop for KeyClaim {
    fn drop(&mut self) {
        self.held.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_holder_at_a_time() {
        let keys = InFlight::default();
        let key = IdempotencyKey { scope: "me POST /x".into(), key: "k".into() };
        let claim = keys.claim(&key).unwrap();
        assert!(keys.claim(&key).is_none());
        drop(claim);
        assert!(keys.claim(&key).is_some());
    }
}
