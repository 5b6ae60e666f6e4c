//! Work for all cores whose results are wanted in the order in which it was given out.
//!
//! The threads are those of the process-wide pool, one for each core, which all uploads share.
//!
//! Invariant: no more jobs wait or run at a time than the limit; results depend on the jobs alone, never on timing.

use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::mpsc::{Receiver, sync_channel},
};

/// The most jobs that one upload has under way: each holds a block of its file and the rows of it.
const MAX_UNDER_WAY: usize = 8;

type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// Jobs under way, the oldest first.
pub(crate) struct InOrder<T> {
    under_way: VecDeque<Receiver<Outcome<T>>>,
    limit: usize,
}

impl<T: Send + 'static> InOrder<T> {
    pub(crate) fn new() -> Self {
        Self { under_way: VecDeque::new(), limit: (rayon::current_num_threads() + 1).min(MAX_UNDER_WAY) }
    }

    /// Whether a result must be taken before another job is given out.
    pub(crate) fn is_full(&self) -> bool {
        self.under_way.len() >= self.limit
    }

    /// Give out a job. It must not wait for anything: it would keep a thread from all others.
    pub(crate) fn push(&mut self, job: impl FnOnce() -> T + Send + 'static) {
        let (sender, receiver) = sync_channel(1);
        rayon::spawn_fifo(move || {
            // Whoever gave the job out may be gone; then nobody wants the result.
            let _ = sender.send(catch_unwind(AssertUnwindSafe(job)));
        });
        self.under_way.push_back(receiver);
    }

    /// The result of the oldest job, waited for; none where nothing is under way. A panic goes on here.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let receiver = self.under_way.pop_front()?;
        let lost = |_| -> Outcome<T> { Err(Box::new("the result of a job was lost")) };
        Some(receiver.recv().unwrap_or_else(lost).unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let mut jobs = InOrder::new();
        let mut results = Vec::new();
        for number in 0..100_u64 {
            if jobs.is_full() {
                results.extend(jobs.pop());
            }
            // The first ones take the longest.
            jobs.push(move || (0..(100 - number) * 1000).fold(number, |sum, at| std::hint::black_box(sum + at - at)));
        }
        results.extend(std::iter::from_fn(|| jobs.pop()));
        assert_eq!(results, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn no_more_jobs_are_under_way_than_the_limit_and_a_panic_comes_out_in_its_place() {
        let mut jobs = InOrder::new();
        while !jobs.is_full() {
            jobs.push(|| 1);
        }
        assert!(jobs.under_way.len() <= MAX_UNDER_WAY);
        while jobs.pop().is_some() {}
        jobs.push(|| 2);
        jobs.push(|| panic!("a job's panic"));
        jobs.push(|| 3);
        assert_eq!(jobs.pop(), Some(2));
        assert!(catch_unwind(AssertUnwindSafe(|| jobs.pop())).is_err());
        assert_eq!(jobs.pop(), Some(3));
    }
}
