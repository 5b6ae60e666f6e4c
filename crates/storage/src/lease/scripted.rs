//! A store for tests of leases.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use futures::{FutureExt, StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

use super::record::Record;

/// What a store does with its next write.
#[derive(Debug, Clone, Copy)]
pub(super) enum Put {
    /// Apply it, and answer that the object is there already.
    ApplyAndDeny,
    /// Apply it, and answer with an error.
    ApplyAndFail,
    /// Answer that another write is under way, as S3 does.
    Conflict,
    /// Answer with an error.
    Fail,
    /// Apply another's write first.
    ComeSecond,
}

/// An `InMemory` that treats its first writes as told, and before each request lets others have theirs.
#[derive(Debug)]
pub(super) struct Scripted {
    inner: Arc<InMemory>,
    script: Mutex<VecDeque<Put>>,
    dice: Arc<AtomicU64>,
}

impl Scripted {
    pub(super) fn new(script: &[Put], seed: u64) -> Self {
        let script = Mutex::new(script.iter().copied().collect());
        Self { inner: Arc::default(), script, dice: Arc::new(AtomicU64::new(seed)) }
    }
}

/// Let others come first, as often as the dice say.
async fn take_turns(dice: Arc<AtomicU64>) {
    let step = |state: u64| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    for _ in 0..step(dice.fetch_add(1, Ordering::SeqCst)) >> 62 {
        tokio::task::yield_now().await;
    }
}

impl fmt::Display for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait]
impl ObjectStore for Scripted {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        take_turns(Arc::clone(&self.dice)).await;
        let next = self.script.lock().unwrap().pop_front();
        let exists = || Error::AlreadyExists { path: location.to_string(), source: "scripted".into() };
        let broken = || Error::Generic { store: "Scripted", source: "scripted".into() };
        match next {
            Some(Put::Conflict) => return Err(exists()),
            Some(Put::Fail) => return Err(broken()),
            Some(Put::ComeSecond) => {
                let other = Record::new("other", Utc::now(), Utc::now() + TimeDelta::seconds(60));
                self.inner.put(location, serde_json::to_vec(&other).unwrap().into()).await?;
            }
            _ => {}
        }
        let result = self.inner.put_opts(location, payload, options).await?;
        match next {
            Some(Put::ApplyAndDeny) => Err(exists()),
            Some(Put::ApplyAndFail) => Err(broken()),
            _ => Ok(result),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        take_turns(Arc::clone(&self.dice)).await;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, dice, prefix) = (Arc::clone(&self.inner), Arc::clone(&self.dice), prefix.cloned());
        let listed = async move {
            take_turns(dice).await;
            inner.list(prefix.as_ref())
        };
        listed.flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
