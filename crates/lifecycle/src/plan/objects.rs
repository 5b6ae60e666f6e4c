//! The bytes of uploads.

use sluice_catalog::Original;
use sluice_domain::{LakeZone, LifecycleAction, PlanAction, PlanItem, PlanSubject, StorageClass, ZoneName};
use sluice_storage::MAX_COPY_BYTES;

use super::{Draft, PAGE, Planner};
use crate::{
    Labels, LifecycleError,
    rules::{ObjectFacts, Target, decide_object},
};

/// How many uploads one plan looks at.
const MAX_SCANNED: u64 = 10_000_000;

impl Planner<'_> {
    pub(super) async fn add_objects(&mut self, draft: &mut Draft) -> Result<(), LifecycleError> {
        let of_objects = |action: &LifecycleAction| {
            matches!(action, LifecycleAction::Transition(_) | LifecycleAction::ExpireObjects(_))
        };
        if !self.has(of_objects) {
            return Ok(());
        }
        let (mut after, mut scanned) = (None, 0);
        loop {
            let originals = self.lake.catalog.stored_objects().originals(after, PAGE).await?;
            let Some(last) = originals.last() else { return Ok(()) };
            after = Some(last.upload);
            scanned += originals.len() as u64;
            for original in &originals {
                if let Some(item) = self.object_item(original).await? {
                    draft.add(item);
                }
            }
            if draft.is_full() || scanned >= MAX_SCANNED {
                draft.truncated = true;
                return Ok(());
            }
        }
    }

    /// What the rules say of the bytes of an upload.
    pub(crate) async fn object_item(&mut self, original: &Original) -> Result<Option<PlanItem>, LifecycleError> {
        let labels = match original.table_id {
            Some(table) => self.labels_of(table).await?,
            None => Labels::default(),
        };
        let key = self.lake.zones.get(ZoneName::Raw).key_of(&original.raw_path);
        let target = Target { key: &key, zone: LakeZone::Raw, table: &original.table, labels: &labels };
        let facts = ObjectFacts { landed_at: original.landed_at, class: original.object.class, state: original.state };
        let Some(mut proposal) = decide_object(&self.rules, &target, facts, self.now) else { return Ok(None) };
        let to = match proposal.action {
            PlanAction::Transition { to, .. } => Some(to),
            _ => None,
        };
        let is_local = self.lake.zones.bucket().is_none();
        if to.is_some() && !is_local && original.size_bytes > MAX_COPY_BYTES {
            let reason = format!("S3 copies {MAX_COPY_BYTES} bytes at once at the most: let the bucket run this rule");
            proposal.refusal.get_or_insert(reason);
        }
        let size_bytes = original.size_bytes;
        let saved = self.settings.prices.saved(original.object.class, to, size_bytes);
        let subject = PlanSubject::Object {
            upload: original.upload,
            table: original.table.clone(),
            path: original.raw_path.clone(),
        };
        // A local folder has one class: nothing is saved there by another one's name.
        let simulated = is_local && to.is_some_and(|to| to != StorageClass::Standard);
        Ok(Some(PlanItem { simulated, ..self.item(subject, proposal, size_bytes, saved) }))
    }
}
