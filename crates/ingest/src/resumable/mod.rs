//! Uploads whose bytes do not come by one request: in pieces that may break off, or straight to the store.
//!
//! Owns their announcement, their bytes until they land, and their end where they never do. What has landed goes the road
//! of every upload.
//!
//! Invariant: the offset in the catalog never says more than what is durable in the file.
//! Invariant: one request of one server holds a file; a file whose upload the catalog does not know is removed.

mod checksum;
mod error;
mod partial_file;
mod settings;

mod announce;
mod direct;
mod landing;
mod receive;
mod sweep;

pub use announce::{Announced, Announcement};
pub use checksum::{Checksum, ChecksumAlgorithm};
pub use direct::{DIRECT_MAX_BYTES, Direct};
pub use error::ResumableError;
pub use receive::Piece;
pub use settings::ResumableSettings;
