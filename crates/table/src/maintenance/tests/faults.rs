//! A store that fails once, at a chosen name, in a chosen way.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A write fails before anything is stored.
    PutFails,
    /// A write is stored and then fails.
    PutFailsAfter,
    /// Half of a write is stored, and all is said to be well.
    PutIsCut,
    /// A deletion fails.
    DeleteFails,
}

/// A store with one fault to come.
#[derive(Debug)]
pub(super) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    next: Arc<Mutex<Option<(Fault, String)>>>,
}

/// Arms the fault of a store.
#[derive(Clone)]
pub(super) struct Trigger(Arc<Mutex<Option<(Fault, String)>>>);

impl Trigger {
    /// The next request of the kind for a path that ends so goes wrong.
    pub(super) fn arm(&self, fault: Fault, ending: &str) {
        *self.0.lock().unwrap() = Some((fault, ending.to_owned()));
    }

    pub(super) fn is_armed(&self) -> bool {
        self.0.lock().unwrap().is_some()
    }
}

impl Faulty {
    pub(super) fn new(inner: Arc<dyn ObjectStore>) -> (Self, Trigger) {
        let next = Arc::default();
        (Self { inner, next: Arc::clone(&next) }, Trigger(next))
    }
}

/// The fault that this request meets, of those that it can meet.
fn take(next: &Mutex<Option<(Fault, String)>>, location: &Path, of: impl FnOnce(Fault) -> bool) -> Option<Fault> {
    let mut next = next.lock().unwrap();
    let (fault, _) = next.take_if(|(fault, ending)| of(*fault) && location.as_ref().ends_with(ending.as_str()))?;
    Some(fault)
}

fn broken() -> Error {
    Error::Generic { store: "Faulty", source: "broken".into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match take(&self.next, location, |fault| fault != Fault::DeleteFails) {
            Some(Fault::PutFails) => Err(broken()),
            Some(Fault::PutFailsAfter) => {
                self.inner.put_opts(location, payload, options).await?;
                Err(broken())
            }
            Some(Fault::PutIsCut) => {
                let bytes = Bytes::from(payload);
                self.inner.put_opts(location, bytes.slice(..bytes.len() / 2).into(), options).await
            }
            _ => self.inner.put_opts(location, payload, options).await,
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
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let next = Arc::clone(&self.next);
        let checked = locations.map(move |location| {
            let location = location?;
            let fails = take(&next, &location, |fault| fault == Fault::DeleteFails).is_some();
            if fails { Err(broken()) } else { Ok(location) }
        });
        self.inner.delete_stream(checked.boxed())
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
