//! A lease: a right that one holder has at a time, among any number of processes that share a store.
//!
//! Each holder has an epoch: an object made by put-if-absent, so that of all who want it one gets it. A holder writes
//! over its own epoch's object only, which needs no conditional overwrite.
//!
//! Invariant: an epoch has one holder, and epochs only grow; the newest is never removed.
//! Invariant: a holder that was followed, or whose time is over, is told so by [`Lease::check`] and stays without it.
//! Invariant: whatever an epoch's object says, it stands in nobody's way for longer than [`MAX_TTL`] after its writing.

mod epochs;
mod record;

#[cfg(test)]
mod model;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sluice_domain::{ErrorKind, Failure};
use tokio::sync::Mutex;

use self::{
    epochs::{Claim, Epochs},
    record::Record,
};
use crate::{Folder, StorageError};

/// The longest time that a lease is given for at once.
pub const MAX_TTL: Duration = Duration::from_secs(3600);
/// How far the clocks of two machines may differ without one ending the other's lease early.
pub const CLOCK_MARGIN: Duration = Duration::from_secs(10);
/// How often an answer that tells nothing is asked for again.
const MAX_ATTEMPTS: u32 = 5;
/// The pause after such an answer.
const PAUSE: Duration = Duration::from_millis(50);

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Who wants a lease, and for how long.
#[derive(Clone)]
pub struct LeaseTerms {
    /// The holder, for people to read; two holders may share a name.
    pub holder: String,
    /// How long it holds unless it is renewed; [`MAX_TTL`] at the most.
    pub ttl: Duration,
    /// The holder's clock.
    pub clock: Clock,
}

impl LeaseTerms {
    /// Terms by this machine's clock.
    pub fn new(holder: impl Into<String>, ttl: Duration) -> Self {
        Self { holder: holder.into(), ttl, clock: Arc::new(Utc::now) }
    }

    fn until(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.ttl.min(MAX_TTL)
    }
}

/// Why a holder may not go on.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Its time is over, it was released, or another holder has followed.
    #[error("the lease {name} is not held any more at epoch {epoch}")]
    Lost {
        /// The lease.
        name: String,
        /// The epoch that was held.
        epoch: u64,
    },
    /// The store did not tell whether it is held.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Failure for LeaseError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Lost { .. } => ErrorKind::Unavailable,
            Self::Storage(source) => source.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Lost { .. } => "lease-lost",
            Self::Storage(source) => source.code(),
        }
    }
}

/// A lease that was acquired. Dropping it releases nothing: it then ends by itself.
pub struct Lease {
    name: String,
    epochs: Epochs,
    terms: LeaseTerms,
    epoch: u64,
    /// What the epoch's object says; locked while it is written over.
    record: Mutex<Record>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({} at epoch {})", self.name, self.epoch)
    }
}

impl Lease {
    /// Acquire the lease of this name in a folder, by this machine's clock; none while another's stands.
    ///
    /// # Errors
    /// The store's.
    pub async fn acquire(
        folder: &Folder,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Self>, StorageError> {
        Self::acquire_on(folder, name, LeaseTerms::new(holder, ttl)).await
    }

    /// The same on these terms.
    ///
    /// # Errors
    /// The store's.
    pub async fn acquire_on(folder: &Folder, name: &str, terms: LeaseTerms) -> Result<Option<Self>, StorageError> {
        let epochs = Epochs::new(folder, name);
        for _ in 0..MAX_ATTEMPTS {
            let newest = epochs.newest().await?;
            let now = (terms.clock)();
            if let Some(newest) = &newest
                && epochs.stands(newest, now).await?
            {
                return Ok(None);
            }
            let epoch = newest.map_or(0, |newest| newest.epoch) + 1;
            let record = Record::new(&terms.holder, now, terms.until(now));
            match epochs.claim(epoch, &record).await? {
                Claim::Taken => return Ok(None),
                Claim::Untold => tokio::time::sleep(PAUSE).await,
                Claim::Won => {
                    let lease = Self { name: name.to_owned(), epochs, terms, epoch, record: Mutex::new(record) };
                    return lease.settle().await;
                }
            }
        }
        Ok(None)
    }

    /// A slow claim may have made an epoch anew that was followed and removed long ago.
    async fn settle(self) -> Result<Option<Self>, StorageError> {
        match self.check().await {
            Ok(()) => {
                self.epochs.remove_old(self.epoch).await;
                Ok(Some(self))
            }
            Err(LeaseError::Lost { .. }) => Ok(None),
            Err(LeaseError::Storage(error)) => Err(error),
        }
    }

    /// The holder's number: each holder's is higher than those before it.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether it is still held. Asked before everything that cannot be undone.
    ///
    /// # Errors
    /// [`LeaseError::Lost`], or the store's.
    pub async fn check(&self) -> Result<(), LeaseError> {
        let record = self.record.lock().await;
        self.check_record(&record).await
    }

    async fn check_record(&self, record: &Record) -> Result<(), LeaseError> {
        let newest = self.epochs.newest().await?.map(|newest| newest.epoch);
        // The time is read last: the answer of the store may have been long in coming.
        let in_time = !record.released && (self.terms.clock)() < record.expires_at;
        if in_time && newest == Some(self.epoch) { Ok(()) } else { Err(self.lost()) }
    }

    /// Hold it for its time from now on.
    ///
    /// # Errors
    /// [`LeaseError::Lost`], or the store's; after the latter it is held until its time is over.
    pub async fn renew(&self) -> Result<(), LeaseError> {
        let mut record = self.record.lock().await;
        self.check_record(&record).await?;
        let renewed = Record { expires_at: self.terms.until((self.terms.clock)()), ..record.clone() };
        self.epochs.write_over(self.epoch, &renewed).await?;
        // Whoever saw it expired before it was written over has followed by now, or meets the new time.
        self.check_record(&record).await?;
        *record = renewed;
        Ok(())
    }

    /// Do the work, and renew the lease for as long as it takes. If it is lost meanwhile, the work's checks tell.
    pub async fn hold<T>(&self, work: impl Future<Output = T>) -> T {
        let renewing = async {
            loop {
                tokio::time::sleep(self.terms.ttl.min(MAX_TTL) / 3).await;
                if let Err(error) = self.renew().await {
                    tracing::warn!(%error, lease = self.name, "a lease could not be renewed");
                }
            }
        };
        // Both go on side by side: the work may be in the midst of a check that a renewal waits for.
        tokio::select! {
            done = work => done,
            never = renewing => never,
        }
    }

    /// Let the next holder have it at once. A lease that was lost is left as it is.
    ///
    /// # Errors
    /// The store's; it is not held any more in any case.
    pub async fn release(&self) -> Result<(), StorageError> {
        let mut record = self.record.lock().await;
        let held = self.check_record(&record).await;
        record.released = true;
        match held {
            Ok(()) => self.epochs.write_over(self.epoch, &record).await,
            Err(LeaseError::Lost { .. }) => Ok(()),
            Err(LeaseError::Storage(error)) => Err(error),
        }
    }

    fn lost(&self) -> LeaseError {
        LeaseError::Lost { name: self.name.clone(), epoch: self.epoch }
    }
}
