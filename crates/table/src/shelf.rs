//! The tables that are open in this process, one [`Table`] each, so that snapshots and commit order are shared.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sluice_domain::{TableEntry, TableId, ZoneName};
use sluice_storage::Zones;

use crate::Table;

/// How many tables are kept open; beyond it those that nobody uses are let go.
const MAX_OPEN: usize = 1024;

/// Opens tables and keeps them.
pub struct Shelf {
    zones: Arc<Zones>,
    open: Mutex<HashMap<TableId, Arc<Table>>>,
}

impl Shelf {
    /// A shelf of tables in these zones.
    pub fn new(zones: Arc<Zones>) -> Self {
        Self { zones, open: Mutex::default() }
    }

    /// The table of a catalog entry; reads nothing yet.
    pub fn get(&self, entry: &TableEntry) -> Arc<Table> {
        self.get_at(entry.id, entry.zone, &entry.path)
    }

    /// The table of this id in this folder below a zone; reads nothing yet.
    pub fn get_at(&self, id: TableId, zone: ZoneName, path: &str) -> Arc<Table> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MAX_OPEN {
            open.retain(|_, table| Arc::strong_count(table) > 1);
        }
        let table = open.entry(id).or_insert_with(|| Arc::new(Table::open(self.zones.get(zone).folder(path))));
        Arc::clone(table)
    }
}
