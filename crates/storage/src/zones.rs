//! All zones of the lake.
//!
//! Invariant: no zone lies in another, so what is done to one leaves the others alone.

use std::path::Path as FilePath;

use sluice_domain::ZoneName;
use url::Url;

use crate::{
    StorageError, StorageSettings, Zone, probe, space,
    stores::{Opened, open},
};

/// The zones of one lake.
#[derive(Debug, Clone)]
pub struct Zones {
    raw: Zone,
    curated: Zone,
}

impl Zones {
    /// Open every zone where the settings say, or else in a folder of its name in `data_dir`.
    ///
    /// # Errors
    /// [`StorageError::BadLocation`]. Whether the stores answer is what [`Self::probe`] tries.
    pub fn open(settings: &StorageSettings, data_dir: &FilePath) -> Result<Self, StorageError> {
        let place = |location: &Option<String>, name: ZoneName| match location {
            Some(location) => open(location, settings),
            None => open(&default_location(data_dir, name)?, settings),
        };
        Self::new(place(&settings.raw_url, ZoneName::Raw)?, place(&settings.curated_url, ZoneName::Curated)?)
    }

    /// The zones at opened places.
    ///
    /// # Errors
    /// [`StorageError::BadLocation`] when one place lies in the other.
    pub fn new(raw: Opened, curated: Opened) -> Result<Self, StorageError> {
        let (raw, curated) = (Zone::new(ZoneName::Raw, raw), Zone::new(ZoneName::Curated, curated));
        if raw.overlaps(&curated) {
            let reason = format!("it overlaps with the raw zone at {}", raw.url());
            return Err(StorageError::BadLocation { location: curated.url().to_string(), reason });
        }
        Ok(Self { raw, curated })
    }

    /// The zone of this name.
    pub fn get(&self, name: ZoneName) -> &Zone {
        match name {
            ZoneName::Raw => &self.raw,
            ZoneName::Curated => &self.curated,
        }
    }

    /// The least space that is left for any zone in a local folder, in bytes; none if all are elsewhere.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when the operating system does not tell.
    pub fn free_bytes(&self) -> Result<Option<u64>, StorageError> {
        let folders = [&self.raw, &self.curated].into_iter().filter_map(|zone| zone.url().to_file_path().ok());
        let free = folders.map(|folder| space::free_bytes(&folder)).collect::<Result<Vec<_>, _>>();
        let free = free.map_err(|error| object_store::Error::Generic { store: "local", source: Box::new(error) })?;
        Ok(free.into_iter().min())
    }

    /// Try whether every zone answers and keeps the first of two writers.
    ///
    /// # Errors
    /// As [`probe`].
    pub async fn probe(&self) -> Result<(), StorageError> {
        probe(&self.raw).await?;
        probe(&self.curated).await
    }
}

fn default_location(data_dir: &FilePath, name: ZoneName) -> Result<String, StorageError> {
    let folder = data_dir.join(name.as_str());
    let url = std::path::absolute(&folder).ok().and_then(|folder| Url::from_directory_path(folder).ok());
    url.map(String::from).ok_or_else(|| StorageError::BadLocation {
        location: folder.display().to_string(),
        reason: "the data folder has no absolute path".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(raw: &str, curated: &str, data_dir: &FilePath) -> Result<Zones, StorageError> {
        let location = |text: &str| Some(text.replace("{data}", &format!("file://{}", data_dir.display())));
        let settings =
            StorageSettings { raw_url: location(raw), curated_url: location(curated), ..StorageSettings::default() };
        Zones::open(&settings, data_dir)
    }

    #[tokio::test]
    async fn the_zones_are_folders_of_the_data_folder_by_default() {
        let data_dir = tempfile::tempdir().unwrap();
        let zones = Zones::open(&StorageSettings::default(), data_dir.path()).unwrap();
        zones.probe().await.unwrap();
        for name in [ZoneName::Raw, ZoneName::Curated] {
            assert_eq!(zones.get(name).name(), name);
            assert!(zones.get(name).url().path().ends_with(&format!("/{name}/")));
            assert!(data_dir.path().join(name.as_str()).is_dir());
        }
    }

    #[test]
    fn zones_that_share_a_folder_are_refused() {
        let data_dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(data_dir.path().join("lake")).unwrap();
        std::os::unix::fs::symlink(data_dir.path().join("lake"), data_dir.path().join("alias")).unwrap();
        for (raw, curated) in [
            ("{data}/lake", "{data}/lake"),
            ("{data}/lake", "{data}/lake/"),
            ("{data}/lake", "{data}/x/../lake"),
            ("{data}/lake", "{data}/alias"),
            ("{data}/lake", "{data}/lake/curated"),
            ("{data}/lake/raw", "{data}/lake"),
            ("s3://lake", "s3://lake"),
            ("s3://lake", "s3://lake/curated"),
            ("s3://lake/raw/a", "s3://lake/raw"),
        ] {
            let error = zones(raw, curated, data_dir.path()).unwrap_err();
            assert!(error.to_string().contains("overlaps with the raw zone"), "{raw} {curated}: {error}");
        }
    }

    #[test]
    fn zones_beside_one_another_are_fine() {
        let data_dir = tempfile::tempdir().unwrap();
        for (raw, curated) in [
            ("{data}/lake", "{data}/lake2"),
            ("s3://lake/raw", "s3://lake/raw2"),
            ("s3://raw", "s3://curated"),
            ("{data}/lake", "s3://lake"),
        ] {
            zones(raw, curated, data_dir.path()).unwrap();
        }
    }
}
