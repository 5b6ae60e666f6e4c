//! Where the files of a source are: below a folder that the settings allow, or in a bucket that they allow.

use std::path::{Component, Path, PathBuf};

use reqwest::Url;
use sluice_domain::{SourceSettingsError, ZoneName};
use sluice_storage::Zones;

use super::{SourceError, settings::SourcesSettings};

/// A place with files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// A folder of this machine: below a root, at this path.
    Folder { root: PathBuf, below: PathBuf },
    /// A prefix of a bucket.
    Bucket(Url),
}

impl Location {
    /// Read a location that the settings allow.
    pub(super) fn parse(text: &str, settings: &SourcesSettings) -> Result<Self, SourceError> {
        match text.strip_prefix("s3://") {
            Some(_) => Self::bucket(text, settings),
            None => Self::folder(text, settings),
        }
    }

    fn folder(text: &str, settings: &SourcesSettings) -> Result<Self, SourceError> {
        let path = Path::new(text.strip_prefix("file://").unwrap_or(text));
        let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        // `components` passes over single points and doubled slashes by itself.
        if !path.is_absolute() || !path.components().all(is_plain) {
            let reason = "it is neither an absolute path without .. nor s3://bucket/prefix";
            return Err(SourceSettingsError::new("folder.location", reason).into());
        }
        let within = |root: &PathBuf| {
            let below = path.strip_prefix(root).ok()?.to_owned();
            Some(Self::Folder { root: root.clone(), below })
        };
        let roots = settings.folders.iter().filter(|root| root.is_absolute());
        roots.filter_map(within).next().ok_or_else(|| not_allowed(text, "sources.folders"))
    }

    fn bucket(text: &str, settings: &SourcesSettings) -> Result<Self, SourceError> {
        let bad = |reason: String| SourceSettingsError::new("folder.location", reason);
        let url = Url::parse(text).map_err(|error| bad(error.to_string()))?;
        let has_more = !url.username().is_empty() || url.password().is_some() || url.port().is_some();
        if has_more || url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it has more than a bucket and a prefix".to_owned()).into());
        }
        let bucket = url.host_str().unwrap_or_default();
        if !settings.buckets.iter().any(|allowed| allowed == bucket) {
            return Err(not_allowed(text, "sources.buckets"));
        }
        Ok(Self::Bucket(url))
    }

    /// Whether files of the lake itself are among those of this place, or the other way round.
    pub(super) fn overlaps(&self, zones: &Zones) -> bool {
        [ZoneName::Raw, ZoneName::Curated].map(|name| zones.get(name).url()).iter().any(|zone| match self {
            Self::Folder { root, below } => {
                let own = root.join(below);
                let own = std::fs::canonicalize(&own).unwrap_or(own);
                // A bucket may be called `localhost`, and then its URL would name a folder too.
                let zone = (zone.scheme() == "file").then(|| zone.to_file_path().ok()).flatten();
                zone.is_some_and(|zone| own.starts_with(&zone) || zone.starts_with(&own))
            }
            Self::Bucket(own) => {
                let folder = |url: &Url| format!("{}/", url.path().trim_end_matches('/'));
                let (own_path, zone_path) = (folder(own), folder(zone));
                (own.scheme(), own.host_str()) == (zone.scheme(), zone.host_str())
                    && (own_path.starts_with(&zone_path) || zone_path.starts_with(&own_path))
            }
        })
    }
}

fn not_allowed(text: &str, setting: &'static str) -> SourceError {
    SourceError::NotAllowed { what: text.to_owned(), setting }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn settings() -> SourcesSettings {
        SourcesSettings {
            folders: vec!["/srv/drop".into(), "relative".into()],
            buckets: vec!["inbox".into()],
            ..SourcesSettings::default()
        }
    }

    #[rstest]
    #[case("/srv/drop", true)]
    #[case("/srv/drop/orders/2024/", true)]
    #[case("file:///srv/drop/orders", true)]
    #[case("/srv/dropped", false)]
    #[case("/srv", false)]
    #[case("/srv/drop/../other", false)]
    #[case("/srv/drop/..", false)]
    #[case("relative/x", false)]
    #[case("drop", false)]
    #[case("", false)]
    #[case("s3://inbox", true)]
    #[case("s3://inbox/orders/", true)]
    #[case("s3://outbox/orders", false)]
    #[case("s3://inbox@outbox/orders", false)]
    #[case("s3://inbox:9000/orders", false)]
    #[case("s3://inbox/orders?versions", false)]
    #[case("s3:///orders", false)]
    #[case("http://inbox/orders", false)]
    fn only_what_the_settings_name_is_a_location(#[case] text: &str, #[case] allowed: bool) {
        assert_eq!(Location::parse(text, &settings()).is_ok(), allowed);
        assert!(Location::parse(text, &SourcesSettings::default()).is_err());
    }

    #[test]
    fn the_lake_is_no_source_of_itself() {
        let dir = tempfile::tempdir().unwrap();
        let dir_path = std::fs::canonicalize(dir.path()).unwrap();
        let zones = Zones::open(&sluice_storage::StorageSettings::default(), &dir_path).unwrap();
        let at = |below: &str| Location::Folder { root: dir_path.clone(), below: below.into() };
        assert!(at("").overlaps(&zones) && at("raw").overlaps(&zones) && at("curated/a/b").overlaps(&zones));
        assert!(!at("rawer").overlaps(&zones) && !at("drop").overlaps(&zones));
    }
}
