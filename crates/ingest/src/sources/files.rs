//! The files of a place, wherever it is: listed in pieces, and read.

use std::{future::ready, ops::ControlFlow, sync::Arc};

use chrono::{DateTime, SecondsFormat, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, path::Path};
use sluice_domain::{ErrorKind, StoredFailure};
use sluice_storage::{DropFolder, DroppedFile, StorageError, StorageSettings, describe_dropped, read_object};
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_util::io::ReaderStream;

use super::{SourceError, location::Location};
use crate::{Body, BodyError};

/// How many files one piece of a listing has.
const PIECE_FILES: usize = 500;
/// How many pieces wait to be looked at.
const PIECES_AHEAD: usize = 2;
/// How much of a file is read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

/// A file that is there.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// Its path below the place.
    pub(super) path: String,
    /// What tells this content from another one.
    pub(super) fingerprint: String,
    /// When it was changed last.
    pub(super) modified: DateTime<Utc>,
}

/// A place with files.
pub(super) enum Files {
    /// A folder of this machine.
    Folder(Arc<DropFolder>),
    /// A prefix of a bucket.
    Bucket { store: Arc<dyn ObjectStore>, prefix: Path },
}

impl Files {
    pub(super) async fn at(location: Location, storage: &StorageSettings) -> Result<Self, SourceError> {
        match location {
            Location::Folder { root, below } => {
                let shown = root.join(&below).display().to_string();
                let opening = spawn_blocking(move || DropFolder::open(&root, &below)).await;
                let opened = opening.map_err(|_| SourceError::internal("a folder was not opened"))?;
                opened
                    .map(|folder| Self::Folder(Arc::new(folder)))
                    .map_err(|error| SourceError::unreadable(&shown, error))
            }
            Location::Bucket(url) => {
                let opened = sluice_storage::open(url.as_str(), storage)?;
                Ok(Self::Bucket { store: opened.root, prefix: opened.path })
            }
        }
    }

    /// Whether a file may be there before all of it is.
    pub(super) fn can_be_half_written(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// Every file, in pieces and in no order.
    pub(super) fn list(&self) -> BoxStream<'static, Result<Vec<Listed>, SourceError>> {
        match self {
            Self::Folder(folder) => list_folder(Arc::clone(folder)),
            Self::Bucket { store, prefix } => {
                let (store, prefix) = (Arc::clone(store), prefix.clone());
                let found = store.list(Some(&prefix)).map(move |meta| {
                    let meta = meta.map_err(StorageError::from)?;
                    let below = meta.location.prefix_match(&prefix).into_iter().flatten();
                    let path = below.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
                    Ok(Listed { path, fingerprint: of_object(&meta), modified: meta.last_modified })
                });
                let pieces = found.chunks(PIECE_FILES);
                pieces.map(|piece: Vec<Result<Listed, SourceError>>| piece.into_iter().collect()).boxed()
            }
        }
    }

    /// The bytes of a file that is still the one that was listed.
    pub(super) async fn open(&self, path: &str, fingerprint: &str) -> Result<Body<'static>, StoredFailure> {
        match self {
            Self::Folder(folder) => open_dropped(Arc::clone(folder), path.to_owned(), fingerprint.to_owned()).await,
            Self::Bucket { store, prefix } => {
                let below = Path::parse(path).map_err(|error| unreadable(path, error))?;
                let path: Path = prefix.parts().chain(below.parts()).collect();
                open_object(Arc::clone(store), path, fingerprint.to_owned()).await
            }
        }
    }
}

fn list_folder(folder: Arc<DropFolder>) -> BoxStream<'static, Result<Vec<Listed>, SourceError>> {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    spawn_blocking(move || {
        let mut piece = Vec::with_capacity(PIECE_FILES);
        let walked = folder.walk(|file| {
            piece.push(Listed { fingerprint: of_dropped(&file), modified: file.modified, path: file.path });
            if piece.len() < PIECE_FILES || sender.blocking_send(Ok(std::mem::take(&mut piece))).is_ok() {
                return ControlFlow::Continue(());
            }
            ControlFlow::Break(())
        });
        // Whoever asked may have gone.
        let _ =
            sender.blocking_send(walked.map(|()| piece).map_err(|error| SourceError::unreadable("the folder", error)));
    });
    stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) }).boxed()
}

async fn open_dropped(
    folder: Arc<DropFolder>,
    path: String,
    fingerprint: String,
) -> Result<Body<'static>, StoredFailure> {
    let name = path.clone();
    let opening = spawn_blocking(move || {
        let (file, found) = folder.open_file(&path)?;
        let beside = file.try_clone()?;
        std::io::Result::Ok((file, beside, of_dropped(&found)))
    });
    let opened = opening.await.map_err(|error| unreadable(&name, error))?;
    let (file, beside, found) = opened.map_err(|error| unreadable(&name, error))?;
    if found != fingerprint {
        return Err(unreadable(&name, CHANGES));
    }
    let bytes = ReaderStream::with_capacity(tokio::fs::File::from_std(file), READ_BYTES);
    let bytes = bytes.map_err(|error| BodyError::Broken { reason: error.to_string() });
    let now = async move {
        let asking = spawn_blocking(move || describe_dropped(&name, &beside).map(|found| of_dropped(&found)));
        asking.await.ok()?.ok()
    };
    Ok(bytes.chain(unchanged(now, fingerprint)).boxed())
}

async fn open_object(
    store: Arc<dyn ObjectStore>,
    path: Path,
    fingerprint: String,
) -> Result<Body<'static>, StoredFailure> {
    let found = store.head(&path).await.map_err(|error| unreadable(path.as_ref(), StorageError::from(error)))?;
    if of_object(&found) != fingerprint {
        return Err(unreadable(path.as_ref(), CHANGES));
    }
    let bytes = read_object(Arc::clone(&store), path.clone(), found.size).await;
    let bytes = bytes.map_err(|error| unreadable(path.as_ref(), error))?;
    let bytes = bytes.map_err(|error| BodyError::Broken { reason: error.to_string() });
    let now = async move { store.head(&path).await.ok().map(|found| of_object(&found)) };
    Ok(bytes.chain(unchanged(now, fingerprint)).boxed())
}

/// Why a file is not taken that is not the one that was listed.
const CHANGES: &str = "it changes while it is looked at";

/// Nothing, but an error where the file is another one by now.
fn unchanged(
    now: impl Future<Output = Option<String>> + Send + 'static,
    fingerprint: String,
) -> BoxStream<'static, Result<bytes::Bytes, BodyError>> {
    let check = stream::once(now).filter_map(move |now| {
        let changed = || Err(BodyError::Broken { reason: CHANGES.to_owned() });
        ready((now.as_deref() != Some(fingerprint.as_str())).then(changed))
    });
    check.boxed()
}

fn of_dropped(file: &DroppedFile) -> String {
    format!("{}-{}", file.size_bytes, file.modified.to_rfc3339_opts(SecondsFormat::Nanos, true))
}

fn of_object(meta: &ObjectMeta) -> String {
    let modified = || meta.last_modified.to_rfc3339_opts(SecondsFormat::Nanos, true);
    format!("{}-{}", meta.size, meta.e_tag.clone().unwrap_or_else(modified))
}

fn unreadable(path: &str, reason: impl ToString) -> StoredFailure {
    let detail = format!("{path} could not be read: {}", reason.to_string());
    StoredFailure { kind: ErrorKind::Unavailable, code: "file-unreadable".to_owned(), detail }
}
