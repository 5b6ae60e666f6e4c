//! The kinds of object store, one file each: a new one is a new file and a line in [`open`].

mod local;
mod presign;
pub(crate) mod s3;

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod faulty;

use std::{sync::Arc, time::Duration};

use object_store::{ObjectStore, path::Path};
use url::Url;

use crate::{Breaker, Guarded, StorageError, StorageSettings};

pub use local::DurableLocal;
pub(crate) use local::{BLOCK_BYTES, remove_stale_staging};
pub use presign::{PresignedPut, Presigner};

/// A place that was opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The place's URL, which ends with `/`.
    pub url: Url,
    /// The store that holds the place: the whole file system, or the whole bucket.
    pub root: Arc<dyn ObjectStore>,
    /// The place's folder in `root`.
    pub path: Path,
}

impl Opened {
    /// The same place behind a breaker, whose store is waited for with this patience.
    pub(crate) fn guarded(self, breaker: &Arc<Breaker>, patience: Duration) -> Self {
        let root = Arc::new(Guarded::new(self.root, Arc::clone(breaker), patience));
        Self { root, ..self }
    }
}

/// Open the store at `location`: `file:///absolute/folder`, which is made when missing, or `s3://bucket/folder`.
///
/// # Errors
/// [`StorageError::BadLocation`]. Whether the store answers is not tried here.
pub fn open(location: &str, settings: &StorageSettings) -> Result<Opened, StorageError> {
    let url = Url::parse(location).map_err(|_| {
        let shown = if location.contains('@') { "(hidden)" } else { location };
        bad_location(shown, "it is not a URL such as file:///var/lib/sluice/raw or s3://bucket/raw")
    })?;
    let shown = without_secrets(&url);
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad_location(&shown, "credentials do not belong in a URL: use the S3 settings"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad_location(&shown, "it has a query or a fragment"));
    }
    match url.scheme() {
        "file" => local::open(&url),
        "s3" => s3::open(&url, &settings.s3),
        other => Err(bad_location(&shown, format!("{other} is not one of file and s3"))),
    }
}

fn without_secrets(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail only for a URL that cannot have user information.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}

fn bad_location(location: &str, reason: impl Into<String>) -> StorageError {
    StorageError::BadLocation { location: location.to_owned(), reason: reason.into() }
}

/// The URL with `path` below its last segment, with a slash at its end when `folder`.
pub(crate) fn join(url: &Url, path: &Path, folder: bool) -> Url {
    let mut joined = url.clone();
    // A `file` or `s3` URL always has segments.
    if let Ok(mut segments) = joined.path_segments_mut() {
        segments.pop_if_empty();
        segments.extend(path.parts().map(|part| part.as_ref().to_owned()));
        if folder {
            segments.push("");
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(location: &str) -> String {
        open(location, &StorageSettings::default()).unwrap_err().to_string()
    }

    #[test]
    fn a_location_that_cannot_be_a_store_is_refused() {
        for location in ["", "raw", "/var/lib", "http://x/y", "file://host/x", "file:///", "s3:///x", "s3://b:1/x"] {
            assert!(reason(location).contains("cannot be used"), "{location}");
        }
    }

    #[test]
    fn credentials_in_a_location_are_refused_and_not_repeated() {
        for location in ["s3://key:hunter2@bucket/x", "s3://b/x?secret=hunter2", "//key:hunter2@bucket"] {
            let text = reason(location);
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_joined_url_decodes_to_the_path() {
        let url = Url::parse("s3://bucket/lake/").unwrap();
        let path = Path::parse("p=a%2Fb c/ü#1?.parquet").unwrap();
        let joined = join(&url, &path, false);
        assert_eq!(Path::from_url_path(joined.path()).unwrap().as_ref(), format!("lake/{path}"));
        assert!(joined.query().is_none() && joined.fragment().is_none());
        assert_eq!(join(&url, &Path::default(), true), url);
    }
}
