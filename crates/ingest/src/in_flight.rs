//! The idempotency keys, uploads, channels and runs that this process is working on.
//!
//! Invariant: each has one holder at a time, and is free again when the holder is gone, however it went.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use sluice_domain::{ChannelId, IdempotencyKey, RunId, UploadId};

/// What can be held.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// The right to answer for a key.
    Key(IdempotencyKey),
    /// The right to bring an upload to its outcome.
    Upload(UploadId),
    /// The right to add rows of a channel.
    Channel(ChannelId),
    /// The right to work on a run of a source.
    Run(RunId),
}

/// The subjects that are held.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<Subject>>>);

/// Holds a subject.
#[derive(Debug)]
pub(crate) struct Claim {
    subject: Subject,
    held: InFlight,
}

impl InFlight {
    /// Hold a subject; none if somebody does.
    pub(crate) fn claim(&self, subject: Subject) -> Option<Claim> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(subject.clone()).then(|| Claim { subject, held: self.clone() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.held.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_holder_at_a_time() {
        let held = InFlight::default();
        let key = Subject::Key(IdempotencyKey { scope: "me POST /x".into(), key: "k".into() });
        let claim = held.claim(key.clone()).unwrap();
        assert!(held.claim(key.clone()).is_none());
        drop(claim);
        assert!(held.claim(key).is_some());
    }
}
