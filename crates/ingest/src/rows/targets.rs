//! The tables that rows go into, as they were seen last.
//!
//! Invariant: one that is not what it was any more is found out at the commit, if not before.
//! Invariant: what its contract says is no older than [`MAX_AGE`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sluice_domain::TableRef;

use crate::{
    ContractBreach, IngestError,
    quality::Rules,
    road::{Road, Target},
};

/// How many tables are remembered.
const MAX_TARGETS: usize = 1024;
/// For how long what was seen is taken for true: a contract may be set by another server.
const MAX_AGE: Duration = Duration::from_secs(2);

/// A table as it was seen.
#[derive(Clone)]
pub(crate) struct Known {
    pub(super) target: Arc<Target>,
    pub(super) rules: Arc<Rules>,
}

/// Finds tables, and remembers them.
pub(crate) struct Targets {
    road: Arc<Road>,
    seen: Mutex<HashMap<TableRef, (Instant, Known)>>,
}

impl Targets {
    pub(super) fn new(road: Arc<Road>) -> Self {
        Self { road, seen: Mutex::default() }
    }

    /// The table as it was seen last; none if it is not there yet.
    pub(super) async fn find(&self, name: &TableRef) -> Result<Option<Known>, IngestError> {
        let known =
            self.seen().get(name).filter(|(since, _)| since.elapsed() < MAX_AGE).map(|(_, known)| known.clone());
        if known.is_some() {
            return Ok(known);
        }
        let Some(target) = self.road.find_table(name).await?.map(Arc::new) else { return Ok(None) };
        let rules = Rules::new(&target.terms.contract.rules, &target.shape.schema).map_err(ContractBreach::from)?;
        let known = Known { target, rules: Arc::new(rules) };
        let mut seen = self.seen();
        if seen.len() >= MAX_TARGETS {
            seen.clear();
        }
        seen.insert(name.clone(), (Instant::now(), known.clone()));
        Ok(Some(known))
    }

    /// Look at the table anew when it is needed next.
    pub(crate) fn forget(&self, name: &TableRef) {
        self.seen().remove(name);
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<TableRef, (Instant, Known)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
