//! A store for tests that breaks one promise, and remembers the parts it was sent.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures::{FutureExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, memory::InMemory, path::Path,
};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Put-if-absent overwrites.
    CreateOverwrites,
    /// Put-if-absent overwrites, and says that it did not.
    CreateOverwritesAndDenies,
    /// Put-if-absent is not implemented.
    NoCreate,
    /// Nothing is answered.
    Unreachable,
    /// The part of this number fails.
    Part(usize),
}

/// The parts that a store was sent.
#[derive(Debug, Default, Clone)]
pub(crate) struct Parts {
    /// Their sizes in bytes.
    pub(crate) sizes: Vec<usize>,
    /// How many were under way at most.
    pub(crate) most_in_flight: usize,
    /// Whether the upload was given up.
    pub(crate) aborted: bool,
    in_flight: usize,
}

/// An `InMemory` with a fault.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    inner: Arc<InMemory>,
    fault: Fault,
    parts: Arc<Mutex<Parts>>,
}

impl Faulty {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { inner: Arc::default(), fault, parts: Arc::default() }
    }

    pub(crate) fn parts(&self) -> Parts {
        self.parts.lock().unwrap().clone()
    }

    fn answer(&self) -> Result<()> {
        if self.fault == Fault::Unreachable { Err(broken()) } else { Ok(()) }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({:?})", self.fault)
    }
}

fn broken() -> Error {
    Error::Generic { store: "Faulty", source: "broken".into() }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut opts: PutOptions) -> Result<PutResult> {
        self.answer()?;
        let exists = self.inner.get_opts(location, GetOptions::default()).await.is_ok();
        if opts.mode == PutMode::Create {
            match self.fault {
                Fault::NoCreate => {
                    return Err(Error::NotImplemented { operation: "create".into(), implementer: self.to_string() });
                }
                Fault::CreateOverwrites | Fault::CreateOverwritesAndDenies => opts.mode = PutMode::Overwrite,
                _ => {}
            }
        }
        let result = self.inner.put_opts(location, payload, opts).await?;
        if exists && self.fault == Fault::CreateOverwritesAndDenies {
            return Err(Error::AlreadyExists { path: location.to_string(), source: "it is there".into() });
        }
        Ok(result)
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.answer()?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(FaultyUpload { inner, store: self.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.answer()?;
        self.inner.get_opts(location, options).await
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

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    store: Faulty,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let parts = Arc::clone(&self.store.parts);
        let mut sent = parts.lock().unwrap();
        sent.in_flight += 1;
        sent.most_in_flight = sent.most_in_flight.max(sent.in_flight);
        sent.sizes.push(data.content_length());
        let fails = self.store.fault == Fault::Part(sent.sizes.len());
        drop(sent);
        let part = self.inner.put_part(data);
        async move {
            tokio::task::yield_now().await;
            let outcome = if fails { Err(broken()) } else { part.await };
            parts.lock().unwrap().in_flight -= 1;
            outcome
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.store.parts.lock().unwrap().aborted = true;
        self.inner.abort().await
    }
}
