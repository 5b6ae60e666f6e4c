//! Lifecycle rules, plans made from them, and where the bytes of uploads are by now.
//!
//! Invariant: a plan's items never change; each comes to its result once.
//! Invariant: a table whose purge began is never restored.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{
    ItemResult, LifecycleName, LifecycleRule, Page, PageRequest, PlanCause, PlanEntry, PlanId, PlanItem, PlanSummary,
    PlannedItem, StorageClass, StoredLifecycleRule, TableEntry, TableId, TableRef, UploadId, UploadState,
};

use crate::CatalogError;

/// What came of defining a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefinedRule {
    /// It is new.
    Made(StoredLifecycleRule),
    /// It was there.
    Changed(StoredLifecycleRule),
    /// There are as many as there can be.
    TooMany,
}

/// The rules.
#[async_trait]
pub trait LifecycleRules: Send + Sync {
    /// Make a rule, unless there are as many as the limit, or say anew what the one of this name says.
    async fn define(
        &self,
        name: &LifecycleName,
        rule: &LifecycleRule,
        principal: &str,
        limit: u32,
    ) -> Result<DefinedRule, CatalogError>;

    /// The rule of this name.
    async fn find(&self, name: &LifecycleName) -> Result<Option<StoredLifecycleRule>, CatalogError>;

    /// The rules by name. The token is the last name.
    async fn list(&self, page: &PageRequest) -> Result<Page<StoredLifecycleRule>, CatalogError>;

    /// Forget a rule; says whether there was one.
    async fn delete(&self, name: &LifecycleName) -> Result<bool, CatalogError>;
}

/// A plan to be stored.
#[derive(Debug, Clone)]
pub struct NewPlan {
    /// Its id.
    pub id: PlanId,
    /// Why it was made.
    pub cause: PlanCause,
    /// Who asked for it.
    pub principal: String,
    /// The instant that ages are counted from.
    pub as_of: DateTime<Utc>,
    /// When it can be applied no more.
    pub expires_at: DateTime<Utc>,
    /// What it is about.
    pub summary: PlanSummary,
    /// What it does.
    pub items: Vec<PlanItem>,
}

/// The plans.
#[async_trait]
pub trait LifecyclePlans: Send + Sync {
    /// Keep a plan. Of those that were never begun the newest `keep` are kept.
    async fn store(&self, plan: &NewPlan, keep: u32) -> Result<PlanEntry, CatalogError>;

    /// The plan of this id.
    async fn find(&self, id: PlanId) -> Result<Option<PlanEntry>, CatalogError>;

    /// The items of a plan in their order. The token is the last number.
    async fn items(&self, id: PlanId, page: &PageRequest) -> Result<Page<PlannedItem>, CatalogError>;

    /// Say that a plan is to be applied, unless it has been said before or the plan has expired.
    async fn begin(&self, id: PlanId) -> Result<Option<PlanEntry>, CatalogError>;

    /// The plans that are to be applied, the oldest first.
    async fn unfinished(&self, limit: u32) -> Result<Vec<PlanEntry>, CatalogError>;

    /// Say what came of an item that is pending; one that has its result keeps it.
    async fn record(&self, id: PlanId, number: u32, result: &ItemResult) -> Result<(), CatalogError>;

    /// Say that every item has its result. Of plans that were applied the newest `keep` are kept.
    async fn finish(&self, id: PlanId, keep: u32) -> Result<(), CatalogError>;

    /// The plans that were begun, newest first. The token is the last id.
    async fn runs(&self, page: &PageRequest) -> Result<Page<PlanEntry>, CatalogError>;
}

/// Where the bytes of an upload are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRecord {
    /// Their storage class.
    pub class: StorageClass,
    /// Whether the class is noted here only.
    pub simulated: bool,
    /// When they went, where they are gone.
    pub expired_at: Option<DateTime<Utc>>,
}

impl Default for ObjectRecord {
    fn default() -> Self {
        Self { class: StorageClass::Standard, simulated: false, expired_at: None }
    }
}

/// The bytes of an upload, as rules look at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// The upload.
    pub upload: UploadId,
    /// The table that it was for.
    pub table: TableRef,
    /// That table's id, where the upload came so far.
    pub table_id: Option<TableId>,
    /// How far the upload has come.
    pub state: UploadState,
    /// Their place below the raw zone.
    pub raw_path: String,
    /// How many they are.
    pub size_bytes: u64,
    /// When they were durable.
    pub landed_at: DateTime<Utc>,
    /// Where they are.
    pub object: ObjectRecord,
}

/// What is stored beside live tables: the bytes of uploads, and the files of deleted tables.
#[async_trait]
pub trait StoredObjects: Send + Sync {
    /// The bytes of uploads that are not gone, in the order of the uploads' ids, after this one.
    async fn originals(&self, after: Option<UploadId>, limit: u32) -> Result<Vec<Original>, CatalogError>;

    /// The bytes of one upload; none where they are gone.
    async fn original(&self, upload: UploadId) -> Result<Option<Original>, CatalogError>;

    /// Where the bytes at this path below the raw zone are.
    async fn find(&self, raw_path: &str) -> Result<ObjectRecord, CatalogError>;

    /// Say that bytes have another storage class.
    async fn set_class(&self, raw_path: &str, class: StorageClass, simulated: bool) -> Result<(), CatalogError>;

    /// Say that bytes are gone, or will be at once.
    async fn expire(&self, raw_path: &str) -> Result<(), CatalogError>;

    /// The tables that were deleted before this and are not purged, the oldest deletion first.
    async fn deleted_tables(&self, before: DateTime<Utc>, limit: u32) -> Result<Vec<TableEntry>, CatalogError>;

    /// Say that a deleted table can be restored no more; false where it is not deleted.
    async fn begin_purge(&self, id: TableId) -> Result<bool, CatalogError>;

    /// Forget what the folder of a purged table should hold.
    async fn finish_purge(&self, id: TableId) -> Result<(), CatalogError>;
}
