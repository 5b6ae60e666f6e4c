//! A store whose writes stay in memory, above one that is only read.
//!
//! Invariant: nothing reaches the store behind but requests to read.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

use super::log::MAX_FILE_BYTES;

#[derive(Debug)]
pub(super) struct Overlay {
    below: Arc<dyn ObjectStore>,
    written: InMemory,
}

impl Overlay {
    pub(super) fn new(below: Arc<dyn ObjectStore>) -> Self {
        Self { below, written: InMemory::new() }
    }

    /// What was written and stayed here.
    pub(super) fn written(&self) -> &InMemory {
        &self.written
    }

    fn refused(&self, operation: &str) -> Error {
        Error::NotImplemented { operation: operation.into(), implementer: self.to_string() }
    }
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Overlay({})", self.below)
    }
}

#[async_trait]
impl ObjectStore for Overlay {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if payload.content_length() as u64 > MAX_FILE_BYTES {
            return Err(Error::Generic { store: "Overlay", source: "the object is too large for memory".into() });
        }
        self.written.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(self.refused("an upload in parts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.written.get_opts(location, options.clone()).await {
            Err(Error::NotFound { .. }) => self.below.get_opts(location, options).await,
            answer => answer,
        }
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let refused = self.refused("a deletion");
        stream::once(async { Err(refused) }).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.below.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.below.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.below.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(self.refused("a copy"))
    }
}
