//! A store behind a breaker, each of whose calls has a bounded time.
//!
//! Invariant: a call has one outcome: the first failure of a body or list that is being read is the call's.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, future, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};
use sluice_domain::CircuitOpen;
use tokio::time::timeout;

use super::{Admission, Breaker, is_outage};

/// How long a call may take that makes the store work on objects of any size or number.
const LONG_CALL: Duration = Duration::from_secs(120);
/// How fast a body must at least be sent, in bytes a second.
const LEAST_RATE: u64 = 1024 * 1024;
/// How much faster a store joins the parts of an object than it takes them.
const JOINING_SPEEDUP: u64 = 16;

/// A store that is not called while its breaker is open, and not waited for longer than its patience.
#[derive(Debug, Clone)]
pub struct Guarded {
    inner: Arc<dyn ObjectStore>,
    breaker: Arc<Breaker>,
    patience: Duration,
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guarded({})", self.inner)
    }
}

impl Guarded {
    /// Guard a store. `patience` is how long it may take to answer, and to send the next piece of a body or list; what
    /// is sent to it has longer, by its size.
    pub fn new(inner: Arc<dyn ObjectStore>, breaker: Arc<Breaker>, patience: Duration) -> Self {
        Self { inner, breaker, patience }
    }

    fn patience_for(&self, size_bytes: u64) -> Duration {
        self.patience + Duration::from_secs(size_bytes / LEAST_RATE)
    }

    async fn call<T>(&self, patience: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.begin(patience, work).await.map(|(answer, _)| answer)
    }

    /// The answer, and the admission for whoever reads what follows it.
    async fn begin<T>(&self, patience: Duration, work: impl Future<Output = Result<T>>) -> Result<(T, Admission)> {
        let mut admission = self.breaker.admit().map_err(refused)?;
        match timeout(patience, work).await.unwrap_or_else(|_| Err(too_slow(patience))) {
            Err(error) if is_outage(&error) => {
                admission.failed();
                Err(error)
            }
            result => {
                admission.answered();
                result.map(|answer| (answer, admission))
            }
        }
    }

    /// The same stream, under an admission that is asked for when it is first read.
    fn guard<T: Send + 'static>(
        &self,
        patience: Duration,
        items: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let breaker = Arc::clone(&self.breaker);
        let admitted = stream::once(async move {
            match breaker.admit() {
                Ok(admission) => watched(admission, patience, items),
                Err(open) => stream::once(future::ready(Err(refused(open)))).boxed(),
            }
        });
        admitted.flatten().fuse().boxed()
    }
}

/// A stream that ends with the first item that does not come in time or tells of an outage.
fn watched<T: Send + 'static>(
    admission: Admission,
    patience: Duration,
    items: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    let reading = stream::unfold(Some((admission, items)), move |state| async move {
        let (mut admission, mut items) = state?;
        let item = match timeout(patience, items.next()).await {
            Ok(Some(item)) => item,
            Ok(None) => {
                admission.answered();
                return None;
            }
            Err(_) => Err(too_slow(patience)),
        };
        if item.as_ref().is_err_and(|error| is_outage(error)) {
            admission.failed();
            return Some((item, None));
        }
        admission.answered();
        Some((item, Some((admission, items))))
    });
    // Some readers ask once more after the end.
    reading.fuse().boxed()
}

fn refused(open: CircuitOpen) -> Error {
    Error::Generic { store: "Guarded", source: Box::new(open) }
}

fn too_slow(patience: Duration) -> Error {
    let reason = format!("no answer within {} s", patience.as_secs_f32());
    let source = std::io::Error::new(std::io::ErrorKind::TimedOut, reason);
    Error::Generic { store: "Guarded", source: Box::new(source) }
}

#[async_trait]
impl ObjectStore for Guarded {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let patience = self.patience_for(payload.content_length() as u64);
        self.call(patience, self.inner.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.call(self.patience, self.inner.put_multipart_opts(location, opts)).await?;
        Ok(Box::new(GuardedUpload { inner, store: self.clone(), sent_bytes: 0 }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (result, admission) = self.begin(self.patience, self.inner.get_opts(location, options)).await?;
        let payload = match result.payload {
            GetResultPayload::Stream(body) => GetResultPayload::Stream(watched(admission, self.patience, body)),
            file => file,
        };
        Ok(GetResult { payload, ..result })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.guard(LONG_CALL, self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.guard(self.patience, self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.guard(self.patience, self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.call(LONG_CALL, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.call(LONG_CALL, self.inner.copy_opts(from, to, options)).await
    }
}

/// An upload in parts, each of which is a call of its own.
#[derive(Debug)]
struct GuardedUpload {
    inner: Box<dyn MultipartUpload>,
    store: Guarded,
    sent_bytes: u64,
}

#[async_trait]
impl MultipartUpload for GuardedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let size_bytes = data.content_length() as u64;
        self.sent_bytes += size_bytes;
        let (store, part) = (self.store.clone(), self.inner.put_part(data));
        async move { store.call(store.patience_for(size_bytes), part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let patience = self.store.patience_for(self.sent_bytes / JOINING_SPEEDUP);
        self.store.call(patience, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.store.call(self.store.patience, self.inner.abort()).await
    }
}
