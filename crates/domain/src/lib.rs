//! The words every other crate speaks: names, ids, formats, receipts, access, error kinds.
//!
//! Owns what a table, an upload and a failure *are*. Never does I/O, reads a clock or knows HTTP.
//!
//! Invariant: a value of one of these types is valid; text is parsed once, at the edge.

mod error;
mod names;

mod access;
mod annotation;
mod change;
mod change_webhook;
mod channel;
mod column_change;
mod compression;
mod contract;
mod ddl;
mod format;
mod inheritance;
mod inventory;
mod json_schema;
mod layout;
mod lifecycle;
pub mod lineage;
mod moment;
mod monitoring;
mod page;
mod partial;
mod pipeline;
mod plain;
mod progress;
mod quality;
mod quarantine;
mod read_options;
mod retry;
mod search;
mod source;
mod table;
mod type_name;
mod upload;
mod view;
mod word_set;
mod write;

pub use access::{AccessError, Action, Caller, Grant, Resource};
pub use annotation::{Label, LabelError, MAX_TAGS, Notes, NotesChange, TableNotes};
pub use change::{CatalogChange, ChangedKind, EVENT_SOURCE};
pub use change_webhook::{
    ChangeWebhook, ContentMode, FailedTry, MissedChanges, RetryRules, WebhookDefinition, WebhookError, WebhookName,
    WebhookSecret, WebhookState,
};
pub use channel::{Channel, ChannelId, ChannelName, ChannelNameError, ChannelOffset};
pub use column_change::{ChangeKind, ColumnChange, SchemaEffect, column_changes};
pub use compression::Compression;
pub use contract::{ChangePolicy, Contract, ContractError, RowCheck, RowRule, RuleAction, RuleValue, Terms};
pub use ddl::{DdlError, DdlTable, Dialect};
pub use error::{CircuitOpen, ErrorKind, Failure};
pub use format::{Format, FormatError};
pub use inheritance::{Inheritance, InheritedLabel, InheritedNotes, LabelOrigin};
pub use inventory::{FileRecord, LogRecord};
pub use json_schema::json_schema;
pub use layout::{DatePart, DerivedColumn, LayoutError, TableLayout};
pub use lifecycle::{
    Age, AgeError, Compaction, ExpiryAge, HeldData, ItemResult, ItemState, LakeZone, LifecycleAction, LifecycleName,
    LifecycleNameError, LifecycleRule, LifecycleRuleError, LifecycleScope, PlanAction, PlanCause, PlanCounts,
    PlanEntry, PlanId, PlanItem, PlanState, PlanSubject, PlanSummary, PlannedItem, RetainedData, RowExpiry, RunBy,
    StorageClass, StoragePrices, StoredLifecycleRule, Transition, TransitionStep, VersionRetention,
};
pub use moment::{Moment, parse_moment};
pub use monitoring::{
    Alert, AlertCondition, AlertDelivery, AlertRule, AlertRuleError, AlertSeverity, DeliveryId, DeliveryState,
    DurationError, Finding, Freshness, FreshnessStatus, MAX_ERROR_BYTES, Measure, NewPipelineRun, PipelineName,
    PipelineRun, PipelineTotals, RuleName, RunError, RunKind, RunReport, RunStatus, RunTotals, ServiceLevel,
    ServiceLevelError, ServiceLevelReport, ServiceLevelTargets, TableFreshness, Tally, judge_freshness,
    judge_service_level, parse_duration,
};
pub use names::{ColumnName, NameError, NamespaceName, TableName, TableRef};
pub use page::{Page, PageRequest, PageToken, PageTokenError};
pub use partial::{Delivery, PartialUpload};
pub use pipeline::{
    Backfill, BackfillId, BackfillRange, CastColumns, CastErrors, CompiledStatement, CronSchedule, CuratedFigures,
    CuratedOutcome, CuratedRun, Deduplicate, GateAction, INTERVAL_END, INTERVAL_START, Interval, Keep, MaskColumns,
    MaskKind, OnRewrite, Pipeline, PipelineCause, PipelineDefinition, PipelineGate, PipelineHistory, PipelineId,
    PipelineLink, PipelineMode, PipelineSchedule, PipelineSettingsError, PipelineStep, Pivot, PivotAggregate,
    PreparedRun, RunDetails, RunQuality, RunWish, SessionWindow, StatementPlace, StepKind, Transform, TumblingWindow,
    Unpivot, find_cycle,
};
pub use plain::{PlainFile, PlainSnapshot};
pub use progress::{Phase, Progress};
pub use quality::{
    Criticality, Exception, FailedRule, Observed, QualityAction, QualityResult, QualitySubject, QualitySummary,
    RowScore, Rule, RuleResult, Severity, Suite, SuiteError, Threshold, Validation, Verdict,
};
pub use quarantine::{BadRowLimits, Fraction, Prepared, Replay};
pub use read_options::{Charset, CsvOptions, JsonOptions, OpenDialect, ReadOptions, RecordPath};
pub use retry::{backoff, retry_after};
pub use search::{Place, Posting, SearchHit, TableReads, is_slip, postings, slips, words};
pub use source::{
    ChangedFiles, FolderSource, HttpSource, PagePaging, Paging, Pull, PullEntry, PullState, RunCause, RunCounts, RunId,
    RunOutcome, RunState, Source, SourceDefinition, SourceId, SourceKind, SourceName, SourceNameError, SourceRun,
    SourceSettingsError, TokenRef, UploadedPull, WatermarkRule,
};
pub use table::{Namespace, SchemaVersion, TableEntry, TableFormat, TableId, TableState, ZoneName};
pub use type_name::{TypeNameError, parse_type, type_name};
pub use upload::{
    IdempotencyKey, Landed, MergedRows, Receipt, RowCounts, StoredFailure, UploadEntry, UploadId, UploadState,
};
pub use view::{MAX_VIEW_DEPTH, View, ViewColumn, ViewDefinition, ViewError, check_view_graph};
pub use write::{DedupOptions, DedupScope, KeepRows, MergeOptions, WriteMode, WriteOptions};
