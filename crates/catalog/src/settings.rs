//! What can be set about the catalog.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the catalog is. `Serialize` writes the secret; `Debug` does not.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogSettings {
    /// The URL of a PostgreSQL database (`postgres://user:password@host/database`), which servers on several hosts can
    /// share. Default: a SQLite file in the data folder, which servers on one host can share.
    pub url: Option<String>,
}

impl fmt::Debug for CatalogSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogSettings").field("url", &self.url.as_ref().map(|_| "(hidden)")).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_printed() {
        let settings = CatalogSettings { url: Some("postgres://ada:the-password@db/lake".into()) };
        assert!(!format!("{settings:?}").contains("the-password"));
    }
}
