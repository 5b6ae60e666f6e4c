//! A query's place among those that run.
//!
//! The parts of a plan run as tasks of their own, and one that computes ends only between two of its steps, however
//! long ago the query was dropped.
//!
//! Invariant: a place is free only when every task of its query has ended.

use std::{any::Any, future::Future, sync::Arc};

use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::{FutureExt, future::BoxFuture};

/// What is given back when the last holder drops it.
pub(crate) type Place = Arc<dyn Any + Send + Sync>;

tokio::task_local! {
    static HELD: Place;
}

/// Do a step of a query: the step, and each task that it makes, holds the place until it has ended.
pub(crate) async fn hold<T>(place: Place, step: impl Future<Output = T>) -> T {
    HELD.scope(place, step).await
}

/// Have the engine's tasks hold the places of the queries that make them.
pub(crate) fn watch_tasks() {
    // The process has one for all its services; a second would do the same as the first.
    let _ = set_join_set_tracer(&HoldingTasks);
}

struct HoldingTasks;

type Output = Box<dyn Any + Send>;

impl JoinSetTracer for HoldingTasks {
    fn trace_future(&self, future: BoxFuture<'static, Output>) -> BoxFuture<'static, Output> {
        match HELD.try_with(Arc::clone) {
            Ok(place) => HELD.scope(place, future).boxed(),
            Err(_) => future,
        }
    }

    fn trace_block(&self, block: Box<dyn FnOnce() -> Output + Send>) -> Box<dyn FnOnce() -> Output + Send> {
        match HELD.try_with(Arc::clone) {
            Ok(place) => Box::new(move || HELD.sync_scope(place, block)),
            Err(_) => block,
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::runtime::SpawnedTask;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_task_of_a_task_holds_the_place_until_it_has_ended() {
        watch_tasks();
        let (end, ended) = oneshot::channel::<()>();
        let place: Place = Arc::new(());
        let watched = Arc::downgrade(&place);
        let (out, inner) = oneshot::channel();
        let outer = async { out.send(SpawnedTask::spawn(async { ended.await.is_ok() })).is_ok() };
        assert!(hold(place, async { SpawnedTask::spawn(outer).await.unwrap() }).await);
        let inner = inner.await.unwrap();
        assert!(watched.upgrade().is_some());
        end.send(()).unwrap();
        assert!(inner.await.unwrap());
        assert!(watched.upgrade().is_none());
    }
}
