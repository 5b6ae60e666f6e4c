//! Whether the lake holds what it should: the ledger's word against the bytes in the store.
//!
//! Owns the comparison and the ways back. Never trusts the log where the ledger knows better.
//!
//! Invariant: nothing is repaired from anything but bytes whose hash the ledger knows.

mod finding;
mod rebuild;
mod repair;
mod scrub;
mod tail;
mod verify;

pub use finding::{Damage, Finding, Repair};
pub use rebuild::RebuiltTable;
pub use tail::TailCheck;

use std::{path::Path, sync::Arc};

use sluice_catalog::Catalog;
use sluice_domain::TableEntry;
use sluice_storage::Zones;
use sluice_table::Shelf;

use crate::{IngestError, IngestSettings, Lake, pipeline::Pipeline};

/// How many tables are looked up at a time.
const PAGE: u32 = 100;

/// Compares a lake with its ledger, and puts it right.
pub struct Integrity {
    catalog: Catalog,
    zones: Arc<Zones>,
    shelf: Arc<Shelf>,
    pipeline: Pipeline,
}

impl Integrity {
    /// Over this lake; scratch files go into `scratch_dir`, which must exist.
    ///
    /// # Errors
    /// The processes that decode cannot be started.
    pub fn new(settings: IngestSettings, lake: Lake, scratch_dir: &Path) -> std::io::Result<Self> {
        let Lake { zones, catalog, shelf } = lake;
        let pipeline = Pipeline::new(settings, Arc::clone(&zones), scratch_dir.to_owned())?;
        Ok(Self { catalog, zones, shelf, pipeline })
    }

    /// Every active table.
    async fn tables(&self) -> Result<Vec<TableEntry>, IngestError> {
        let mut page = sluice_domain::PageRequest { size: PAGE, token: None };
        let mut tables = Vec::new();
        loop {
            let found = self.catalog.tables().list(None, None, &page).await?;
            tables.extend(found.items);
            if found.next.is_none() {
                return Ok(tables);
            }
            page.token = found.next;
        }
    }
}
