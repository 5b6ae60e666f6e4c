//! Lifecycle rules and zones on the wire.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_domain::{LifecycleAction, LifecycleRule, LifecycleScope, RunBy, StoredLifecycleRule};
use sluice_lifecycle::ZoneFacts;
use utoipa::ToSchema;

/// What a rule says: what it is about, and what becomes of that.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LifecycleRuleBody {
    /// What it is about: `"lake"`, or one of `zone`, `namespace`, `classification`, `tag`, `prefix` and `table`.
    #[schema(value_type = ScopeView, example = json!({"zone": "raw"}))]
    scope: LifecycleScope,
    /// What it does: just one of these.
    #[schema(value_type = ActionView, example = json!({"expire_objects": {"after": "30d"}}))]
    action: LifecycleAction,
    /// Who does it: `server` (the default), or `bucket`, where S3 itself is to run it.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(server|bucket)$")]
    run_by: RunBy,
    /// Whether it is in force. Default: true.
    #[serde(default = "enabled")]
    enabled: bool,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 2048)]
    description: Option<String>,
}

fn enabled() -> bool {
    true
}

impl From<LifecycleRuleBody> for LifecycleRule {
    fn from(body: LifecycleRuleBody) -> Self {
        let LifecycleRuleBody { scope, action, run_by, enabled, description } = body;
        Self { scope, action, run_by, enabled, description }
    }
}

/// What a rule is about.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "the variants are read by the document only")]
pub(crate) enum ScopeView {
    /// Everything.
    Lake,
    /// `raw` (the bytes of uploads), `standardized` (the tables made from them) or `curated`.
    Zone(String),
    /// The tables of a namespace, and the uploads to them.
    Namespace(String),
    /// The tables with this classification, and the uploads to them.
    Classification(String),
    /// The tables with this tag, and the uploads to them.
    Tag(String),
    /// Keys of the store that begin like this.
    Prefix(String),
    /// One table, `namespace.table`, and the uploads to it.
    Table(String),
}

/// What a rule does. Ages are numbers with a unit, `3600s`, `12h`, `30d`, `7y`, or `infinite`.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the variants are read by the document only")]
pub(crate) enum ActionView {
    /// The bytes of uploads get colder classes as they grow older.
    Transition {
        /// One after the other, each later and colder.
        steps: Vec<StepView>,
    },
    /// The bytes of uploads go after this age; the ledger keeps their hash.
    ExpireObjects {
        /// The age.
        after: String,
    },
    /// Rows go after this age.
    ExpireRows {
        /// The date or timestamp that tells how old a row is; without it a row is as old as its data file.
        column: Option<String>,
        /// The age.
        after: String,
    },
    /// Nothing younger than this goes, whatever other rules say.
    Retain {
        /// The age.
        r#for: String,
    },
    /// Old versions go after these ages, 168 hours at least.
    Versions {
        /// Data files that no newer version needs.
        vacuum_after: Option<String>,
        /// Entries of the log.
        log_after: Option<String>,
    },
    /// The files of deleted tables go after this time, and with them the way back.
    PurgeDeleted {
        /// The age.
        after: String,
    },
    /// Small files are put together.
    Compact {
        /// What is smaller is put together, in bytes.
        below_bytes: u64,
        /// How large files become, in bytes.
        target_bytes: u64,
        /// From how many small files of a partition on. Default: 10.
        min_files: Option<u32>,
    },
    /// Nothing is done at all.
    LegalHold {
        /// Why.
        reason: String,
    },
}

/// A class that objects get at an age.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields are read by the document only")]
pub(crate) struct StepView {
    /// The age.
    #[schema(example = "30d")]
    after: String,
    /// `STANDARD_IA`, `GLACIER` or `DEEP_ARCHIVE`.
    #[schema(example = "STANDARD_IA")]
    storage_class: String,
}

/// A lifecycle rule.
#[derive(Serialize, ToSchema)]
pub(crate) struct LifecycleRuleView {
    /// Its name.
    name: String,
    /// What it is about.
    #[schema(value_type = ScopeView)]
    scope: LifecycleScope,
    /// What it does.
    #[schema(value_type = ActionView)]
    action: LifecycleAction,
    /// `server` or `bucket`.
    #[schema(value_type = String)]
    run_by: RunBy,
    /// Whether it is in force.
    enabled: bool,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Who said so last.
    principal: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was changed last.
    updated_at: DateTime<Utc>,
}

impl From<StoredLifecycleRule> for LifecycleRuleView {
    fn from(stored: StoredLifecycleRule) -> Self {
        let LifecycleRule { scope, action, run_by, enabled, description } = stored.rule;
        Self {
            name: stored.name.to_string(),
            scope,
            action,
            run_by,
            enabled,
            description,
            principal: stored.principal,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        }
    }
}

/// A page of lifecycle rules.
#[derive(Serialize, ToSchema)]
pub(crate) struct LifecycleRulePage {
    /// The rules, by name.
    pub(crate) items: Vec<LifecycleRuleView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// A zone of the lake.
#[derive(Serialize, ToSchema)]
pub(crate) struct ZoneView {
    /// `raw`, `standardized` or `curated`.
    #[schema(example = "raw")]
    name: &'static str,
    /// What stores it: `s3` or `file`.
    #[schema(example = "s3")]
    storage: String,
    /// Where it is.
    location: String,
    /// In which format its data is: `native` (as it came in) or `delta`.
    #[schema(example = "delta")]
    format: &'static str,
    /// How long its data is kept.
    #[schema(example = "7y")]
    retention: String,
}

impl From<ZoneFacts> for ZoneView {
    fn from(facts: ZoneFacts) -> Self {
        Self {
            name: facts.zone.as_str(),
            storage: facts.storage,
            location: facts.location,
            format: facts.format,
            retention: facts.retention.to_string(),
        }
    }
}

/// The zones of the lake.
#[derive(Serialize, ToSchema)]
pub(crate) struct ZoneList {
    /// The zones, in the way that data takes.
    pub(crate) items: Vec<ZoneView>,
}
