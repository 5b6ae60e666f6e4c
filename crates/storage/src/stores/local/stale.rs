//! Staging files that outlived the process which wrote them.
//!
//! Invariant: only a regular file under a name that no object can have is removed, and no symbolic link is followed.

use std::{
    fs::{self, DirEntry, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path as FilePath, PathBuf},
    time::{Duration, SystemTime},
};

/// Remove the staging files in and below a folder that were last written before `before`, and say how many. What
/// cannot be read or removed is left where it is, with a warning.
pub(crate) fn remove_stale_staging(folder: &FilePath, before: SystemTime) -> usize {
    let mut removed = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        match fs::read_dir(&folder) {
            Ok(entries) => {
                for entry in entries {
                    let outcome = entry.and_then(|entry| visit(&entry, before, &mut folders));
                    removed += usize::from(outcome.unwrap_or_else(|error| skipped(&folder, &error)));
                }
            }
            Err(error) => {
                skipped(&folder, &error);
            }
        }
    }
    removed
}

/// Remember a folder for later, or remove a stale file; whether one was removed.
fn visit(entry: &DirEntry, before: SystemTime, folders: &mut Vec<PathBuf>) -> io::Result<bool> {
    let (path, kind) = (entry.path(), entry.file_type()?);
    if kind.is_dir() {
        folders.push(path);
        return Ok(false);
    }
    if !kind.is_file() || !entry.file_name().to_str().is_some_and(is_staging_name) {
        return Ok(false);
    }
    let stale = last_written(&entry.metadata()?)? < before;
    let outcome = if stale { fs::remove_file(&path).map(|()| true) } else { Ok(false) };
    Ok(outcome.unwrap_or_else(|error| skipped(&path, &error)))
}

/// When a staging file got its bytes. One that shares those of an object is as old as its name, not as its bytes.
fn last_written(metadata: &Metadata) -> io::Result<SystemTime> {
    let modified = metadata.modified()?;
    if metadata.nlink() == 1 {
        return Ok(modified);
    }
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(metadata.ctime().max(0).unsigned_abs());
    Ok(modified.max(changed))
}

/// Whether the name is `{name}#{number}` and no object's: one with an earlier `#` is listed as an object.
fn is_staging_name(name: &str) -> bool {
    name.split_once('#').is_some_and(|(name, number)| {
        !name.is_empty() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Warn of what was not done, which removed nothing. That its owner was faster is no matter.
fn skipped(path: &FilePath, error: &io::Error) -> bool {
    if error.kind() != io::ErrorKind::NotFound {
        tracing::warn!(file.path = %path.display(), %error, "stale staging files may be left here");
    }
    false
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        os::unix::{ffi::OsStrExt, fs::symlink},
    };

    use tempfile::TempDir;

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn an_hour_ago() -> SystemTime {
        SystemTime::now() - HOUR
    }

    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    /// Make a file that was last written two hours ago.
    fn write_old(path: &FilePath) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(path).unwrap();
        file.set_modified(SystemTime::now() - 2 * HOUR).unwrap();
    }

    #[test]
    fn stale_staging_files_go_from_every_folder_and_fresh_ones_stay() {
        let (_folder, lake) = folder();
        let stale = ["1.csv#7", "tables/a/p=x#1/0.parquet#18446744073709551615", "tables/a/_delta_log/0.json#0"];
        for name in stale {
            write_old(&lake.join(name));
        }
        let fresh = lake.join("tables/a/1.parquet#7");
        File::create(&fresh).unwrap();
        assert_eq!(remove_stale_staging(&lake, an_hour_ago()), stale.len());
        assert!(fresh.exists());
        assert!(stale.iter().all(|name| !lake.join(name).exists() && lake.join(name).parent().unwrap().is_dir()));
        assert_eq!(remove_stale_staging(&lake, an_hour_ago()), 0);
    }

    #[test]
    fn a_file_that_may_be_an_object_stays_however_old() {
        let (_folder, lake) = folder();
        let names =
            ["a", "7", "a#b", "#", "#7", "a#", "x#1.csv", "a#b#7", "a#7#8", "a##7", "a#-7", "a# 7", "a#٧", "a%237"];
        for name in names {
            write_old(&lake.join(name));
        }
        write_old(&lake.join(std::ffi::OsStr::from_bytes(b"\xff#7")));
        write_old(&lake.join("folder#7/0.parquet"));
        assert_eq!(remove_stale_staging(&lake, an_hour_ago()), 0);
        assert_eq!(fs::read_dir(&lake).unwrap().count(), names.len() + 2);
        assert!(lake.join("folder#7/0.parquet").exists());
    }

    #[test]
    fn no_link_is_followed_and_none_removed() {
        let (_folder, lake) = folder();
        let (_other, outside) = folder();
        write_old(&outside.join("a#7"));
        symlink(&outside, lake.join("elsewhere")).unwrap();
        symlink(&outside, lake.join("elsewhere#7")).unwrap();
        symlink(outside.join("a#7"), lake.join("b#7")).unwrap();
        symlink(&lake, lake.join("around")).unwrap();
        assert_eq!(remove_stale_staging(&lake, an_hour_ago()), 0);
        assert!(outside.join("a#7").exists());
        assert_eq!(fs::read_dir(&lake).unwrap().count(), 4);
    }

    #[test]
    fn a_copy_under_way_of_an_old_object_is_not_stale() {
        let (_folder, lake) = folder();
        write_old(&lake.join("a"));
        fs::hard_link(lake.join("a"), lake.join("b#7")).unwrap();
        assert_eq!(remove_stale_staging(&lake, an_hour_ago()), 0);
        let later = SystemTime::now() + HOUR;
        assert_eq!(remove_stale_staging(&lake, later), 1);
        assert!(lake.join("a").exists() && !lake.join("b#7").exists());
    }

    #[test]
    fn what_cannot_be_read_is_skipped() {
        let (_folder, lake) = folder();
        write_old(&lake.join("a#7"));
        assert_eq!(remove_stale_staging(&lake.join("missing"), an_hour_ago()), 0);
        assert_eq!(remove_stale_staging(&lake.join("a#7"), an_hour_ago()), 0);
        assert!(lake.join("a#7").exists());
    }
}
