//! The runner: applies plans that are wanted, and makes some when it is time.
//!
//! Invariant: one server of a lake acts at a time, under a lease, and goes on where one before it ended.
//! Invariant: what is done to one table is done one after the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::Utc;
use futures::{StreamExt as _, stream};
use sluice_domain::{ItemState, PageRequest, PlanCause, PlanEntry, PlanSubject, PlannedItem, ZoneName};
use sluice_storage::Lease;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    LifecycleError, PlanWish,
    apply::{Applier, counts_zones},
    service::Inner,
};

/// The folder of the raw zone whose lease says which server acts.
const FOLDER: &str = "_lifecycle";
/// The name of the lease.
const LEASE: &str = "lifecycle";
/// How long it holds unless it is renewed.
const LEASE_TTL: Duration = Duration::from_secs(60);
/// How many plans one turn applies.
const MAX_PLANS: u32 = 16;
/// How many items are read at a time.
const ITEMS: u32 = 500;
/// Whose plans the server's own are.
const SELF: &str = "lifecycle";

/// Ends the runner.
#[derive(Debug)]
pub(crate) struct Stop {
    wanted: watch::Sender<bool>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { wanted: watch::Sender::new(false), running: Mutex::default() }
    }
}

impl Stop {
    pub(crate) fn started(&self, task: JoinHandle<()>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    pub(crate) fn is_wanted(&self) -> bool {
        *self.wanted.borrow()
    }

    async fn wait(&self) {
        // The sender is here, so that there is an answer.
        let _ = self.wanted.subscribe().wait_for(|wanted| *wanted).await;
    }

    pub(crate) async fn stop(&self) {
        self.wanted.send_replace(true);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            // A runner that panicked has ended, too.
            let _ = running.await;
        }
    }
}

/// Applies plans.
pub(crate) struct Runner {
    pub(crate) of: Arc<Inner>,
}

impl Runner {
    /// Act until the server stops.
    pub(crate) async fn run(self) {
        let every = Duration::from_secs(self.of.settings.poll_seconds.max(1));
        let mut round = tokio::time::interval(every);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.of.stop.wait() => return,
                () = self.of.wanted.notified() => {}
                _ = round.tick() => {}
            }
            if let Err(error) = Box::pin(self.turn()).await {
                self.of.metrics.failed();
                tracing::warn!(%error, "the lifecycle runner could not go on");
            }
        }
    }

    /// Do what there is to do, if this server is the one.
    async fn turn(&self) -> Result<(), LifecycleError> {
        let plans = self.of.lake.catalog.lifecycle_plans();
        if plans.unfinished(1).await?.is_empty() && !self.is_due().await? {
            return Ok(());
        }
        let folder = self.of.lake.zones.get(ZoneName::Raw).folder(FOLDER);
        let Some(lease) = Lease::acquire(&folder, LEASE, self.of.lake.catalog.writer(), LEASE_TTL).await? else {
            return Ok(());
        };
        let outcome = lease.hold(self.act(&lease)).await;
        if let Err(error) = lease.release().await {
            tracing::warn!(%error, "a lease could not be given back");
        }
        outcome
    }

    async fn act(&self, lease: &Lease) -> Result<(), LifecycleError> {
        let plans = self.of.lake.catalog.lifecycle_plans();
        // Asked again: another server may have done it just now.
        if self.is_due().await? {
            let plan = self.of.make_plan(SELF, &PlanWish { cause: PlanCause::Schedule, as_of: None }).await?;
            plans.begin(plan.id).await?;
        }
        for plan in plans.unfinished(MAX_PLANS).await? {
            if !self.apply(&plan, lease).await? {
                return Ok(());
            }
            plans.finish(plan.id, self.of.settings.keep_runs.max(1)).await?;
            self.of.metrics.ran(plan.cause);
            tracing::info!(lifecycle.plan = %plan.id, "applied a lifecycle plan");
        }
        Ok(())
    }

    /// Whether it is time for a plan of the server's own.
    async fn is_due(&self) -> Result<bool, LifecycleError> {
        let every = self.of.settings.every_seconds;
        if every == 0 {
            return Ok(false);
        }
        let page = PageRequest { size: PageRequest::DEFAULT_SIZE, token: None };
        let runs = self.of.lake.catalog.lifecycle_plans().runs(&page).await?;
        let newest = runs.items.iter().find(|run| run.cause == PlanCause::Schedule).map(|run| run.created_at);
        Ok(newest.is_none_or(|newest| (Utc::now() - newest).num_seconds().unsigned_abs() >= every))
    }

    /// Apply what is left of a plan; false where the server stops meanwhile.
    async fn apply(&self, plan: &PlanEntry, lease: &Lease) -> Result<bool, LifecycleError> {
        let mut page = PageRequest { size: ITEMS, token: None };
        loop {
            let items = self.of.lake.catalog.lifecycle_plans().items(plan.id, &page).await?;
            let pending = items.items.into_iter().filter(|planned| planned.result.state == ItemState::Pending);
            let groups = by_table(pending);
            let rules = self.of.rules(counts_zones(plan), Utc::now()).await?;
            let applying = stream::iter(groups).map(|group| self.apply_group(plan, &rules, (lease, group)));
            let mut applying = Box::pin(applying.buffer_unordered(self.of.settings.concurrency.max(1)));
            while let Some(outcome) = applying.next().await {
                outcome?;
            }
            if self.of.stop.is_wanted() {
                return Ok(false);
            }
            let Some(next) = items.next else { return Ok(true) };
            page.token = Some(next);
        }
    }

    async fn apply_group(
        &self,
        plan: &PlanEntry,
        rules: &[sluice_domain::StoredLifecycleRule],
        (lease, group): (&Lease, Vec<PlannedItem>),
    ) -> Result<(), LifecycleError> {
        for planned in group {
            if self.of.stop.is_wanted() {
                return Ok(());
            }
            lease.check().await.map_err(sluice_table::MaintenanceError::from)?;
            let Inner { lake, settings, stop, .. } = self.of.as_ref();
            let applier = Applier { lake, settings, rules, now: Utc::now(), stop };
            let result = Box::pin(applier.apply(&planned.item)).await;
            self.of.lake.catalog.lifecycle_plans().record(plan.id, planned.number, &result).await?;
            self.of.metrics.came_to(&result);
        }
        Ok(())
    }
}

/// The items of each table together and in their order, and so those of the bucket, whose rules are one document; what
/// is of neither is by itself.
fn by_table(items: impl Iterator<Item = PlannedItem>) -> Vec<Vec<PlannedItem>> {
    let (mut of_tables, mut of_bucket) = (BTreeMap::<_, Vec<PlannedItem>>::new(), Vec::new());
    let mut others = Vec::new();
    for planned in items {
        match (planned.item.subject.table_id(), &planned.item.subject) {
            (Some(table), _) => of_tables.entry(table).or_default().push(planned),
            (None, PlanSubject::BucketRule { .. }) => of_bucket.push(planned),
            (None, _) => others.push(vec![planned]),
        }
    }
    of_tables.into_values().chain([of_bucket]).chain(others).collect()
}
