use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;
use futures::{TryStreamExt, future::join_all};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use sluice_domain::ZoneName;
use url::Url;

use super::{
    scripted::{Put, Scripted},
    *,
};
use crate::{StorageSettings, Zone, stores};

const MINUTE: Duration = Duration::from_secs(60);

/// A clock that stands until it is put forward.
#[derive(Clone)]
pub(super) struct HandClock(Arc<AtomicI64>, DateTime<Utc>);

impl HandClock {
    pub(super) fn new() -> Self {
        Self(Arc::default(), Utc::now())
    }

    pub(super) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.1 + TimeDelta::seconds(self.0.load(Ordering::SeqCst))
    }

    /// Terms of a holder whose clock is ahead by this.
    pub(super) fn terms(&self, holder: &str, ttl: Duration, ahead_seconds: i64) -> LeaseTerms {
        let clock = self.clone();
        LeaseTerms {
            holder: holder.into(),
            ttl,
            clock: Arc::new(move || clock.now() + TimeDelta::seconds(ahead_seconds)),
        }
    }
}

pub(super) fn folder_of(store: impl ObjectStore) -> Folder {
    let url = Url::parse("s3://lake/raw/").unwrap();
    let place = stores::Opened { url, root: Arc::new(store), path: Path::from("raw") };
    Zone::new(ZoneName::Raw, place).folder("tables/1")
}

fn scripted(script: &[Put]) -> Folder {
    folder_of(Scripted::new(script, 0))
}

async fn acquire(folder: &Folder, clock: &HandClock, holder: &str) -> Option<Lease> {
    Lease::acquire_on(folder, "maintenance", clock.terms(holder, MINUTE, 0)).await.unwrap()
}

fn assert_lost<T: fmt::Debug>(outcome: Result<T, LeaseError>) {
    assert!(matches!(outcome, Err(LeaseError::Lost { .. })), "{outcome:?}");
}

async fn names(folder: &Folder) -> Vec<String> {
    let mut names: Vec<_> =
        folder.store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_over_two_handles_one_acquires() {
    let directory = tempfile::tempdir().unwrap();
    let url = Url::from_directory_path(directory.path()).unwrap();
    let handle = || {
        let place = stores::open(url.as_str(), &StorageSettings::default()).unwrap();
        Zone::new(ZoneName::Raw, place).folder("tables/1")
    };
    let handles = [handle(), handle()];
    for round in 1..=20 {
        let wishes = (0..16).map(|holder| {
            let folder = handles[holder % 2].clone();
            tokio::spawn(async move { Lease::acquire(&folder, "maintenance", &holder.to_string(), MINUTE).await })
        });
        let outcomes = join_all(wishes).await.into_iter().map(|outcome| outcome.unwrap().unwrap());
        let leases: Vec<Lease> = outcomes.flatten().collect();
        assert_eq!(leases.iter().map(Lease::epoch).collect::<Vec<_>>(), [round]);
        leases[0].check().await.unwrap();
        leases[0].release().await.unwrap();
    }
    let kept: Vec<String> =
        (16..=20).map(|epoch: u64| format!("_sluice/leases/maintenance/{epoch:020}.json")).collect();
    assert_eq!(names(&handles[0]).await, kept);
}

#[tokio::test]
async fn a_lease_is_followed_when_its_time_and_the_margin_are_over() {
    let (folder, clock) = (folder_of(InMemory::new()), HandClock::new());
    let first = acquire(&folder, &clock, "first").await.unwrap();
    clock.forward(59);
    first.check().await.unwrap();
    assert!(acquire(&folder, &clock, "second").await.is_none());
    clock.forward(1);
    assert_lost(first.check().await);
    assert!(acquire(&folder, &clock, "second").await.is_none(), "the margin is not over");
    clock.forward(CLOCK_MARGIN.as_secs() as i64);
    let second = acquire(&folder, &clock, "second").await.unwrap();
    assert_eq!((first.epoch(), second.epoch()), (1, 2));
}

#[tokio::test]
async fn a_holder_whose_clock_is_behind_is_fenced_when_it_wakes() {
    let (folder, clock) = (folder_of(InMemory::new()), HandClock::new());
    let behind = clock.terms("behind", MINUTE, -300);
    let first = Lease::acquire_on(&folder, "maintenance", behind).await.unwrap().unwrap();
    first.check().await.unwrap();
    let second = acquire(&folder, &clock, "second").await.unwrap();
    assert_lost(first.check().await);
    assert_lost(first.renew().await);
    first.release().await.unwrap();
    second.check().await.unwrap();
    assert!(acquire(&folder, &clock, "third").await.is_none(), "the release of a lost lease ended another's");
}

#[tokio::test]
async fn a_renewed_lease_holds_for_its_time_anew_and_a_late_one_does_not() {
    let (folder, clock) = (folder_of(InMemory::new()), HandClock::new());
    let first = acquire(&folder, &clock, "first").await.unwrap();
    for _ in 0..5 {
        clock.forward(50);
        first.renew().await.unwrap();
        assert!(acquire(&folder, &clock, "second").await.is_none());
    }
    clock.forward(60);
    assert_lost(first.renew().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_while_its_work_goes_on() {
    let folder = folder_of(InMemory::new());
    let ttl = Duration::from_secs(2);
    let lease = Lease::acquire(&folder, "maintenance", "first", ttl).await.unwrap().unwrap();
    let ends_at = Utc::now() + TimeDelta::seconds(3);
    let work = async {
        while Utc::now() < ends_at {
            lease.check().await?;
            tokio::task::yield_now().await;
        }
        Ok::<_, LeaseError>("done")
    };
    assert_eq!(lease.hold(work).await.unwrap(), "done");
    lease.check().await.unwrap();
}

#[tokio::test]
async fn a_released_lease_is_followed_at_once() {
    let (folder, clock) = (folder_of(InMemory::new()), HandClock::new());
    let first = acquire(&folder, &clock, "first").await.unwrap();
    first.release().await.unwrap();
    assert_lost(first.check().await);
    assert_lost(first.renew().await);
    assert_eq!(acquire(&folder, &clock, "second").await.unwrap().epoch(), 2);
    assert!(Lease::acquire(&folder, "another", "third", MINUTE).await.unwrap().is_some());
}

#[tokio::test]
async fn a_holder_whose_object_is_gone_holds_nothing() {
    let (folder, clock) = (folder_of(InMemory::new()), HandClock::new());
    let first = acquire(&folder, &clock, "first").await.unwrap();
    folder.store.delete(&Path::from(names(&folder).await[0].as_str())).await.unwrap();
    assert_lost(first.check().await);
}

#[tokio::test]
async fn what_nobody_can_read_or_believe_ends_by_itself() {
    let ages = i64::try_from(MAX_TTL.as_secs()).unwrap();
    let for_ever = r#"{"holder":"x","token":"00000000-0000-0000-0000-000000000000",
        "acquired_at":"2020-01-01T00:00:00Z","expires_at":"9999-01-01T00:00:00Z"}"#;
    let large = "x".repeat(5000);
    for content in ["", "{", for_ever, &large] {
        let (folder, clock) = (folder_of(InMemory::new()), HandClock::new());
        let path = Path::from("_sluice/leases/maintenance/00000000000000000007.json");
        folder.store.put(&path, content.to_owned().into()).await.unwrap();
        for stray in ["99999999999999999999.json", "18446744073709551615.json", "8.json", "00000000000000000009.txt"] {
            let path = Path::from(format!("_sluice/leases/maintenance/{stray}"));
            folder.store.put(&path, "{}".into()).await.unwrap();
        }
        clock.forward(ages - 60);
        assert!(acquire(&folder, &clock, "second").await.is_none(), "{content}");
        clock.forward(120);
        assert_eq!(acquire(&folder, &clock, "second").await.unwrap().epoch(), 8, "{content}");
    }
}

#[tokio::test]
async fn an_error_after_the_object_was_made_is_a_win() {
    for script in [Put::ApplyAndDeny, Put::ApplyAndFail] {
        let folder = scripted(&[script]);
        let lease = Lease::acquire(&folder, "maintenance", "first", MINUTE).await.unwrap().unwrap();
        lease.check().await.unwrap();
        assert!(Lease::acquire(&folder, "maintenance", "second", MINUTE).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_refusal_that_leaves_no_object_is_tried_again_and_for_a_while_only() {
    let folder = scripted(&[Put::Conflict, Put::Conflict]);
    assert_eq!(Lease::acquire(&folder, "maintenance", "first", MINUTE).await.unwrap().unwrap().epoch(), 1);
    let folder = scripted(&[Put::Conflict; 50]);
    assert!(Lease::acquire(&folder, "maintenance", "first", MINUTE).await.unwrap().is_none());
}

#[tokio::test]
async fn an_epoch_that_another_made_first_is_the_others() {
    let folder = scripted(&[Put::ComeSecond]);
    assert!(Lease::acquire(&folder, "maintenance", "first", MINUTE).await.unwrap().is_none());
    let folder = scripted(&[Put::Fail]);
    let error = Lease::acquire(&folder, "maintenance", "first", MINUTE).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
}
