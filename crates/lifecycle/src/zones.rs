//! The zones of the lake, as rules know them.

use sluice_domain::{Age, LakeZone, ZoneName};
use sluice_storage::Zones;

use crate::ZoneRetention;

/// The folder of the raw zone in which the uploads lie.
const UPLOADS: &str = "uploads";

/// Where a zone is, what it holds, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFacts {
    /// Which.
    pub zone: LakeZone,
    /// Where it is.
    pub location: String,
    /// What stores it: `s3` or `file`.
    pub storage: String,
    /// In which format its data is.
    pub format: &'static str,
    /// How long its data is kept.
    pub retention: Age,
}

impl ZoneFacts {
    /// Every zone.
    pub(crate) fn all(zones: &Zones, retention: &ZoneRetention) -> Vec<Self> {
        LakeZone::ALL.into_iter().map(|zone| Self::of(zone, zones, retention)).collect()
    }

    fn of(zone: LakeZone, zones: &Zones, retention: &ZoneRetention) -> Self {
        let raw = zones.get(ZoneName::Raw);
        let (url, format) = match zone {
            LakeZone::Raw => (raw.folder(UPLOADS).url, "native"),
            LakeZone::Standardized => (raw.folder("tables").url, "delta"),
            LakeZone::Curated => (zones.get(ZoneName::Curated).url().clone(), "delta"),
        };
        let storage = url.scheme().to_owned();
        Self { zone, location: url.into(), storage, format, retention: retention.of(zone) }
    }
}
