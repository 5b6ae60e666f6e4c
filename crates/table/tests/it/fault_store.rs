//! A store in memory whose next writes of the log go wrong in a chosen way.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

/// What becomes of a write of a log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails and does nothing.
    Before,
    /// It takes, and an error is answered.
    After,
    /// It takes, and the store's own retry is told that the entry exists.
    AfterThenExists,
    /// An error is answered, and it takes after the next read has found nothing.
    Late,
    /// It takes, and neither the write nor the next read is answered.
    AfterAndBlind,
    /// It is refused for good.
    Refused,
}

#[derive(Debug, Default)]
struct Plan {
    faults: VecDeque<Fault>,
    late: Option<(Path, PutPayload)>,
    blind: bool,
    entries_put: usize,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FaultStore {
    inner: Arc<InMemory>,
    plan: Arc<Mutex<Plan>>,
}

impl FaultStore {
    pub(crate) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.plan.lock().unwrap().faults.extend(faults);
    }

    pub(crate) fn faults_left(&self) -> usize {
        self.plan.lock().unwrap().faults.len()
    }

    fn take(&self, location: &Path) -> Option<Fault> {
        let is_entry = location.as_ref().contains("_delta_log/") && location.as_ref().ends_with(".json");
        let mut plan = self.plan.lock().unwrap();
        plan.entries_put += usize::from(is_entry);
        if is_entry { plan.faults.pop_front() } else { None }
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore")
    }
}

fn lost() -> Error {
    Error::Generic { store: "FaultStore", source: "the connection was lost".into() }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let Some(fault) = self.take(location) else { return self.inner.put_opts(location, payload, opts).await };
        match fault {
            Fault::Before => return Err(lost()),
            Fault::Refused => {
                return Err(Error::PermissionDenied { path: location.to_string(), source: "read only".into() });
            }
            Fault::Late => {
                self.plan.lock().unwrap().late = Some((location.clone(), payload));
                return Err(lost());
            }
            Fault::After | Fault::AfterThenExists | Fault::AfterAndBlind => {}
        }
        self.inner.put_opts(location, payload, opts).await?;
        self.plan.lock().unwrap().blind = fault == Fault::AfterAndBlind;
        if fault == Fault::AfterThenExists {
            return Err(Error::AlreadyExists { path: location.to_string(), source: "it is there".into() });
        }
        Err(lost())
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if std::mem::take(&mut self.plan.lock().unwrap().blind) {
            return Err(lost());
        }
        let found = self.inner.get_opts(location, options).await;
        let late = self.plan.lock().unwrap().late.take();
        if let Some((late, payload)) = late {
            let mode = object_store::PutMode::Create;
            drop(self.inner.put_opts(&late, payload, PutOptions { mode, ..PutOptions::default() }).await);
        }
        found
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
