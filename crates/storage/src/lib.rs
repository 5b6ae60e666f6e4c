//! The object stores under the lake: a durable local one, S3, and what must be true of them.
//!
//! Owns the zones and their locations, and who can see which folder. Never knows what an object means.
//!
//! Invariant: an acknowledged write is durable, and put-if-absent has one winner.
//! Invariant: a folder's store cannot reach an object outside the folder.

mod error;
mod settings;

mod breaker;
mod fence;
mod stores;

mod bucket;
mod zone;
mod zones;

mod drop_folder;
mod lease;
mod probe;
mod read;
mod space;
mod write;

pub use breaker::{Breaker, BreakerState, Guarded, is_outage};
pub use bucket::{Bucket, BucketRule, BucketRules, MAX_COPY_BYTES};
pub use drop_folder::{DropFolder, DroppedFile, describe_dropped};
pub use error::{StorageError, is_full};
pub use fence::Fenced;
pub use lease::{CLOCK_MARGIN, Clock, Lease, LeaseError, LeaseTerms, MAX_TTL};
pub use probe::probe;
pub use read::{read_chunks, read_object};
pub use settings::{BreakerSettings, S3Settings, S3Timeouts, StorageSettings};
pub use space::free_bytes;
pub use stores::{DurableLocal, Opened, PresignedPut, Presigner, open};
pub use write::ObjectWriter;
pub use zone::{Folder, Zone};
pub use zones::Zones;
