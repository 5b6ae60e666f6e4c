//! Whether a store keeps the first of two writers of one name. Every commit depends on it.

use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, path::Path};
use uuid::Uuid;

use crate::{StorageError, Zone};

/// Where the probe writes, in the zone.
const PROBE_FOLDER: &str = ".sluice";
const FIRST: &str = "the first writer";
const SECOND: &str = "the second writer";

/// Write one name twice, and see that the store refuses the second writer and keeps the object of the first.
///
/// # Errors
/// [`StorageError::NoPutIfAbsent`] when it does not; any other when the zone cannot be written, read or deleted from.
pub async fn probe(zone: &Zone) -> Result<(), StorageError> {
    let store = zone.store();
    let path = Path::from(format!("{PROBE_FOLDER}/probe-{}", Uuid::new_v4()));
    let outcome = prove(&store, &path).await;
    let deleted = store.delete(&path).await;
    match outcome {
        Ok(Proof::Kept) => Ok(deleted?),
        Ok(Proof::Missing(reason)) => Err(StorageError::NoPutIfAbsent { location: zone.url().to_string(), reason }),
        // A write finds nothing missing but the place itself.
        Err(Error::NotFound { .. }) => Err(StorageError::BadLocation {
            location: zone.url().to_string(),
            reason: "there is no such bucket or folder".into(),
        }),
        Err(error) => Err(error.into()),
    }
}

enum Proof {
    /// The second writer was refused, and the object of the first is there.
    Kept,
    /// The store has no put-if-absent, because of what it did.
    Missing(String),
}

async fn prove(store: &dyn ObjectStore, path: &Path) -> Result<Proof, Error> {
    match store.put_opts(path, FIRST.into(), PutMode::Create.into()).await {
        // A repeated request meets its own first try; what the object holds tells.
        Ok(_) | Err(Error::AlreadyExists { .. }) => {}
        Err(error @ (Error::NotImplemented { .. } | Error::NotSupported { .. })) => {
            return Ok(Proof::Missing(error.to_string()));
        }
        Err(error) => return Err(error),
    }
    match store.put_opts(path, SECOND.into(), PutMode::Create.into()).await {
        Err(Error::AlreadyExists { .. }) => {}
        Ok(_) => return Ok(Proof::Missing("it let a second writer replace an object".into())),
        Err(error) => return Err(error),
    }
    let kept = store.get(path).await?.bytes().await?;
    if kept == FIRST.as_bytes() {
        return Ok(Proof::Kept);
    }
    Ok(Proof::Missing("it did not keep the object of the first of two writers".into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sluice_domain::ZoneName;
    use url::Url;

    use super::*;
    use crate::stores::{
        Opened,
        faulty::{Fault, Faulty},
    };

    async fn probe_with(fault: Fault) -> Result<(), StorageError> {
        let url = Url::parse("s3://lake/raw/").unwrap();
        let place = Opened { url, root: Arc::new(Faulty::new(fault)), path: Path::from("raw") };
        probe(&Zone::new(ZoneName::Raw, place)).await
    }

    #[tokio::test]
    async fn a_store_without_put_if_absent_is_told() {
        for fault in [Fault::CreateOverwrites, Fault::CreateOverwritesAndDenies, Fault::NoCreate] {
            let error = probe_with(fault).await.unwrap_err();
            assert!(matches!(error, StorageError::NoPutIfAbsent { .. }), "{fault:?}: {error:?}");
            assert!(error.to_string().starts_with("the location s3://lake/raw/ has no put-if-absent: "), "{error}");
        }
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_is_unavailable() {
        let error = probe_with(Fault::Unreachable).await.unwrap_err();
        assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
    }
}
