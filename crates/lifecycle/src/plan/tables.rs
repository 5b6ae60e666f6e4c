//! Tables: their rows, versions and files, and those that were deleted.

use sluice_domain::{
    LifecycleAction, PageRequest, PlanAction, PlanItem, PlanSubject, TableEntry, TableFormat, ZoneName,
};
use sluice_table::{Table, TableError, VacuumRetention};

use super::{Draft, PAGE, Planner, zone_of};
use crate::{
    LifecycleError,
    rules::{Proposal, Target, decide_compaction, decide_purge, decide_rows, decide_versions},
};

/// How many objects of a deleted table are counted.
const MAX_COUNTED: usize = 1_000_000;

/// What rules say of a table, and from how many files on it is compacted.
pub(crate) struct Said {
    pub(crate) proposals: Vec<Proposal>,
    min_files: usize,
}

impl Planner<'_> {
    pub(super) async fn add_tables(&mut self, draft: &mut Draft) -> Result<(), LifecycleError> {
        let of_tables = |action: &LifecycleAction| {
            use LifecycleAction::{Compact, ExpireRows, Versions};
            matches!(action, ExpireRows(_) | Versions(_) | Compact(_))
        };
        if !self.has(of_tables) {
            return Ok(());
        }
        let mut page = PageRequest { size: PAGE, token: None };
        loop {
            let tables = self.lake.catalog.tables().list(None, None, &page).await?;
            for entry in &tables.items {
                if draft.is_full() {
                    draft.truncated = true;
                    return Ok(());
                }
                for item in self.table_items(entry).await? {
                    draft.add(item);
                }
            }
            let Some(next) = tables.next else { return Ok(()) };
            page.token = Some(next);
        }
    }

    /// What the rules say of a table, whatever is in it.
    pub(crate) async fn said_of(&mut self, entry: &TableEntry) -> Result<Said, LifecycleError> {
        let labels = self.labels_of(entry.id).await?;
        let key = self.key_of(entry);
        let target = Target { key: &key, zone: zone_of(entry.zone), table: &entry.name, labels: &labels };
        let compaction = decide_compaction(&self.rules, &target);
        let min_files = compaction.as_ref().map_or(0, |(_, min_files)| *min_files as usize);
        let mut proposals: Vec<Proposal> = decide_rows(&self.rules, &target, self.now).into_iter().collect();
        proposals.extend(decide_versions(&self.rules, &target));
        proposals.extend(compaction.map(|(proposal, _)| proposal));
        Ok(Said { proposals, min_files })
    }

    async fn table_items(&mut self, entry: &TableEntry) -> Result<Vec<PlanItem>, LifecycleError> {
        let said = self.said_of(entry).await?;
        if said.proposals.is_empty() {
            return Ok(Vec::new());
        }
        if entry.format == TableFormat::Parquet {
            let refused = |proposal: Proposal| {
                let reason = reason_of_plain(&proposal.action);
                self.refused(entry, vec![proposal], reason)
            };
            return Ok(said.proposals.into_iter().flat_map(refused).collect());
        }
        if let Err(error) = self.lake.facts.check_log(entry).await {
            let reason = format!("its log cannot be trusted: {error}");
            return Ok(self.refused(entry, said.proposals, &reason));
        }
        let table = self.lake.shelf.get(entry);
        let mut items = Vec::new();
        for proposal in said.proposals {
            match self.items_of(entry, &table, proposal.clone(), said.min_files).await {
                Ok(found) => items.extend(found),
                Err(LifecycleError::Table(TableError::Refused(refusal))) => {
                    items.extend(self.refused(entry, vec![proposal], &refusal.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(items)
    }

    /// The items of one proposal: none where the table holds nothing that it is about.
    async fn items_of(
        &self,
        entry: &TableEntry,
        table: &Table,
        proposal: Proposal,
        min_files: usize,
    ) -> Result<Vec<PlanItem>, LifecycleError> {
        let subject = || PlanSubject::Table { id: entry.id, name: entry.name.clone() };
        let (size_bytes, saves) = match &proposal.action {
            PlanAction::ExpireRows { column, before } => {
                let aged = table.find_aged(column.as_deref(), *before).await?;
                return Ok(self.aged_items(entry, &proposal, aged));
            }
            PlanAction::Vacuum { hours } => {
                let found = table.plan_vacuum(VacuumRetention::from_hours(*hours)?, self.now).await?;
                (found.size_bytes, true)
            }
            PlanAction::CleanLog { hours } => {
                let is_old = self.has_old_versions(table, *hours).await?;
                return Ok(is_old.then(|| self.item(subject(), proposal, 0, 0.0)).into_iter().collect());
            }
            PlanAction::Compact { below_bytes, .. } => {
                (table.find_small_files(*below_bytes, min_files).await?.size_bytes, false)
            }
            _ => return Ok(Vec::new()),
        };
        if size_bytes == 0 {
            return Ok(Vec::new());
        }
        let saved = if saves { self.saved_by_removal(size_bytes) } else { 0.0 };
        Ok(vec![self.item(subject(), proposal, size_bytes, saved)])
    }

    fn aged_items(&self, entry: &TableEntry, proposal: &Proposal, aged: Vec<sluice_table::AgedRows>) -> Vec<PlanItem> {
        let item = |aged: sluice_table::AgedRows| {
            let (id, name) = (entry.id, entry.name.clone());
            let subject = match aged.partition {
                Some(value) => PlanSubject::Partition { id, name, value },
                None => PlanSubject::Table { id, name },
            };
            let saved = self.saved_by_removal(aged.size_bytes);
            PlanItem { rows: aged.rows, ..self.item(subject, proposal.clone(), aged.size_bytes, saved) }
        };
        aged.into_iter().map(item).collect()
    }

    /// Whether the log has a version that was followed before these hours.
    async fn has_old_versions(&self, table: &Table, hours: u64) -> Result<bool, LifecycleError> {
        let versions = table.log_versions().await?;
        // The first version that was followed is the second of them.
        let Some(follower) = versions.iter().nth(1) else { return Ok(false) };
        let entries = table.versions(Some(follower + 1), 1).await?;
        let followed_at = entries.first().and_then(|entry| entry.committed_at);
        let age = followed_at.map(|at| (self.now - at).num_hours());
        Ok(age.is_some_and(|age| age >= 0 && age.unsigned_abs() >= hours))
    }

    fn refused(&self, entry: &TableEntry, proposals: Vec<Proposal>, reason: &str) -> Vec<PlanItem> {
        let item = |mut proposal: Proposal| {
            proposal.refusal.get_or_insert_with(|| reason.to_owned());
            self.item(PlanSubject::Table { id: entry.id, name: entry.name.clone() }, proposal, 0, 0.0)
        };
        proposals.into_iter().map(item).collect()
    }

    pub(super) async fn add_deleted_tables(&mut self, draft: &mut Draft) -> Result<(), LifecycleError> {
        if !self.has(|action| matches!(action, LifecycleAction::PurgeDeleted(_))) {
            return Ok(());
        }
        let tables = self.lake.catalog.stored_objects().deleted_tables(self.now, PAGE).await?;
        draft.truncated |= tables.len() >= PAGE as usize;
        for entry in &tables {
            if let Some(proposal) = self.purge_of(entry).await? {
                let size_bytes = self.size_of(entry).await?;
                let subject = PlanSubject::Table { id: entry.id, name: entry.name.clone() };
                let saved = self.saved_by_removal(size_bytes);
                draft.add(self.item(subject, proposal, size_bytes, saved));
            }
        }
        Ok(())
    }

    /// What the rules say of a deleted table.
    pub(crate) async fn purge_of(&mut self, entry: &TableEntry) -> Result<Option<Proposal>, LifecycleError> {
        let Some(deleted_at) = entry.deleted_at else { return Ok(None) };
        let (labels, key) = (self.labels_of(entry.id).await?, self.key_of(entry));
        let target = Target { key: &key, zone: zone_of(entry.zone), table: &entry.name, labels: &labels };
        Ok(decide_purge(&self.rules, &target, deleted_at, self.now))
    }

    async fn size_of(&self, entry: &TableEntry) -> Result<u64, LifecycleError> {
        use futures::TryStreamExt as _;
        let folder = self.lake.zones.get(entry.zone).folder(&entry.path);
        let mut listed = folder.store.list(None);
        let (mut size_bytes, mut counted) = (0, 0);
        while let Some(object) = listed.try_next().await.map_err(sluice_storage::StorageError::from)? {
            size_bytes += object.size;
            counted += 1;
            if counted >= MAX_COUNTED {
                break;
            }
        }
        Ok(size_bytes)
    }

    fn key_of(&self, entry: &TableEntry) -> String {
        let zone: ZoneName = entry.zone;
        self.lake.zones.get(zone).key_of(&format!("{}/", entry.path))
    }
}

/// Why this is not done to a plain table, whose files are never replaced. What is done to the uploads to it, and to it
/// once it is deleted, is as for every table.
fn reason_of_plain(action: &PlanAction) -> &'static str {
    match action {
        PlanAction::ExpireRows { .. } => {
            "a plain table has no log that could take rows away, so its files stay as they are"
        }
        PlanAction::Vacuum { .. } | PlanAction::CleanLog { .. } => {
            "a plain table has no log: none of its files is ever replaced, and no version of it is kept by itself"
        }
        PlanAction::Compact { .. } => {
            "a plain table has no log that could replace its files, so they are not put together"
        }
        _ => "this is not done to a plain table",
    }
}
