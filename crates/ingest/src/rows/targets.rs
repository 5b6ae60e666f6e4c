//! The tables that rows go into, as they were seen last.
//!
//! Invariant: one that is not what it was any more is found out at the commit, if not before.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sluice_domain::TableRef;

use crate::{
    IngestError,
    road::{Road, Target},
};

/// How many tables are remembered.
const MAX_TARGETS: usize = 1024;

/// Finds tables, and remembers them.
pub(crate) struct Targets {
    road: Arc<Road>,
    seen: Mutex<HashMap<TableRef, Arc<Target>>>,
}

impl Targets {
    pub(super) fn new(road: Arc<Road>) -> Self {
        Self { road, seen: Mutex::default() }
    }

    /// The table as it was seen last; none if it is not there yet.
    pub(super) async fn find(&self, name: &TableRef) -> Result<Option<Arc<Target>>, IngestError> {
        let known = self.seen().get(name).map(Arc::clone);
        if known.is_some() {
            return Ok(known);
        }
        let Some(target) = self.road.find_table(name).await?.map(Arc::new) else { return Ok(None) };
        let mut seen = self.seen();
        if seen.len() >= MAX_TARGETS {
            seen.clear();
        }
        seen.insert(name.clone(), Arc::clone(&target));
        Ok(Some(target))
    }

    /// Look at the table anew when it is needed next.
    pub(super) fn forget(&self, name: &TableRef) {
        self.seen().remove(name);
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<TableRef, Arc<Target>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
