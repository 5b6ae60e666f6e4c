//! All zones of the lake.
//!
//! Invariant: no zone lies in another, so what is done to one leaves the others alone.

use std::{
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use sluice_domain::ZoneName;
use tokio::task::spawn_blocking;
use url::Url;

use crate::{
    Breaker, Bucket, StorageError, StorageSettings, Zone, probe, space,
    stores::{Opened, Presigner, open, remove_stale_staging},
};

/// The zones of one lake.
#[derive(Debug, Clone)]
pub struct Zones {
    raw: Zone,
    curated: Zone,
    /// Of the one S3 where zones lie, whatever their buckets.
    breaker: Option<Arc<Breaker>>,
    /// For clients that put their bytes straight into the raw zone.
    presigner: Option<Arc<Presigner>>,
    /// Of the raw zone.
    bucket: Option<Arc<Bucket>>,
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
        let raw = place(&settings.raw_url, ZoneName::Raw)?;
        let curated = place(&settings.curated_url, ZoneName::Curated)?;
        let is_remote = |place: &Opened| place.url.scheme() == "s3";
        if !is_remote(&raw) && !is_remote(&curated) {
            return Self::new(raw, curated);
        }
        let breaker = Arc::new(Breaker::new("s3", &settings.breaker));
        let patience = Duration::from_secs(settings.s3.timeouts.call_seconds);
        // A local disk fails at once and is asked again at no cost, so it needs no breaker.
        let guard = |place: Opened| if is_remote(&place) { place.guarded(&breaker, patience) } else { place };
        let presigner = settings.raw_url.as_deref().and_then(|raw| Presigner::open(raw, &settings.s3).transpose());
        let presigner = presigner.transpose()?.map(Arc::new);
        let bucket = settings.raw_url.as_deref().and_then(|raw| Bucket::open(raw, &settings.s3).transpose());
        let bucket = bucket.transpose()?.map(Arc::new);
        let breaker_of_zones = Some(Arc::clone(&breaker));
        Ok(Self { breaker: breaker_of_zones, presigner, bucket, ..Self::new(guard(raw), guard(curated))? })
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
        Ok(Self { raw, curated, breaker: None, presigner: None, bucket: None })
    }

    /// The breaker before the store, if there is one.
    pub fn breaker(&self) -> Option<&Breaker> {
        self.breaker.as_deref()
    }

    /// Signs requests to the raw zone for clients; none where it is not in a store that clients can reach.
    pub fn presigner(&self) -> Option<&Presigner> {
        self.presigner.as_deref()
    }

    /// The bucket of the raw zone; none where it is not in S3.
    pub fn bucket(&self) -> Option<&Bucket> {
        self.bucket.as_deref()
    }

    /// Whether the stores are asked at all now.
    ///
    /// # Errors
    /// [`StorageError::CircuitOpen`].
    pub fn check_available(&self) -> Result<(), StorageError> {
        self.breaker().map_or(Ok(()), Breaker::check).map_err(|source| StorageError::CircuitOpen { source })
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
        let free = self.local_folders().map(|folder| space::free_bytes(&folder)).collect::<Result<Vec<_>, _>>();
        let free = free.map_err(|error| object_store::Error::Generic { store: "local", source: Box::new(error) })?;
        Ok(free.into_iter().min())
    }

    /// Remove the files that killed processes left half written in local folders, and say how many. A write that is
    /// under way and was quiet for longer than `older_than` fails, so let it be hours. What cannot be read is skipped
    /// with a warning.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when the runtime ends meanwhile.
    pub async fn remove_stale_staging(&self, older_than: Duration) -> Result<usize, StorageError> {
        // Nothing is older than time itself.
        let Some(before) = SystemTime::now().checked_sub(older_than) else { return Ok(0) };
        let folders: Vec<PathBuf> = self.local_folders().collect();
        let work = move || folders.iter().map(|folder| remove_stale_staging(folder, before)).sum();
        Ok(spawn_blocking(work).await.map_err(object_store::Error::from)?)
    }

    fn local_folders(&self) -> impl Iterator<Item = PathBuf> {
        [&self.raw, &self.curated].into_iter().filter_map(Zone::local_folder)
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

    #[tokio::test]
    async fn what_killed_processes_left_is_removed_from_every_local_zone() {
        let data_dir = tempfile::tempdir().unwrap();
        let lake = zones("{data}/raw", "{data}/curated", data_dir.path()).unwrap();
        let files = ["raw/uploads/1.csv", "raw/uploads/1.csv#7", "curated/t/0.parquet#8", "beside#9"];
        for file in files.map(|file| data_dir.path().join(file)) {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            let written = SystemTime::now() - Duration::from_secs(100);
            std::fs::File::create(file).unwrap().set_modified(written).unwrap();
        }
        assert_eq!(lake.remove_stale_staging(Duration::from_secs(1000)).await.unwrap(), 0);
        assert_eq!(lake.remove_stale_staging(Duration::MAX).await.unwrap(), 0);
        assert_eq!(lake.remove_stale_staging(Duration::from_secs(10)).await.unwrap(), 2);
        let left = files.map(|file| data_dir.path().join(file).exists());
        assert_eq!(left, [true, false, false, true]);
    }

    #[tokio::test]
    async fn a_bucket_called_localhost_is_no_folder() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = data_dir.path().display().to_string();
        std::fs::create_dir(data_dir.path().join("raw")).unwrap();
        std::fs::write(data_dir.path().join("raw/a#7"), "x").unwrap();
        let bucket = |name: &str| format!("s3://localhost{folder}/{name}");
        let lake = zones(&bucket("raw"), &bucket("curated"), data_dir.path()).unwrap();
        assert_eq!(lake.free_bytes().unwrap(), None);
        assert_eq!(lake.remove_stale_staging(Duration::ZERO).await.unwrap(), 0);
        assert!(data_dir.path().join("raw/a#7").exists());
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
