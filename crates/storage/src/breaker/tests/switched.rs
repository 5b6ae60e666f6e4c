//! A store for tests that fails when it is told to.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures::{StreamExt, future, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

/// What the store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It works.
    Works,
    /// It answers nothing but errors.
    Fails,
    /// It has no space.
    IsFull,
    /// It answers nothing at all.
    Hangs,
    /// Bodies and lists break off after their first item.
    BreaksOff,
    /// Bodies and lists stop coming after their first item.
    Stops,
}

/// An `InMemory` with a switch, which counts the calls.
#[derive(Debug, Clone)]
pub(super) struct Switched {
    inner: Arc<InMemory>,
    mode: Arc<Mutex<Mode>>,
    calls: Arc<AtomicUsize>,
}

impl fmt::Display for Switched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Switched")
    }
}

fn failure(source: std::io::ErrorKind) -> Error {
    Error::Generic { store: "Switched", source: Box::new(std::io::Error::from(source)) }
}

impl Switched {
    pub(super) fn new() -> Self {
        Self { inner: Arc::default(), mode: Arc::new(Mutex::new(Mode::Works)), calls: Arc::default() }
    }

    pub(super) fn switch(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    async fn answer(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match self.mode() {
            Mode::Fails => Err(failure(std::io::ErrorKind::ConnectionReset)),
            Mode::IsFull => Err(failure(std::io::ErrorKind::StorageFull)),
            Mode::Hangs => future::pending().await,
            Mode::Works | Mode::BreaksOff | Mode::Stops => Ok(()),
        }
    }

    fn items<T: Send + 'static>(&self, items: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
        match self.mode() {
            Mode::BreaksOff => {
                let broken = stream::once(future::ready(Err(failure(std::io::ErrorKind::ConnectionReset))));
                items.take(1).chain(broken).boxed()
            }
            Mode::Stops => items.take(1).chain(stream::pending()).boxed(),
            _ => items,
        }
    }
}

#[async_trait]
impl ObjectStore for Switched {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.answer().await?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.answer().await?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.answer().await?;
        let result = self.inner.get_opts(location, options).await?;
        let payload = match result.payload {
            GetResultPayload::Stream(body) => GetResultPayload::Stream(self.items(body)),
            file => file,
        };
        Ok(GetResult { payload, ..result })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.items(self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.items(self.inner.list(prefix))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.answer().await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.answer().await?;
        self.inner.copy_opts(from, to, options).await
    }
}
