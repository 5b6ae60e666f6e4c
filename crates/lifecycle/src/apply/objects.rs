//! The bytes of uploads.

use object_store::{ObjectStoreExt as _, path::Path};
use sluice_catalog::Original;
use sluice_domain::{PlanAction, StorageClass, UploadId, ZoneName};
use sluice_storage::StorageError;

use super::{Applier, Done, skipped};
use crate::LifecycleError;

impl Applier<'_> {
    pub(super) async fn object(&self, upload: UploadId, action: &PlanAction) -> Result<Done, LifecycleError> {
        let Some(original) = self.lake.catalog.stored_objects().original(upload).await? else {
            return skipped("the bytes are gone already");
        };
        let item = self.planner().object_item(&original).await?;
        let Some(item) = item.filter(|item| item.action == *action) else {
            return skipped("the rules say otherwise now");
        };
        if let Some(refusal) = item.refusal {
            return skipped(refusal);
        }
        match action {
            PlanAction::Transition { to, .. } => self.transition(&original, *to).await,
            PlanAction::ExpireObject => self.expire(&original).await,
            _ => skipped("this is not done to objects"),
        }
    }

    async fn transition(&self, original: &Original, to: StorageClass) -> Result<Done, LifecycleError> {
        let simulated = match self.lake.zones.bucket() {
            Some(bucket) => {
                bucket.set_class(&Path::from(original.raw_path.as_str()), to).await?;
                false
            }
            None => true,
        };
        self.lake.catalog.stored_objects().set_class(&original.raw_path, to, simulated).await?;
        let how = if simulated { "noted in the catalog" } else { "changed in the bucket" };
        Ok(Done::Freed(0, format!("the class is {to} now, {how}")))
    }

    async fn expire(&self, original: &Original) -> Result<Done, LifecycleError> {
        // Said first: whoever asks for bytes that are gone is told why, even if this ends in between.
        self.lake.catalog.stored_objects().expire(&original.raw_path).await?;
        let store = self.lake.zones.get(ZoneName::Raw).store();
        match store.delete(&Path::from(original.raw_path.as_str())).await {
            Ok(()) => {
                Ok(Done::Freed(original.size_bytes, "the bytes are gone; the ledger keeps their hash".to_owned()))
            }
            Err(object_store::Error::NotFound { .. }) => skipped("the bytes are gone already"),
            Err(error) => Err(StorageError::from(error).into()),
        }
    }
}
