//! Rules, plans and runs, for those who ask.

use std::{path::PathBuf, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use sluice_catalog::{Catalog, DefinedRule, NewPlan};
use sluice_domain::{
    Grant, LifecycleName, LifecycleRule, Page, PageRequest, PlanCause, PlanEntry, PlanId, PlanState, PlanSummary,
    PlannedItem, StoredLifecycleRule,
};
use sluice_storage::Zones;
use sluice_table::Shelf;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    LifecycleError, LifecycleMetrics, LifecycleSettings, TableFacts, ZoneFacts,
    plan::{Planner, rules_of_zones},
    runner::{Runner, Stop},
};

/// How many rules a lake has at the most.
const MAX_RULES: u32 = 1000;
/// How many plans are kept that nobody has applied.
const KEPT_PLANS: u32 = 20;

/// What the rules are about.
pub struct Lake {
    /// Where things lie.
    pub zones: Arc<Zones>,
    /// What there is.
    pub catalog: Catalog,
    /// The open tables.
    pub shelf: Arc<Shelf>,
    /// What others know of tables.
    pub facts: Arc<dyn TableFacts>,
    /// Where scratch files lie.
    pub scratch_dir: PathBuf,
}

/// What is wanted of a plan.
#[derive(Debug, Clone)]
pub struct PlanWish {
    /// Why it is made.
    pub cause: PlanCause,
    /// The instant that ages are counted from; the present without it.
    pub as_of: Option<DateTime<Utc>>,
}

/// Rules, plans and runs. Clones share one runner.
#[derive(Clone)]
pub struct Lifecycle {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) lake: Lake,
    pub(crate) settings: LifecycleSettings,
    pub(crate) metrics: LifecycleMetrics,
    /// Rung where a plan is to be applied.
    pub(crate) wanted: Notify,
    pub(crate) stop: Stop,
}

impl Lifecycle {
    /// A service over this lake; [`Self::start`] lets it act.
    pub fn new(lake: Lake, settings: LifecycleSettings, metrics: LifecycleMetrics) -> Self {
        let stop = Stop::default();
        Self { inner: Arc::new(Inner { lake, settings, metrics, wanted: Notify::new(), stop }) }
    }

    /// Begin to apply plans, and to make some by the settings.
    pub fn start(&self) {
        self.inner.stop.started(tokio::spawn(Runner { of: Arc::clone(&self.inner) }.run()));
    }

    /// Let the item that is being done end, and begin no other.
    pub async fn stop(&self) {
        self.inner.stop.stop().await;
    }

    /// The zones of the lake.
    pub fn zones(&self) -> Vec<ZoneFacts> {
        ZoneFacts::all(&self.inner.lake.zones, &self.inner.settings.zones)
    }

    /// Make a rule, or say anew what it says; tells whether it is new.
    ///
    /// # Errors
    /// [`LifecycleError::Rule`], [`LifecycleError::TooManyRules`], or the catalog's.
    pub async fn define(
        &self,
        grant: &Grant,
        name: &LifecycleName,
        rule: &LifecycleRule,
    ) -> Result<(StoredLifecycleRule, bool), LifecycleError> {
        rule.check()?;
        let rules = self.inner.lake.catalog.lifecycle_rules();
        match rules.define(name, rule, grant.principal(), MAX_RULES).await? {
            DefinedRule::Made(rule) => Ok((rule, true)),
            DefinedRule::Changed(rule) => Ok((rule, false)),
            DefinedRule::TooMany => Err(LifecycleError::TooManyRules { limit: MAX_RULES }),
        }
    }

    /// The rule of this name.
    ///
    /// # Errors
    /// [`LifecycleError::RuleNotFound`], or the catalog's.
    pub async fn find_rule(&self, name: &LifecycleName) -> Result<StoredLifecycleRule, LifecycleError> {
        let found = self.inner.lake.catalog.lifecycle_rules().find(name).await?;
        found.ok_or_else(|| LifecycleError::RuleNotFound { name: name.clone() })
    }

    /// The rules by name.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn rules(&self, page: &PageRequest) -> Result<Page<StoredLifecycleRule>, LifecycleError> {
        Ok(self.inner.lake.catalog.lifecycle_rules().list(page).await?)
    }

    /// Forget a rule.
    ///
    /// # Errors
    /// [`LifecycleError::RuleNotFound`], or the catalog's.
    pub async fn delete_rule(&self, _grant: &Grant, name: &LifecycleName) -> Result<(), LifecycleError> {
        match self.inner.lake.catalog.lifecycle_rules().delete(name).await? {
            true => Ok(()),
            false => Err(LifecycleError::RuleNotFound { name: name.clone() }),
        }
    }

    /// Make a plan and keep it; nothing else is done.
    ///
    /// # Errors
    /// The catalog's, the store's, or a table's.
    pub async fn plan(&self, grant: &Grant, wish: &PlanWish) -> Result<PlanEntry, LifecycleError> {
        self.inner.make_plan(grant.principal(), wish).await
    }

    /// A plan without its items.
    ///
    /// # Errors
    /// [`LifecycleError::PlanNotFound`], or the catalog's.
    pub async fn find_plan(&self, id: PlanId) -> Result<PlanEntry, LifecycleError> {
        let found = self.inner.lake.catalog.lifecycle_plans().find(id).await?;
        found.ok_or(LifecycleError::PlanNotFound { plan: id })
    }

    /// The items of a plan.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn items(&self, id: PlanId, page: &PageRequest) -> Result<Page<PlannedItem>, LifecycleError> {
        Ok(self.inner.lake.catalog.lifecycle_plans().items(id, page).await?)
    }

    /// Let a plan be applied; one that is or was is given as it is.
    ///
    /// # Errors
    /// [`LifecycleError::PlanNotFound`], [`LifecycleError::PlanExpired`], or the catalog's.
    pub async fn apply(&self, _grant: &Grant, id: PlanId) -> Result<PlanEntry, LifecycleError> {
        let begun = self.inner.lake.catalog.lifecycle_plans().begin(id).await?;
        let plan = match begun {
            Some(plan) => plan,
            None => self.find_plan(id).await?,
        };
        if plan.state == PlanState::Ready {
            return Err(LifecycleError::PlanExpired { plan: id });
        }
        self.inner.wanted.notify_one();
        Ok(plan)
    }

    /// The plans that were begun, newest first.
    ///
    /// # Errors
    /// The catalog's.
    pub async fn runs(&self, page: &PageRequest) -> Result<Page<PlanEntry>, LifecycleError> {
        Ok(self.inner.lake.catalog.lifecycle_plans().runs(page).await?)
    }
}

impl Inner {
    pub(crate) async fn make_plan(&self, principal: &str, wish: &PlanWish) -> Result<PlanEntry, LifecycleError> {
        let as_of = wish.as_of.unwrap_or_else(Utc::now);
        let rules = self.rules(wish.cause == PlanCause::Request, as_of).await?;
        let draft = Box::pin(Planner::new(&self.lake, &self.settings, rules, as_of).plan()).await?;
        let valid = i64::try_from(self.settings.plan_valid_seconds).ok().and_then(TimeDelta::try_seconds);
        let plan = NewPlan {
            id: PlanId(Uuid::now_v7()),
            cause: wish.cause,
            principal: principal.to_owned(),
            as_of,
            expires_at: Utc::now().checked_add_signed(valid.unwrap_or_default()).unwrap_or(DateTime::<Utc>::MAX_UTC),
            summary: PlanSummary::of(&draft.items, draft.truncated),
            items: draft.items,
        };
        Ok(self.lake.catalog.lifecycle_plans().store(&plan, KEPT_PLANS).await?)
    }

    /// Every rule; with those that the settings say of zones, where they count.
    pub(crate) async fn rules(
        &self,
        with_zones: bool,
        now: DateTime<Utc>,
    ) -> Result<Vec<StoredLifecycleRule>, LifecycleError> {
        let mut rules = Vec::new();
        let mut page = PageRequest { size: PageRequest::MAX_SIZE, token: None };
        loop {
            let found = self.lake.catalog.lifecycle_rules().list(&page).await?;
            rules.extend(found.items);
            let Some(next) = found.next else { break };
            page.token = Some(next);
        }
        if with_zones {
            rules.extend(rules_of_zones(&self.settings.zones, now));
        }
        Ok(rules)
    }
}
