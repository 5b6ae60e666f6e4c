//! Rules that S3 runs.

use sluice_domain::PlanAction;

use super::{Applier, Done, skipped};
use crate::LifecycleError;

impl Applier<'_> {
    pub(super) async fn bucket_rule(&self, id: &str, action: &PlanAction) -> Result<Done, LifecycleError> {
        let Some(bucket) = self.lake.zones.bucket() else { return skipped("the raw zone is not in S3") };
        let changes = self.planner().bucket_changes().await?;
        let Some(change) = changes.into_iter().find(|change| change.id == id) else {
            return skipped("the bucket is as the rules say");
        };
        if let Some(refusal) = change.refusal {
            return skipped(refusal);
        }
        match (&change.wanted, action) {
            (Some(wanted), PlanAction::SetBucketRule) => bucket.set_rule(wanted).await?,
            (None, PlanAction::RemoveBucketRule) => bucket.remove_rule(id).await?,
            _ => return skipped("the rules say otherwise now"),
        }
        Ok(Done::Freed(0, format!("the bucket {} has it so", bucket.name())))
    }
}
