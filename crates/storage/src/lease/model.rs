//! Random schedules of holders, held against what a lease promises.

use std::{
    collections::BTreeSet,
    sync::{Mutex as BlockingMutex, atomic::AtomicU64, atomic::Ordering},
};

use futures::{StreamExt, stream::FuturesUnordered};
use object_store::memory::InMemory;
use proptest::{collection::vec, prelude::*};

use super::{
    scripted::Scripted,
    tests::{HandClock, folder_of},
    *,
};

const TTL_SECONDS: u64 = 60;
const HOLDERS: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Step {
    Acquire,
    Renew,
    Release,
    Check,
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Acquire),
        2 => Just(Step::Renew),
        1 => Just(Step::Release),
        2 => Just(Step::Check),
        2 => (1..50_i64).prop_map(Step::Wait),
    ]
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// One after the other, with clocks that differ by less than the margin: never are there two holders.
async fn one_after_the_other(steps: Vec<(usize, Step)>, ahead: Vec<i64>) {
    let (folder, clock) = (folder_of(InMemory::new()), HandClock::new());
    let mut held: Vec<Option<Lease>> = (0..HOLDERS).map(|_| None).collect();
    let mut newest = 0;
    for (holder, step) in steps {
        let lease = held[holder].as_ref();
        match (step, lease) {
            (Step::Acquire, _) => {
                let terms = clock.terms("holder", Duration::from_secs(TTL_SECONDS), ahead[holder]);
                if let Some(lease) = Lease::acquire_on(&folder, "model", terms).await.unwrap() {
                    assert!(lease.epoch() > newest, "epoch {} after {newest}", lease.epoch());
                    newest = lease.epoch();
                    held[holder] = Some(lease);
                }
            }
            (Step::Renew, Some(lease)) => assert_eq!(lease.renew().await.is_ok(), lease.check().await.is_ok()),
            (Step::Release, Some(lease)) => {
                lease.release().await.unwrap();
                assert!(lease.check().await.is_err());
            }
            (Step::Check, Some(lease)) => assert!(lease.check().await.is_err() || lease.epoch() == newest),
            (Step::Wait(seconds), _) => clock.forward(seconds),
            _ => {}
        }
        let mut holding = 0;
        for lease in held.iter().flatten() {
            // By its own clock alone, as a holder that cannot reach the store would judge it.
            let record = lease.record.lock().await;
            holding += usize::from(!record.released && (lease.terms.clock)() < record.expires_at);
        }
        assert!(holding <= 1, "{holding} holders at once");
    }
}

/// At once, in an order that chance decides, with clocks that differ by anything: each epoch has one holder, and a
/// check passes only for the newest of those that were acquired before it began.
async fn at_once(steps: Vec<Vec<Step>>, ahead: Vec<i64>, seed: u64) {
    let (folder, clock) = (folder_of(Scripted::new(&[], seed)), HandClock::new());
    let (newest, epochs) = (AtomicU64::new(0), BlockingMutex::new(BTreeSet::new()));
    let holders: FuturesUnordered<_> = steps
        .into_iter()
        .zip(&ahead)
        .map(async |(steps, ahead)| {
            let mut held: Option<Lease> = None;
            for step in steps {
                match (step, &held) {
                    (Step::Acquire, _) => {
                        let terms = clock.terms("holder", Duration::from_secs(TTL_SECONDS), *ahead);
                        if let Some(lease) = Lease::acquire_on(&folder, "model", terms).await.unwrap() {
                            assert!(epochs.lock().unwrap().insert(lease.epoch()), "epoch {} twice", lease.epoch());
                            newest.fetch_max(lease.epoch(), Ordering::SeqCst);
                            held = Some(lease);
                        }
                    }
                    (Step::Check | Step::Renew, Some(lease)) => {
                        let newest = newest.load(Ordering::SeqCst);
                        let held = if matches!(step, Step::Check) { lease.check().await } else { lease.renew().await };
                        assert!(held.is_err() || lease.epoch() >= newest, "epoch {} after {newest}", lease.epoch());
                    }
                    (Step::Release, Some(lease)) => lease.release().await.unwrap(),
                    (Step::Wait(seconds), _) => clock.forward(seconds),
                    _ => {}
                }
            }
        })
        .collect();
    holders.collect::<Vec<()>>().await;
}

proptest! {
    #[test]
    fn holders_follow_one_another(
        steps in vec((0..HOLDERS, step()), 1..60),
        ahead in vec(-5..5_i64, HOLDERS),
    ) {
        runtime().block_on(one_after_the_other(steps, ahead));
    }

    #[test]
    fn holders_that_race_have_each_their_epoch(
        steps in vec(vec(step(), 1..20), HOLDERS),
        ahead in vec(-600..600_i64, HOLDERS),
        seed: u64,
    ) {
        runtime().block_on(at_once(steps, ahead, seed));
    }
}
