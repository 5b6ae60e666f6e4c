//! What every store must do, run for each that needs no network.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, Result, memory::InMemory, path::Path};
use sluice_domain::ZoneName;
use tempfile::TempDir;
use url::Url;

use super::{Opened, open};
use crate::{Breaker, BreakerSettings, ObjectWriter, StorageSettings, Zone, probe, read_chunks};

const WRITERS: usize = 16;
const MIB: usize = 1024 * 1024;

macro_rules! conformance {
    ($($test:ident),+ $(,)?) => {
        mod durable_local {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let (_folder, zone) = super::durable_local();
                super::$test(zone).await;
            })+
        }

        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::in_memory()).await;
            })+
        }

        mod guarded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                let (breaker, zone) = super::guarded();
                super::$test(zone).await;
                assert_eq!(breaker.state(), crate::BreakerState::Closed);
            })+
        }
    };
}

conformance!(
    a_put_if_absent_has_one_winner_and_keeps_its_object,
    a_put_replaces_the_object,
    a_written_object_is_read_back_and_replaces_the_one_before,
    parts_that_arrive_out_of_order_lie_in_order,
    an_upload_is_not_seen_before_it_is_complete,
    an_unfinished_writer_leaves_the_object_as_it_was,
    a_copy_and_a_rename_keep_to_their_mode,
    deletions_are_answered_in_order,
    lists_show_what_is_below_the_prefix,
    a_folder_names_one_object_by_path_and_by_url,
    the_probe_passes_and_leaves_no_object,
);

fn durable_local() -> (TempDir, Zone) {
    let folder = tempfile::tempdir().unwrap();
    // A name whose every character means something else somewhere.
    let url = Url::from_directory_path(folder.path().join("lake a%2Fb#1?ü")).unwrap();
    let place = open(url.as_str(), &StorageSettings::default()).unwrap();
    (folder, Zone::new(ZoneName::Raw, place))
}

fn in_memory() -> Zone {
    let url = Url::parse("s3://lake/raw/").unwrap();
    Zone::new(ZoneName::Raw, Opened { url, root: Arc::new(InMemory::new()), path: Path::from("raw") })
}

/// A store behind a breaker that a single failure opens, for as long as the test takes.
fn guarded() -> (Arc<Breaker>, Zone) {
    let breaker = Arc::new(Breaker::new("s3", &BreakerSettings { threshold: 1, open_seconds: 3600 }));
    let url = Url::parse("s3://lake/raw/").unwrap();
    let place = Opened { url, root: Arc::new(InMemory::new()), path: Path::from("raw") };
    let zone = Zone::new(ZoneName::Raw, place.guarded(&breaker, Duration::from_secs(60)));
    (breaker, zone)
}

async fn text(store: &dyn ObjectStore, path: &Path) -> Result<String> {
    Ok(String::from_utf8(store.get(path).await?.bytes().await?.to_vec()).unwrap())
}

async fn names(store: &dyn ObjectStore, prefix: Option<&Path>) -> Vec<String> {
    let mut names: Vec<_> = store.list(prefix).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    names.sort();
    names
}

async fn a_put_if_absent_has_one_winner_and_keeps_its_object(zone: Zone) {
    let path = Path::from("_delta_log/00000000000000000001.json");
    let writers = (0..WRITERS).map(|writer| {
        let (store, path) = (zone.store(), path.clone());
        tokio::spawn(async move { store.put_opts(&path, writer.to_string().into(), PutMode::Create.into()).await })
    });
    let outcomes = join_all(writers).await.into_iter().map(std::result::Result::unwrap);
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.enumerate().partition(|(_, outcome)| outcome.is_ok());
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|(_, outcome)| matches!(outcome, Err(Error::AlreadyExists { .. }))), "{lost:?}");
    assert_eq!(text(&zone.store(), &path).await.unwrap(), won[0].0.to_string());
}

async fn a_put_replaces_the_object(zone: Zone) {
    let (store, path) = (zone.store(), Path::from("p=a%2Fb c/ü"));
    for content in ["first", "", "third"] {
        let put = store.put(&path, content.to_owned().into()).await.unwrap();
        assert_eq!(put.e_tag, store.head(&path).await.unwrap().e_tag);
        assert_eq!(text(&store, &path).await.unwrap(), content);
    }
}

async fn a_written_object_is_read_back_and_replaces_the_one_before(zone: Zone) {
    let path = Path::from("uploads/1.csv");
    for size_bytes in [10 * MIB, 3, 20 * MIB + 1, 8 * MIB, 0, 8 * MIB + 1] {
        let content: Bytes = (0..size_bytes).map(|at| (at % 251) as u8).collect();
        let mut writer = ObjectWriter::open(zone.store(), path.clone()).await.unwrap();
        for piece in content.chunks(1_000_003) {
            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        assert_eq!(writer.finish().await.unwrap(), size_bytes as u64);
        let chunks: Vec<Bytes> =
            read_chunks(zone.store(), path.clone(), size_bytes as u64).try_collect().await.unwrap();
        assert!(chunks.concat() == content, "{size_bytes} bytes came back changed");
    }
    assert_eq!(names(&zone.store(), None).await, ["uploads/1.csv"]);
}

async fn parts_that_arrive_out_of_order_lie_in_order(zone: Zone) {
    let (store, path) = (zone.store(), Path::from("a"));
    let mut upload = store.put_multipart(&path).await.unwrap();
    let mut parts: Vec<_> = ["one ", "two ", "three"].map(|part| upload.put_part(part.into())).into();
    parts.reverse();
    for part in parts {
        part.await.unwrap();
    }
    upload.complete().await.unwrap();
    assert_eq!(text(&store, &path).await.unwrap(), "one two three");
}

async fn an_upload_is_not_seen_before_it_is_complete(zone: Zone) {
    let (store, path) = (zone.store(), Path::from("a/b"));
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part("content".into()).await.unwrap();
    assert!(names(&store, None).await.is_empty());
    assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })));
    upload.complete().await.unwrap();
    assert_eq!(names(&store, None).await, ["a/b"]);
}

async fn an_unfinished_writer_leaves_the_object_as_it_was(zone: Zone) {
    let (store, path) = (zone.store(), Path::from("a"));
    store.put(&path, "before".into()).await.unwrap();
    for given_up in [true, false] {
        let mut writer = ObjectWriter::open(zone.store(), path.clone()).await.unwrap();
        writer.write(vec![0; 20 * MIB].into()).await.unwrap();
        if given_up {
            writer.abort().await
        } else {
            drop(writer)
        }
        assert_eq!(text(&store, &path).await.unwrap(), "before");
    }
    assert_eq!(names(&store, None).await, ["a"]);
}

async fn a_copy_and_a_rename_keep_to_their_mode(zone: Zone) {
    let store = zone.store();
    let [a, b, c] = ["x/a", "y/b", "z/c"].map(Path::from);
    store.put(&a, "a".into()).await.unwrap();
    store.copy(&a, &b).await.unwrap();
    assert!(matches!(store.copy_if_not_exists(&a, &b).await, Err(Error::AlreadyExists { .. })));
    assert!(matches!(store.rename_if_not_exists(&a, &b).await, Err(Error::AlreadyExists { .. })));
    assert!(matches!(store.copy(&c, &a).await, Err(Error::NotFound { .. })));
    store.put(&a, "a2".into()).await.unwrap();
    assert_eq!(text(&store, &b).await.unwrap(), "a");
    store.rename(&a, &b).await.unwrap();
    store.rename_if_not_exists(&b, &c).await.unwrap();
    assert_eq!(text(&store, &c).await.unwrap(), "a2");
    assert_eq!(names(&store, None).await, ["z/c"]);
}

async fn deletions_are_answered_in_order(zone: Zone) {
    let store = zone.store();
    let paths: Vec<Path> = (0..600).map(|number| Path::from(format!("d{}/{number}", number % 3))).collect();
    for path in &paths {
        store.put(path, "x".into()).await.unwrap();
    }
    let deleted = store.delete_stream(stream::iter(paths.clone()).map(Ok).boxed());
    assert_eq!(deleted.try_collect::<Vec<_>>().await.unwrap(), paths);
    assert!(names(&store, None).await.is_empty());
}

async fn lists_show_what_is_below_the_prefix(zone: Zone) {
    let store = zone.store();
    for path in ["a/1", "a/b/2", "ab/3"] {
        store.put(&Path::from(path), "x".into()).await.unwrap();
    }
    let folder = Path::from("a");
    assert_eq!(names(&store, Some(&folder)).await, ["a/1", "a/b/2"]);
    assert!(names(&store, Some(&Path::from("missing"))).await.is_empty());
    let later = store.list_with_offset(Some(&folder), &Path::from("a/1")).count().await;
    assert_eq!(later, 1);
    let listed = store.list_with_delimiter(Some(&folder)).await.unwrap();
    assert_eq!((listed.objects.len(), listed.common_prefixes), (1, vec![Path::from("a/b")]));
}

async fn a_folder_names_one_object_by_path_and_by_url(zone: Zone) {
    let folder = zone.folder("tables/nyc/flights/1");
    folder.store.put(&Path::parse("p=a%2Fb/0.parquet").unwrap(), "rows".into()).await.unwrap();
    // How a Delta log names the file, and how a scan finds its path.
    let url = folder.url.join("p=a%252Fb/0.parquet").unwrap();
    assert!(url.path().starts_with(zone.url().path()));
    let path = Path::from_url_path(url.path()).unwrap();
    assert_eq!(text(&folder.root, &path).await.unwrap(), "rows");
    assert_eq!(names(&folder.root, None).await, [path.as_ref()]);
}

async fn the_probe_passes_and_leaves_no_object(zone: Zone) {
    probe(&zone).await.unwrap();
    assert!(names(&zone.store(), None).await.is_empty());
}
