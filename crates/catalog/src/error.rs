//! What can go wrong with the catalog, and what the caller can do about it.

use std::{error::Error, io};

use sluice_domain::{ErrorKind, Failure, NamespaceName, TableRef, UploadId, UploadState};
use sqlx::{error::DatabaseError, migrate::MigrateError, sqlite::SqliteError};

/// The part of SQLite's result codes that tells the kind of failure; the rest are details.
const SQLITE_PRIMARY_CODE: i32 = 0xff;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_NOT_A_DATABASE: i32 = 26;
const POSTGRES_DISK_FULL: &str = "53100";
const POSTGRES_DATA_CORRUPTED: &str = "XX001";
const POSTGRES_INDEX_CORRUPTED: &str = "XX002";

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no such table, or it is not in a state to be used.
    #[error("there is no table {name}")]
    TableNotFound {
        /// The table's name, or its id where it was asked for by id.
        name: String,
    },
    /// There is no such namespace.
    #[error("there is no namespace {name}")]
    NamespaceNotFound {
        /// The namespace's name.
        name: NamespaceName,
    },
    /// There is no such upload.
    #[error("there is no upload {upload}")]
    UploadNotFound {
        /// The upload's id.
        upload: UploadId,
    },
    /// The name of a deleted table is in use again, so the table cannot come back under it.
    #[error("there is a table {name} already")]
    TableExists {
        /// The table's name.
        name: TableRef,
    },
    /// The name is that of a view, so no table can have it.
    #[error("{name} is a view: a table cannot have its name, and takes no rows by it")]
    ViewExists {
        /// The view's name.
        name: TableRef,
    },
    /// Another upload landed under this idempotency key: find it and answer with what became of it.
    #[error("the idempotency key {key:?} belongs to another upload")]
    KeyTaken {
        /// The key, without its scope.
        key: String,
    },
    /// The upload is too far along, or not far enough, for this step.
    #[error("the upload {upload} is {}: this step does not follow from there", state.as_str())]
    WrongState {
        /// The upload's id.
        upload: UploadId,
        /// How far it has come.
        state: UploadState,
    },
    /// As many servers as can share this catalog have it open.
    #[error("{place} is in use by {servers} other servers")]
    CatalogInUse {
        /// The folder or the database.
        place: String,
        /// How many they are.
        servers: u32,
    },
    /// What is stored, or would be, cannot be read back. Nothing was changed.
    #[error("the catalog cannot read its {what}: {reason}")]
    Corrupt {
        /// Which part of the catalog.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// This server was thought to have ended, and another one took its place: it must be started anew.
    #[error("another server has taken the place of this one in the catalog: restart it")]
    PlaceLost,
    /// There is no space left.
    #[error("the catalog's storage is full")]
    Full,
    /// The database does not answer as it should; a later try may succeed.
    #[error("the catalog is not available")]
    Unavailable {
        /// What the database or the operating system said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl CatalogError {
    pub(crate) fn corrupt(what: &'static str, reason: impl ToString) -> Self {
        Self::Corrupt { what, reason: reason.to_string() }
    }
}

impl Failure for CatalogError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TableNotFound { .. } | Self::NamespaceNotFound { .. } | Self::UploadNotFound { .. } => {
                ErrorKind::NotFound
            }
            Self::TableExists { .. }
            | Self::ViewExists { .. }
            | Self::KeyTaken { .. }
            | Self::WrongState { .. }
            | Self::CatalogInUse { .. } => ErrorKind::Conflict,
            Self::Corrupt { .. } => ErrorKind::Internal,
            Self::Full => ErrorKind::OutOfSpace,
            Self::PlaceLost | Self::Unavailable { .. } => ErrorKind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TableNotFound { .. } | Self::NamespaceNotFound { .. } | Self::UploadNotFound { .. } => "not-found",
            Self::TableExists { .. } => "table-exists",
            Self::ViewExists { .. } => "view-exists",
            Self::KeyTaken { .. } => "idempotency-key-taken",
            Self::WrongState { .. } => "wrong-upload-state",
            Self::CatalogInUse { .. } => "catalog-in-use",
            Self::Corrupt { .. } => "catalog-corrupt",
            Self::PlaceLost => "place-lost",
            Self::Full => "storage-full",
            Self::Unavailable { .. } => "catalog-unavailable",
        }
    }
}

impl From<sqlx::Error> for CatalogError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
                Self::corrupt("rows", error)
            }
            sqlx::Error::Io(error) => error.into(),
            sqlx::Error::Database(error) => match verdict(&*error) {
                Verdict::Full => Self::Full,
                Verdict::Corrupt => Self::corrupt("database", error),
                Verdict::Unavailable => Self::Unavailable { source: error.into() },
            },
            error => Self::Unavailable { source: error.into() },
        }
    }
}

/// What a database's own code of an error comes to.
enum Verdict {
    Full,
    Corrupt,
    Unavailable,
}

fn verdict(error: &dyn DatabaseError) -> Verdict {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<SqliteError>().is_some() {
        return match code.parse().map(|code: i32| code & SQLITE_PRIMARY_CODE) {
            Ok(SQLITE_FULL) => Verdict::Full,
            Ok(SQLITE_CORRUPT | SQLITE_NOT_A_DATABASE) => Verdict::Corrupt,
            _ => Verdict::Unavailable,
        };
    }
    match &*code {
        POSTGRES_DISK_FULL => Verdict::Full,
        POSTGRES_DATA_CORRUPTED | POSTGRES_INDEX_CORRUPTED => Verdict::Corrupt,
        _ => Verdict::Unavailable,
    }
}

impl From<MigrateError> for CatalogError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            // Another release, or another hand, changed the database: no later try succeeds.
            error => Self::corrupt("database schema", error),
        }
    }
}

impl From<io::Error> for CatalogError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Unavailable { source: error.into() },
        }
    }
}
