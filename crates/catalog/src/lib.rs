//! Which namespaces, tables, schema versions and uploads exist, in one small database: SQLite or PostgreSQL.
//!
//! Owns the names, the ledger of uploads and the order of a table's commits. Never looks into the object store: rows,
//! files and versions are the Delta log's to tell. No other crate names the database's library.
//!
//! Invariant: when a write returns, it is durable.
//! Invariant: servers that share a catalog each work on uploads of their own, until one has ended and another takes over.

mod catalog;
mod error;
mod nodes;
mod settings;
mod transfer;

mod alerts;
mod backfills;
mod channels;
mod contracts;
mod descriptions;
mod discovery;
mod expectations;
mod inventory;
mod lifecycle;
mod lineage;
mod namespaces;
mod partials;
mod pipeline_runs;
mod pipelines;
mod plain_commits;
mod quality;
mod rebuilding;
mod replays;
mod row_groups;
mod schemas;
mod sequences;
mod sources;
mod tables;
mod uploads;
mod views;
mod webhooks;

mod backends;
mod columns;
mod discovery_rows;
mod lifecycle_rows;
mod lineage_rows;
mod monitoring_rows;
mod pipeline_rows;
mod quality_rows;
mod rows;
mod source_rows;
mod webhook_rows;

pub use alerts::{AlertLimits, AlertRules, Alerts, NewDelivery, SentAlert, Settlement, Watches};
pub use backfills::{BackfillBegun, Backfills, NewBackfill};
pub use catalog::Catalog;
pub use channels::Channels;
pub use contracts::Contracts;
pub use descriptions::{Descriptions, KeptDescription};
pub use discovery::{Annotations, Changes, Discovery, MAX_HITS, SearchQuery};
pub use error::CatalogError;
pub use expectations::{Entry, FreshnessExpectations, ServiceLevels};
pub use inventory::Inventory;
pub use lifecycle::{DefinedRule, LifecyclePlans, LifecycleRules, NewPlan, ObjectRecord, Original, StoredObjects};
pub use lineage::{
    Declared, EventOutcome, FlowEnd, Lineage, LineageEvent, LineageEvents, LineageView, NewFlow, NewLineageEvent,
};
pub use namespaces::Namespaces;
pub use partials::Partials;
pub use pipeline_runs::{EndedPlace, PipelineRuns, RunBegun, RunFilter, RunLimits};
pub use pipelines::{CuratedBegun, CuratedRuns, NewCuratedRun, NewPipeline, PipelineDefined, Pipelines, Preparation};
pub use plain_commits::{PlainCommit, PlainCommits};
pub use quality::{JudgedResult, MAX_QUALITY_RESULTS, Quality, RecordedPlace};
pub use rebuilding::{FoundTable, Rebuilding};
pub use replays::Replays;
pub use row_groups::{Entered, KnownRequest, NewGroup, Obstacle, RowGroups, RowRequest};
pub use schemas::{NewSchemaVersion, Schemas};
pub use sequences::{CommitTry, Sequences};
pub use settings::CatalogSettings;
pub use sources::{Begun, Defined, NewSource, Pulls, SourceRuns, Sources};
pub use tables::{NewTable, TableChange, Tables};
pub use uploads::{CommittedUpload, CommittedUploads, NewUpload, Uploads};
pub use views::{NewView, ViewDefined, Views};
pub use webhooks::{ChangeWebhooks, DefinedWebhook, NewWebhook};
