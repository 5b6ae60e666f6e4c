//! How far the uploads are that this server works on.
//!
//! Invariant: what stands here is for eyes only; whether an upload is over is the ledger's to say.
//! Invariant: there are as many entries as uploads that are worked on, and no more than the limit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sluice_domain::{Phase, Progress, UploadId};
use tokio::sync::watch;

/// How many uploads are shown at the most.
const MAX_SHOWN: usize = 10_000;
/// How many bytes are read until that is told.
const TELL_BYTES: u64 = 256 * 1024;

/// The uploads that are worked on. Clones share one board.
#[derive(Debug, Clone, Default)]
pub struct ProgressBoard(Arc<Mutex<HashMap<UploadId, watch::Sender<Progress>>>>);

/// An upload is shown for as long as this is there.
#[derive(Debug)]
pub(crate) struct Shown {
    board: ProgressBoard,
    /// None where there are too many, or somebody else shows it.
    id: Option<UploadId>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.board.lock().remove(&id);
        }
    }
}

/// One pass over an upload's bytes.
pub(crate) struct Reading {
    board: ProgressBoard,
    id: UploadId,
    read_bytes: u64,
    told_bytes: u64,
}

impl Reading {
    pub(crate) fn add(&mut self, count: u64) {
        self.read_bytes += count;
        if self.read_bytes - self.told_bytes >= TELL_BYTES || count == 0 {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.told_bytes = self.read_bytes;
        self.board.change(self.id, |progress| progress.bytes_decoded = Some(self.read_bytes));
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.tell();
    }
}

impl ProgressBoard {
    /// How far an upload is, and what tells of every change until nobody works on it any more; none where nobody does.
    pub fn watch(&self, id: UploadId) -> Option<watch::Receiver<Progress>> {
        self.lock().get(&id).map(watch::Sender::subscribe)
    }

    /// How far an upload is; none where nobody works on it here.
    pub fn find(&self, id: UploadId) -> Option<Progress> {
        self.lock().get(&id).map(|shown| *shown.borrow())
    }

    /// Show an upload.
    pub(crate) fn begin(&self, id: UploadId, progress: Progress) -> Shown {
        let mut shown = self.lock();
        let is_free = shown.len() < MAX_SHOWN && !shown.contains_key(&id);
        if is_free {
            shown.insert(id, watch::Sender::new(progress));
        }
        Shown { board: self.clone(), id: is_free.then_some(id) }
    }

    /// The upload has come to this phase.
    pub(crate) fn enter(&self, id: UploadId, phase: Phase) {
        self.change(id, |progress| progress.phase = phase);
    }

    /// A pass over the upload's bytes begins.
    pub(crate) fn reading(&self, id: UploadId) -> Reading {
        self.change(id, |progress| {
            *progress = Progress { phase: Phase::Decoding, bytes_decoded: Some(0), rows: 0, ..*progress };
        });
        Reading { board: self.clone(), id, read_bytes: 0, told_bytes: 0 }
    }

    pub(crate) fn add_rows(&self, id: UploadId, rows: u64) {
        self.change(id, |progress| progress.rows += rows);
    }

    pub(crate) fn receive(&self, id: UploadId, bytes_received: u64) {
        self.change(id, |progress| progress.bytes_received = bytes_received);
    }

    fn change(&self, id: UploadId, change: impl FnOnce(&mut Progress)) {
        if let Some(shown) = self.lock().get(&id) {
            shown.send_modify(change);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UploadId, watch::Sender<Progress>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Progress =
        Progress { phase: Phase::Landed, bytes_received: 9, bytes_total: Some(9), bytes_decoded: None, rows: 0 };

    fn id(number: u128) -> UploadId {
        UploadId(uuid::Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn what_is_done_is_told_until_it_is_over() {
        let board = ProgressBoard::default();
        let shown = board.begin(id(1), START);
        let mut told = board.watch(id(1)).unwrap();
        let mut reading = board.reading(id(1));
        reading.add(TELL_BYTES);
        board.add_rows(id(1), 7);
        told.changed().await.unwrap();
        let expected = Progress { phase: Phase::Decoding, bytes_decoded: Some(TELL_BYTES), rows: 7, ..START };
        assert_eq!((*told.borrow_and_update(), board.find(id(1))), (expected, Some(expected)));
        reading.add(1);
        assert!(!told.has_changed().unwrap(), "a byte is not worth a word");
        drop((reading, shown));
        assert_eq!(told.borrow().bytes_decoded, Some(TELL_BYTES + 1));
        assert!(told.has_changed().is_err() && board.find(id(1)).is_none(), "nobody works on it");
    }

    #[test]
    fn the_second_to_show_an_upload_leaves_it_to_the_first() {
        let board = ProgressBoard::default();
        let first = board.begin(id(1), START);
        drop(board.begin(id(1), START));
        assert_eq!(board.find(id(1)), Some(START));
        drop(first);
        assert_eq!(board.find(id(1)), None);
    }

    #[test]
    fn no_more_are_shown_than_the_limit() {
        let board = ProgressBoard::default();
        let shown: Vec<_> = (0..=MAX_SHOWN as u128).map(|number| board.begin(id(number), START)).collect();
        assert!(board.find(id(MAX_SHOWN as u128)).is_none() && board.find(id(0)).is_some());
        drop(shown);
        assert!(board.lock().is_empty());
    }
}
