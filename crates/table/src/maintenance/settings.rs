//! How often and how far maintenance goes, with floors that no setting lowers.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::MaintenanceError;

/// Data files are kept for this long after the last version that referenced them was followed, in hours.
const VACUUM_FLOOR_HOURS: u64 = 168;
/// Versions are kept for this long after they were followed, in hours.
const LOG_FLOOR_HOURS: u64 = 168;
/// More than this is for ever, and beyond what a date can hold.
const MAX_HOURS: u64 = 24 * 366 * 1000;

/// When a table is maintained, and what is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaintenanceSettings {
    /// A checkpoint is written when this many versions came after the last one.
    pub checkpoint_every_versions: u64,
    /// How long the versions of the log are kept, in hours.
    pub log_retention_hours: u64,
    /// How long data files that no version needs are kept, in hours.
    pub vacuum_retention_hours: u64,
}

impl Default for MaintenanceSettings {
    fn default() -> Self {
        Self {
            checkpoint_every_versions: 100,
            log_retention_hours: 30 * 24,
            vacuum_retention_hours: VACUUM_FLOOR_HOURS,
        }
    }
}

/// Whether a table at version `newest` wants a checkpoint, when `checkpointed` has the last one.
pub fn wants_checkpoint(newest: u64, checkpointed: Option<u64>, settings: &MaintenanceSettings) -> bool {
    // Versions begin with 0, so a table without a checkpoint has one version more than its number says.
    let since = checkpointed.map_or(newest.saturating_add(1), |checkpointed| newest.saturating_sub(checkpointed));
    since >= settings.checkpoint_every_versions.max(1)
}

/// How long data files are kept that no version needs; 168 hours at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VacuumRetention(TimeDelta);

/// How long the log keeps a version after it was followed; 7 days at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRetention(TimeDelta);

impl VacuumRetention {
    /// Keep them for so many hours.
    ///
    /// # Errors
    /// [`MaintenanceError::RetentionTooShort`].
    pub fn from_hours(hours: u64) -> Result<Self, MaintenanceError> {
        Ok(Self(checked(hours, VACUUM_FLOOR_HOURS)?))
    }

    pub(super) fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - self.0
    }
}

impl LogRetention {
    /// Keep it for so many hours.
    ///
    /// # Errors
    /// [`MaintenanceError::RetentionTooShort`].
    pub fn from_hours(hours: u64) -> Result<Self, MaintenanceError> {
        Ok(Self(checked(hours, LOG_FLOOR_HOURS)?))
    }

    pub(super) fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - self.0
    }
}

fn checked(hours: u64, floor_hours: u64) -> Result<TimeDelta, MaintenanceError> {
    if hours < floor_hours {
        return Err(MaintenanceError::RetentionTooShort { hours, floor_hours });
    }
    Ok(TimeDelta::hours(hours.min(MAX_HOURS) as i64))
}

#[cfg(test)]
mod tests {
    use sluice_domain::{ErrorKind, Failure};

    use super::*;

    #[test]
    fn no_retention_is_shorter_than_its_floor() {
        for hours in [0, 1, 167] {
            for error in [VacuumRetention::from_hours(hours).err(), LogRetention::from_hours(hours).err()] {
                let error = error.unwrap();
                assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "retention-too-short"));
            }
        }
        for hours in [168, 169, u64::MAX] {
            VacuumRetention::from_hours(hours).unwrap().before(Utc::now());
            LogRetention::from_hours(hours).unwrap().before(Utc::now());
        }
    }

    #[test]
    fn a_checkpoint_is_wanted_after_so_many_versions() {
        let settings = MaintenanceSettings::default();
        for (newest, checkpointed, wanted) in [
            (98, None, false),
            (99, None, true),
            (199, Some(100), false),
            (200, Some(100), true),
            (100, Some(100), false),
            (50, Some(100), false),
        ] {
            assert_eq!(wants_checkpoint(newest, checkpointed, &settings), wanted, "{newest} {checkpointed:?}");
        }
        let always = MaintenanceSettings { checkpoint_every_versions: 0, ..settings };
        assert!(!wants_checkpoint(5, Some(5), &always) && wants_checkpoint(6, Some(5), &always));
    }
}
