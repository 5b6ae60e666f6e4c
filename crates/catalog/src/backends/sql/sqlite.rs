//! SQLite: one file, one connection that writes, a few that read.

use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{SqlBackend, Turn, lake_id, pool, try_open, writer_name};
use crate::CatalogError;

/// How many reads run at a time; further ones wait.
const READERS: u32 = 4;
/// Every commit is synced; a lock that a stranger (a shell, a backup) holds on the file is waited for.
const WRITER: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON";
const READER: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA query_only = ON";

impl SqlBackend {
    /// Open the database in this file, for the server that has this place.
    pub(crate) async fn open_file(file: &Path, node: u32) -> Result<Self, CatalogError> {
        let path = file.to_string_lossy();
        let url = format!("sqlite://{}?mode=rwc", utf8_percent_encode(&path, NON_ALPHANUMERIC));
        try_open(&url, WRITER).await?;
        let writer = pool(1, WRITER).connect(&url).await?;
        sqlx::migrate!().run(&writer).await?;
        let readers = pool(READERS, READER).connect(&url).await?;
        let mut write = writer.begin_with("BEGIN IMMEDIATE").await?;
        let lake = lake_id(&mut write).await?;
        write.commit().await?;
        Ok(Self { writer, readers, turn: Turn::File, node, writer_name: writer_name(&lake, node) })
    }
}
