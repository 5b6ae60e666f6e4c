//! Ends a process that decodes for too long.
//!
//! Invariant: a file is blamed only for what its process computed itself; a machine that is busy is no fault of a file.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{process::Process, settings::WorkerSettings};

/// How often a process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What Linux counts computing in, whatever the machine: hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Why a process was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It computed much and gave little.
    Fruitless,
    /// It said nothing for long, and computed little.
    Silent,
}

/// Watches one process until it is dropped.
pub(super) struct Watch {
    seen: Arc<Seen>,
    /// Dropped with this, which ends the thread.
    _end: SyncSender<()>,
}

/// What is seen of a process.
struct Seen {
    started: Instant,
    given_bytes: AtomicU64,
    /// Since when its answer is waited for, in milliseconds since the start; zero while it is not.
    waiting_since: AtomicU64,
    verdict: Mutex<Option<Verdict>>,
}

impl Watch {
    pub(super) fn start(process: Process, settings: WorkerSettings) -> std::io::Result<Self> {
        let seen = Arc::new(Seen {
            started: Instant::now(),
            given_bytes: AtomicU64::new(0),
            waiting_since: AtomicU64::new(0),
            verdict: Mutex::new(None),
        });
        let (end, ended) = sync_channel(0);
        let watched = Arc::clone(&seen);
        thread::Builder::new().name("decode-watch".into()).spawn(move || watched.watch(&process, &settings, &ended))?;
        Ok(Self { seen, _end: end })
    }

    /// Wait for what the process does next; it must give so many bytes.
    pub(super) fn waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.seen.waiting_since.store(self.seen.elapsed_ms(), Ordering::Relaxed);
        let outcome = wait();
        self.seen.waiting_since.store(0, Ordering::Relaxed);
        outcome
    }

    /// The process has given rows.
    pub(super) fn gave(&self, bytes: usize) {
        self.seen.given_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Why the process was ended, if it was.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        *self.seen.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn watch(&self, process: &Process, settings: &WorkerSettings, ended: &Receiver<()>) {
        while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            if let Some(verdict) = self.judge(computed(process.id()), settings) {
                *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
                return process.kill();
            }
        }
    }

    fn judge(&self, computed: Option<Duration>, settings: &WorkerSettings) -> Option<Verdict> {
        let earned = self.given_bytes.load(Ordering::Relaxed) / settings.min_bytes_per_cpu_second.max(1);
        let allowed = Duration::from_secs(settings.fruitless_cpu_seconds.saturating_add(earned));
        let waiting_since = self.waiting_since.load(Ordering::Relaxed);
        let waited_ms = if waiting_since == 0 { 0 } else { self.elapsed_ms().saturating_sub(waiting_since) };
        if computed.is_some_and(|computed| computed > allowed) {
            return Some(Verdict::Fruitless);
        }
        (waited_ms > settings.silent_seconds.saturating_mul(1000)).then_some(Verdict::Silent)
    }
}

/// For how long a process has computed, where the system tells.
fn computed(process: u32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, which may hold anything, ends with the last parenthesis; two fields of eleven after it are wanted.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u32>().ok()?.saturating_add(fields.next()?.parse::<u32>().ok()?);
    Some(TICK.saturating_mul(ticks))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, 5, 0, None)]
    #[case(0, 7, 0, Some(Verdict::Fruitless))]
    #[case(8 << 20, 7, 0, None)]
    #[case(8 << 20, 9, 0, Some(Verdict::Fruitless))]
    #[case(0, 0, 100, None)]
    #[case(0, 0, 130, Some(Verdict::Silent))]
    #[case(0, 7, 130, Some(Verdict::Fruitless))]
    fn who_computes_must_give(
        #[case] given: u64,
        #[case] computed_seconds: u64,
        #[case] waited_seconds: u64,
        #[case] verdict: Option<Verdict>,
    ) {
        let seen = Seen {
            started: Instant::now() - Duration::from_secs(waited_seconds + 1),
            given_bytes: AtomicU64::new(given),
            waiting_since: AtomicU64::new(u64::from(waited_seconds > 0)),
            verdict: Mutex::new(None),
        };
        assert_eq!(seen.judge(Some(Duration::from_secs(computed_seconds)), &WorkerSettings::default()), verdict);
    }

    #[test]
    fn what_a_process_computed_is_known_here() {
        let before = computed(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while computed(std::process::id()).unwrap() < before + 2 * TICK {
            sum = std::hint::black_box(sum).wrapping_add(1);
        }
        assert!(computed(u32::MAX).is_none());
    }
}
