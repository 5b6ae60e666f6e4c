//! The breaker before a store that fails when it is told to, on a clock that the tests turn.

mod answers;
mod switched;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, TryStreamExt, future::join_all, stream};
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, Result, path::Path};

use self::switched::{Mode, Switched};
use super::{Breaker, BreakerState, Guarded, find_open_circuit};
use crate::BreakerSettings;

const OPEN_SECONDS: u64 = 60;
const PATIENCE: Duration = Duration::from_millis(50);

/// A store behind a breaker of threshold 3, and what the tests turn.
struct Setup {
    store: Switched,
    breaker: Arc<Breaker>,
    guarded: Guarded,
    seconds: Arc<AtomicU64>,
}

impl Setup {
    async fn new() -> Self {
        let (store, seconds) = (Switched::new(), Arc::new(AtomicU64::new(0)));
        let (start, passed) = (Instant::now(), Arc::clone(&seconds));
        let clock = Box::new(move || start + Duration::from_secs(passed.load(Ordering::SeqCst)));
        let settings = BreakerSettings { threshold: 3, open_seconds: OPEN_SECONDS };
        let breaker = Arc::new(Breaker::with_clock("s3", &settings, clock));
        let guarded = Guarded::new(Arc::new(store.clone()), Arc::clone(&breaker), PATIENCE);
        for path in ["a", "b"] {
            guarded.put(&Path::from(path), "content".into()).await.unwrap();
        }
        Self { store, breaker, guarded, seconds }
    }

    async fn opened() -> Self {
        let setup = Self::new().await;
        setup.fail(3, Mode::Fails).await;
        assert_eq!(setup.state(), BreakerState::Open);
        setup
    }

    async fn put(&self) -> Result<()> {
        self.guarded.put(&Path::from("a"), "again".into()).await.map(drop)
    }

    /// Let this many calls fail.
    async fn fail(&self, times: usize, mode: Mode) {
        self.store.switch(mode);
        for _ in 0..times {
            assert!(!is_refused(self.put().await), "the store was not asked");
        }
    }

    fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    fn state(&self) -> BreakerState {
        self.breaker.state()
    }
}

/// Whether the breaker refused the call, which must have failed.
fn is_refused<T>(result: Result<T>) -> bool {
    let error = result.err().expect("the call fails");
    find_open_circuit(&error).is_some()
}

#[tokio::test]
async fn the_third_failure_opens_and_one_success_after_the_time_closes() {
    let setup = Setup::new().await;
    setup.fail(2, Mode::Fails).await;
    assert_eq!(setup.state(), BreakerState::Closed);
    setup.fail(1, Mode::Fails).await;
    assert_eq!(setup.state(), BreakerState::Open);
    let calls = setup.store.calls();
    assert!(is_refused(setup.put().await));
    assert_eq!(setup.store.calls(), calls, "the fourth call reached the store");

    setup.pass(OPEN_SECONDS - 1);
    assert_eq!((setup.state(), is_refused(setup.put().await)), (BreakerState::Open, true));
    setup.pass(1);
    assert_eq!(setup.state(), BreakerState::HalfOpen);
    setup.store.switch(Mode::Works);
    setup.put().await.unwrap();
    assert_eq!(setup.state(), BreakerState::Closed);
    // The count began anew.
    setup.fail(2, Mode::Fails).await;
    assert_eq!(setup.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_success_between_failures_starts_the_count_anew() {
    let setup = Setup::new().await;
    for _ in 0..3 {
        setup.fail(2, Mode::Fails).await;
        setup.store.switch(Mode::Works);
        setup.put().await.unwrap();
    }
    assert_eq!(setup.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_failed_trial_opens_again_for_the_whole_time() {
    let setup = Setup::opened().await;
    setup.pass(OPEN_SECONDS);
    assert!(!is_refused(setup.put().await));
    assert_eq!(setup.state(), BreakerState::Open);
    setup.pass(OPEN_SECONDS - 1);
    assert!(is_refused(setup.put().await));
}

#[tokio::test]
async fn a_refusal_tells_how_long_it_will_be() {
    let setup = Setup::opened().await;
    setup.pass(18);
    let error = setup.put().await.unwrap_err();
    assert_eq!(find_open_circuit(&error).unwrap().seconds, 42);
    assert_eq!(setup.breaker.check().unwrap_err().seconds, 42);
    setup.pass(42);
    setup.breaker.check().unwrap();
}

#[tokio::test]
async fn of_many_trials_one_passes() {
    let setup = Setup::opened().await;
    setup.pass(OPEN_SECONDS);
    let calls = setup.store.calls();
    let results = join_all((0..16).map(|_| setup.put())).await;
    assert_eq!(results.into_iter().filter(|result| !is_refused_ref(result)).count(), 1);
    assert_eq!(setup.store.calls(), calls + 1);

    setup.pass(OPEN_SECONDS);
    setup.store.switch(Mode::Hangs);
    let path = Path::from("a");
    let mut trial = setup.guarded.head(&path).boxed();
    assert!(futures::poll!(&mut trial).is_pending());
    assert!(is_refused(setup.put().await), "two calls are on trial");
    assert!(!is_refused(trial.await));
}

fn is_refused_ref(result: &Result<()>) -> bool {
    result.as_ref().is_err_and(|error| find_open_circuit(error).is_some())
}

#[tokio::test]
async fn a_trial_that_is_given_up_leaves_room_for_another() {
    let setup = Setup::opened().await;
    setup.pass(OPEN_SECONDS);
    setup.store.switch(Mode::Hangs);
    assert!(setup.put().now_or_never().is_none());
    assert_eq!(setup.state(), BreakerState::HalfOpen);
    setup.store.switch(Mode::Works);
    setup.put().await.unwrap();
    assert_eq!(setup.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_store_that_does_not_answer_fails() {
    let setup = Setup::new().await;
    setup.fail(3, Mode::Hangs).await;
    assert_eq!(setup.state(), BreakerState::Open);
}

#[tokio::test]
async fn answers_that_are_no_success_are_no_failures() {
    let setup = Setup::new().await;
    setup.fail(2, Mode::Fails).await;
    setup.fail(10, Mode::IsFull).await;
    setup.fail(2, Mode::Fails).await;
    setup.store.switch(Mode::Works);
    let missing = setup.guarded.get(&Path::from("missing")).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    setup.fail(2, Mode::Fails).await;
    setup.store.switch(Mode::Works);
    let taken = setup.guarded.put_opts(&Path::from("a"), "x".into(), PutMode::Create.into()).await;
    assert!(matches!(taken, Err(Error::AlreadyExists { .. })), "{taken:?}");
    setup.fail(2, Mode::Fails).await;
    assert_eq!(setup.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_body_that_breaks_off_or_stops_is_a_failure() {
    for mode in [Mode::BreaksOff, Mode::Stops] {
        let setup = Setup::new().await;
        setup.store.switch(mode);
        for _ in 0..3 {
            assert_eq!(setup.state(), BreakerState::Closed);
            let result = setup.guarded.get(&Path::from("a")).await.unwrap();
            assert!(!is_refused(result.bytes().await), "{mode:?}");
        }
        assert_eq!(setup.state(), BreakerState::Open, "{mode:?}");
        assert!(is_refused(setup.guarded.get(&Path::from("a")).await));
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_to_its_end_is_a_success() {
    let setup = Setup::new().await;
    setup.fail(2, Mode::Fails).await;
    setup.store.switch(Mode::Stops);
    drop(setup.guarded.get(&Path::from("a")).await.unwrap());
    setup.fail(2, Mode::Fails).await;
    assert_eq!(setup.state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_stream_that_ended_can_be_asked_again() {
    let setup = Setup::new().await;
    for mode in [Mode::Works, Mode::BreaksOff] {
        setup.store.switch(mode);
        let mut items = setup.guarded.list(None);
        while items.next().await.is_some() {}
        assert!(items.next().await.is_none());
        let mut body = setup.guarded.get(&Path::from("a")).await.unwrap().into_stream();
        while body.next().await.is_some() {}
        assert!(body.next().await.is_none());
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_or_stops_is_a_failure_and_ends() {
    for mode in [Mode::BreaksOff, Mode::Stops] {
        let setup = Setup::new().await;
        setup.store.switch(mode);
        for _ in 0..3 {
            let items: Vec<_> = setup.guarded.list(None).collect().await;
            assert!(matches!(items[..], [Ok(_), Err(_)]), "{mode:?}: {items:?}");
        }
        assert_eq!(setup.state(), BreakerState::Open, "{mode:?}");
        assert!(is_refused(setup.guarded.list(None).try_collect::<Vec<_>>().await));
        assert!(is_refused(setup.guarded.list_with_delimiter(None).await));
        let paths = stream::iter(["a", "b"].map(Path::from)).map(Ok).boxed();
        assert!(is_refused(setup.guarded.delete_stream(paths).try_collect::<Vec<_>>().await));
    }
}

#[tokio::test]
async fn the_parts_of_an_upload_are_calls_of_their_own() {
    let setup = Setup::new().await;
    let mut upload = setup.guarded.put_multipart(&Path::from("c")).await.unwrap();
    upload.put_part("one ".into()).await.unwrap();
    setup.fail(3, Mode::Fails).await;
    assert!(is_refused(upload.put_part("two".into()).await));
    assert!(is_refused(upload.complete().await));
    setup.pass(OPEN_SECONDS);
    upload.put_part("three".into()).await.unwrap();
    assert_eq!(setup.state(), BreakerState::Closed);
    upload.complete().await.unwrap();
}
