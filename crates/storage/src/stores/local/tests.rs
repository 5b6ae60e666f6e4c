//! What only the local store promises: the order of syncs, and what becomes of staging files.

use std::{cell::RefCell, fs::File, io, sync::Barrier, thread};

use object_store::{ObjectStoreExt, UpdateVersion};
use tempfile::TempDir;

use super::*;

thread_local! {
    /// What was synced, and which objects had their names by then.
    static SYNCED: RefCell<Vec<(String, Vec<String>)>> = const { RefCell::new(Vec::new()) };
}

/// Remember the name of what is synced, or of the staging file's object, and the objects below the folder `lake`.
fn record(_: &File, path: &FilePath) -> io::Result<()> {
    let lake = path.ancestors().find(|above| above.ends_with("lake"));
    let named = lake.map(|lake| files(lake).into_iter().filter(|name| !name.contains('#')).collect());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name =
        name.split_once('#').map_or(name.to_string(), |(name, _)| format!("{} staged", name.trim_start_matches('.')));
    SYNCED.with_borrow_mut(|synced| synced.push((name, named.unwrap_or_default())));
    Ok(())
}

fn synced_in_lake() -> Vec<(String, Vec<String>)> {
    let mut synced = SYNCED.take();
    let begin = synced.iter().position(|(name, _)| name == "lake").unwrap_or_default();
    synced.split_off(begin)
}

fn synced(name: &str, named: &[&str]) -> (String, Vec<String>) {
    (name.into(), named.iter().map(|&name| name.into()).collect())
}

/// The files below a folder, staging files included.
fn files(folder: &FilePath) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            names.extend(files(&entry));
        } else {
            names.push(entry.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    names.sort();
    names
}

fn lake() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().canonicalize().unwrap().join("lake");
    fs::create_dir(&lake).unwrap();
    (folder, lake)
}

fn location(file: &FilePath) -> Path {
    Path::from_absolute_path(file).unwrap()
}

#[test]
fn bytes_are_synced_before_their_name_and_the_name_before_the_answer() {
    for mode in [CopyMode::Create, CopyMode::Overwrite] {
        let (_folder, lake) = lake();
        let disk = Disk::with_sync(record);
        put(&disk, lake.join("t/log/1"), &"x".into(), mode).unwrap();
        let first = [synced("lake", &[]), synced("t", &[]), synced("1 staged", &[]), synced("log", &["1"])];
        assert_eq!(synced_in_lake(), first);
        put(&disk, lake.join("t/log/2"), &"x".into(), mode).unwrap();
        assert_eq!(SYNCED.take(), [synced("2 staged", &["1"]), synced("log", &["1", "2"])]);
    }
}

#[test]
fn a_directory_that_another_process_made_is_synced_at_its_first_use() {
    let (_folder, lake) = lake();
    fs::create_dir_all(lake.join("t/log")).unwrap();
    put(&Disk::with_sync(record), lake.join("t/log/1"), &"x".into(), CopyMode::Create).unwrap();
    assert_eq!(synced_in_lake()[..2], [synced("lake", &[]), synced("t", &[])]);
}

#[test]
fn a_copy_is_durable_before_it_is_answered() {
    let (_folder, lake) = lake();
    fs::write(lake.join("a"), "x").unwrap();
    let disk = Disk::with_sync(record);
    Staging::link(&disk, &lake.join("a"), lake.join("t/b")).unwrap().publish(&disk, CopyMode::Overwrite).unwrap();
    assert_eq!(synced_in_lake(), [synced("lake", &["a"]), synced("t", &["a", "b"])]);
}

#[test]
fn an_object_whose_bytes_cannot_be_synced_never_gets_its_name() {
    let (_folder, lake) = lake();
    let disk = Disk::with_sync(
        |file, _| {
            if file.metadata()?.is_dir() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
        },
    );
    let error = put(&disk, lake.join("a"), &"x".into(), CopyMode::Create).unwrap_err();
    assert!(matches!(StorageError::from(error), StorageError::Full));
    assert!(files(&lake).is_empty());
}

#[test]
fn a_name_that_cannot_be_synced_is_not_acknowledged() {
    let (_folder, lake) = lake();
    fs::write(lake.join("a"), "x").unwrap();
    let disk = Arc::new(Disk::with_sync(|_, _| Err(io::ErrorKind::StorageFull.into())));
    let store = DurableLocal { disk, ..DurableLocal::new() };
    let results = store.delete_batch(vec![Ok(location(&lake.join("a"))), Ok(location(&lake.join("b")))]);
    assert!(matches!(results[..], [Err(Error::Generic { .. }), Err(Error::NotFound { .. })]), "{results:?}");
}

#[test]
fn of_sixteen_threads_that_make_one_name_one_wins() {
    let (_folder, lake) = lake();
    let (disk, start) = (Disk::default(), Barrier::new(16));
    let won = thread::scope(|scope| {
        let writers: Vec<_> = (0..16)
            .map(|writer: usize| {
                let (disk, start, target) = (&disk, &start, lake.join("t/log/1"));
                scope.spawn(move || {
                    start.wait();
                    put(disk, target, &writer.to_string().into(), CopyMode::Create)
                })
            })
            .collect();
        let outcomes: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        let lost = |outcome: &&Result<PutResult>| matches!(outcome, Err(Error::AlreadyExists { .. }));
        assert_eq!(outcomes.iter().filter(lost).count(), 15, "{outcomes:?}");
        outcomes.iter().position(Result::is_ok).unwrap()
    });
    assert_eq!(fs::read_to_string(lake.join("t/log/1")).unwrap(), won.to_string());
    assert_eq!(files(&lake), ["1"]);
}

#[tokio::test]
async fn staging_files_are_not_listed_and_cannot_be_objects() {
    let (_folder, lake) = lake();
    let (store, target) = (DurableLocal::new(), location(&lake.join("a")));
    let mut upload = store.put_multipart(&target).await.unwrap();
    upload.put_part("x".into()).await.unwrap();
    let staged = files(&lake);
    assert!(staged.len() == 1 && staged[0].starts_with(".a#"), "{staged:?}");
    let folder = location(&lake);
    assert_eq!(store.list(Some(&folder)).count().await, 0);
    assert!(store.list_with_delimiter(Some(&folder)).await.unwrap().objects.is_empty());
    let staged = location(&lake.join(&staged[0]));
    assert!(store.get(&staged).await.is_err());
    assert!(store.put(&staged, "x".into()).await.is_err());
    drop(upload);
    assert!(files(&lake).is_empty());
}

#[tokio::test]
async fn an_upload_with_a_part_that_was_not_written_is_not_completed() {
    let (_folder, lake) = lake();
    let mut upload = DurableLocal::new().put_multipart(&location(&lake.join("a"))).await.unwrap();
    drop(upload.put_part("dropped".into()));
    upload.put_part("written".into()).await.unwrap();
    upload.complete().await.unwrap_err();
    assert!(upload.put_part("late".into()).await.is_err());
    assert!(files(&lake).is_empty());
}

#[tokio::test]
async fn a_directory_that_was_removed_is_made_again() {
    let (_folder, lake) = lake();
    let (store, target) = (DurableLocal::new(), location(&lake.join("t/log/1")));
    for _ in 0..2 {
        store.put(&target, "x".into()).await.unwrap();
        fs::remove_dir_all(lake.join("t")).unwrap();
    }
}

#[tokio::test]
async fn a_name_below_an_object_is_not_taken_for_an_existing_object() {
    let (_folder, lake) = lake();
    let store = DurableLocal::new();
    store.put(&location(&lake.join("a")), "x".into()).await.unwrap();
    let below = location(&lake.join("a/b"));
    let error = store.put_opts(&below, "y".into(), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(error, Error::Generic { .. }), "{error:?}");
}

#[tokio::test]
async fn names_that_share_their_bytes_are_copied_and_renamed_like_any_other() {
    let (_folder, lake) = lake();
    let (store, [a, b]) = (DurableLocal::new(), ["a", "b"].map(|name| location(&lake.join(name))));
    store.put(&a, "x".into()).await.unwrap();
    store.copy(&a, &a).await.unwrap();
    store.copy(&a, &b).await.unwrap();
    store.copy(&a, &b).await.unwrap();
    store.rename(&a, &a).await.unwrap();
    assert_eq!(files(&lake), ["a", "b"]);
    store.rename(&a, &b).await.unwrap();
    assert_eq!(files(&lake), ["b"]);
}

#[tokio::test]
async fn a_put_of_an_expected_version_is_not_implemented() {
    let (_folder, lake) = lake();
    let mode = PutMode::Update(UpdateVersion { e_tag: None, version: None });
    let put = DurableLocal::new().put_opts(&location(&lake.join("a")), "x".into(), mode.into()).await;
    assert!(matches!(put, Err(Error::NotImplemented { .. })), "{put:?}");
}
