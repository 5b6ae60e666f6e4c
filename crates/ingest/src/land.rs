//! The body of an upload becomes one durable object of the raw zone, byte for byte, hashed on the way.
//!
//! Invariant: the object has its name only when every byte of the body is in it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use chrono::Utc;
use futures::{StreamExt as _, stream::BoxStream};
use object_store::path::Path;
use sha2::{Digest as _, Sha256};
use sluice_domain::{ErrorKind, Failure, Landed};
use sluice_storage::{ObjectWriter, Zone};
use tokio::sync::mpsc;

use crate::{IngestError, IngestSettings, source::Arrival};

/// A body as it comes in.
pub type Body<'a> = BoxStream<'a, Result<Bytes, BodyError>>;

/// Why a body did not come in whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// There are no bytes in it.
    #[error("the body is empty")]
    Empty,
    /// It is longer than what is taken.
    #[error("the body is longer than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// Its next piece took too long.
    #[error("the next piece of the body did not come within {seconds} seconds")]
    TooSlow {
        /// The limit.
        seconds: u64,
    },
    /// It comes too slowly on the whole.
    #[error("the body comes at less than {bytes_per_second} bytes a second")]
    Dripping {
        /// The least rate that is waited for.
        bytes_per_second: u64,
    },
    /// The connection or the framing broke.
    #[error("the body broke off: {reason}")]
    Broken {
        /// What is known about it.
        reason: String,
    },
}

impl Failure for BodyError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty | Self::Broken { .. } => ErrorKind::Malformed,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::TooSlow { .. } | Self::Dripping { .. } => ErrorKind::TimedOut,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Empty => "empty-body",
            Self::TooLarge { .. } => "body-too-large",
            Self::TooSlow { .. } | Self::Dripping { .. } => "body-too-slow",
            Self::Broken { .. } => "body-broken",
        }
    }
}

/// A body piece by piece, counted, bounded in length and in waiting.
pub(crate) struct Pieces<'a> {
    body: Body<'a>,
    size_bytes: u64,
    limit_bytes: u64,
    idle: Duration,
    started: Instant,
    pace: Pace,
    /// What was taken to see the beginning of the body.
    held: VecDeque<Bytes>,
    has_ended: bool,
}

/// Takes a body that is not empty, and hashes it.
pub(crate) struct Intake<'a> {
    pieces: Pieces<'a>,
    hasher: Sha256,
    /// Who reads along.
    reader: Option<mpsc::Sender<Arrival>>,
}

/// How fast a body must come.
#[derive(Debug, Clone, Copy)]
struct Pace {
    bytes_per_second: u64,
    slow_start: Duration,
}

impl Pace {
    fn is_kept(self, size_bytes: u64, taken: Duration) -> bool {
        let due = u128::from(self.bytes_per_second) * taken.as_nanos() / 1_000_000_000;
        taken <= self.slow_start || u128::from(size_bytes) >= due
    }
}

/// What went through an intake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) size_bytes: u64,
    pub(crate) sha256: String,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(body: Body<'a>, settings: &IngestSettings) -> Self {
        Self {
            body,
            size_bytes: 0,
            limit_bytes: settings.max_body_bytes,
            idle: Duration::from_secs(settings.idle_seconds),
            started: Instant::now(),
            pace: Pace {
                bytes_per_second: settings.min_bytes_per_second,
                slow_start: Duration::from_secs(settings.slow_start_seconds),
            },
            held: VecDeque::new(),
            has_ended: false,
        }
    }

    /// The same with another bound of its length.
    pub(crate) fn within(self, limit_bytes: u64) -> Self {
        Self { limit_bytes, ..self }
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self.held.pop_front() {
            Some(piece) => Ok(Some(piece)),
            None => self.take().await,
        }
    }

    /// So many bytes from the first one on, where more follow; the pieces are still to come.
    async fn beginning(&mut self, size_bytes: usize) -> Result<Option<Bytes>, BodyError> {
        while self.size_bytes <= size_bytes as u64 {
            match self.take().await? {
                Some(piece) => self.held.push_back(piece),
                None => return Ok(None),
            }
        }
        let mut beginning = BytesMut::with_capacity(size_bytes);
        for piece in &self.held {
            beginning.extend_from_slice(&piece[..piece.len().min(size_bytes - beginning.len())]);
        }
        Ok(Some(beginning.freeze()))
    }

    async fn take(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.has_ended {
            return Ok(None);
        }
        let piece = tokio::time::timeout(self.idle, self.body.next()).await;
        let Some(piece) = piece.map_err(|_| BodyError::TooSlow { seconds: self.idle.as_secs() })? else {
            self.has_ended = true;
            return Ok(None);
        };
        let piece = piece?;
        self.size_bytes += piece.len() as u64;
        if self.size_bytes > self.limit_bytes {
            return Err(BodyError::TooLarge { limit_bytes: self.limit_bytes });
        }
        if !self.pace.is_kept(self.size_bytes, self.started.elapsed()) {
            return Err(BodyError::Dripping { bytes_per_second: self.pace.bytes_per_second });
        }
        Ok(Some(piece))
    }
}

impl<'a> Intake<'a> {
    pub(crate) fn new(body: Body<'a>, settings: &IngestSettings) -> Self {
        Self { pieces: Pieces::new(body, settings), hasher: Sha256::new(), reader: None }
    }

    /// The same, for bodies that are no longer than this.
    pub(crate) fn limited_to(self, limit_bytes: u64) -> Self {
        let limit_bytes = self.pieces.limit_bytes.min(limit_bytes);
        Self { pieces: self.pieces.within(limit_bytes), ..self }
    }

    /// So many bytes from the first one on, where the body is longer; it is still to be taken.
    pub(crate) async fn beginning(&mut self, size_bytes: usize) -> Result<Option<Bytes>, BodyError> {
        self.pieces.beginning(size_bytes).await
    }

    /// Hand every piece on to whoever reads along, too. Waits for a reader that is behind: memory is bounded by what
    /// its channel holds. One that gave up is left alone.
    pub(crate) fn read_by(&mut self, reader: mpsc::Sender<Arrival>) {
        self.reader = Some(reader);
    }

    async fn tell(&mut self, arrival: Arrival) {
        if let Some(reader) = &self.reader
            && reader.send(arrival).await.is_err()
        {
            self.reader = None;
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let piece = self.pieces.next().await?;
        match &piece {
            Some(piece) => self.hasher.update(piece),
            None if self.pieces.size_bytes == 0 => return Err(BodyError::Empty),
            None => {}
        }
        Ok(piece)
    }

    fn finish(self) -> Digest {
        Digest { size_bytes: self.pieces.size_bytes, sha256: hex::encode(self.hasher.finalize()) }
    }

    /// Take the body and keep nothing of it but its digest.
    pub(crate) async fn digest(mut self) -> Result<Digest, BodyError> {
        while self.next().await?.is_some() {}
        Ok(self.finish())
    }

    /// Take the body into memory, which the limit bounds; gives its bytes and their SHA-256.
    pub(crate) async fn collect(mut self) -> Result<(Bytes, String), BodyError> {
        let first = self.next().await?.unwrap_or_default();
        let Some(second) = self.next().await? else { return Ok((first, self.finish().sha256)) };
        let mut bytes = BytesMut::from(first);
        bytes.extend_from_slice(&second);
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok((bytes.freeze(), self.finish().sha256))
    }

    /// Take the body into an object of the zone.
    pub(crate) async fn land(mut self, zone: &Zone, raw_path: String) -> Result<Landed, IngestError> {
        let mut object = ObjectWriter::open(zone.store(), Path::from(raw_path.as_str())).await?;
        loop {
            match self.next().await {
                Ok(Some(piece)) => {
                    self.tell(Arrival::Piece(Bytes::clone(&piece))).await;
                    object.write(piece).await?;
                }
                Ok(None) => break,
                Err(error) => {
                    object.abort().await;
                    return Err(error.into());
                }
            }
        }
        self.tell(Arrival::Whole).await;
        object.finish().await?;
        let Digest { size_bytes, sha256 } = self.finish();
        Ok(Landed { raw_path, size_bytes, sha256, landed_at: Utc::now() })
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use rstest::rstest;

    use super::*;

    #[tokio::test]
    async fn a_body_is_whole_after_a_look_at_its_beginning() {
        let intake = || {
            let pieces = ["ab", "cde", "f"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
            Intake::new(stream::iter(pieces).boxed(), &IngestSettings::default())
        };
        let expected = intake().collect().await.unwrap();
        for (size_bytes, beginning) in [(1, Some("a")), (4, Some("abcd")), (5, Some("abcde")), (6, None), (7, None)] {
            let mut intake = intake();
            assert_eq!(intake.beginning(size_bytes).await.unwrap().as_deref(), beginning.map(str::as_bytes));
            assert_eq!(intake.collect().await.unwrap(), expected);
        }
    }

    #[rstest]
    #[case(0, 60_000, true)]
    #[case(61_000, 61_000, true)]
    #[case(60_999, 61_000, false)]
    fn a_body_must_keep_pace_once_it_has_begun(#[case] size_bytes: u64, #[case] millis: u64, #[case] kept: bool) {
        let pace = Pace { bytes_per_second: 1000, slow_start: Duration::from_secs(60) };
        assert_eq!(pace.is_kept(size_bytes, Duration::from_millis(millis)), kept);
    }
}
