//! One flow of data from a dataset into another.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{ColumnNode, Dataset, Influence};

/// The id of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub Uuid);

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who tells of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowOrigin {
    /// The ledger of uploads.
    Upload,
    /// Somebody, by hand.
    Manual,
    /// A job, by an OpenLineage event.
    OpenLineage,
    /// The plan of a statement.
    Sql,
}

impl FlowOrigin {
    /// The origin's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Manual => "manual",
            Self::OpenLineage => "openlineage",
            Self::Sql => "sql",
        }
    }
}

impl FromStr for FlowOrigin {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Upload, Self::Manual, Self::OpenLineage, Self::Sql];
        all.into_iter().find(|origin| origin.as_str() == text).ok_or_else(|| format!("{text:?} is not an origin"))
    }
}

/// How far a run has come, as far as events have told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunProgress {
    /// It was begun.
    Start,
    /// It goes on.
    Running,
    /// Something else was told of it.
    Other,
    /// It ended well.
    Complete,
    /// It was ended.
    Abort,
    /// It failed.
    Fail,
}

impl RunProgress {
    /// OpenLineage's name of the event type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Running => "RUNNING",
            Self::Other => "OTHER",
            Self::Complete => "COMPLETE",
            Self::Abort => "ABORT",
            Self::Fail => "FAIL",
        }
    }

    /// How telling an event is, whenever it arrives: an end is the last word, a start the first.
    pub fn weight(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::Start => 1,
            Self::Running => 2,
            Self::Complete | Self::Abort | Self::Fail => 3,
        }
    }
}

impl FromStr for RunProgress {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Start, Self::Running, Self::Other, Self::Complete, Self::Abort, Self::Fail];
        all.into_iter().find(|known| known.as_str() == text).ok_or_else(|| {
            format!(
                "{:?} is not START, RUNNING, COMPLETE, ABORT, FAIL or OTHER",
                text.chars().take(64).collect::<String>()
            )
        })
    }
}

/// The run of a job that moved the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRun {
    /// Its id, as the job's system gave it.
    pub id: Uuid,
    /// How far it has come.
    pub progress: RunProgress,
    /// The first instant that is known of it.
    pub started_at: DateTime<Utc>,
    /// The last one.
    pub updated_at: DateTime<Utc>,
}

/// One dependence between columns of a flow's two ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowColumn {
    /// The column of the source.
    pub source: ColumnNode,
    /// The column of the target, or the target as a whole.
    pub target: ColumnNode,
    /// How it depends.
    pub influence: Influence,
}

/// Data that went, or goes, from one dataset into another.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// The id; later ones are larger.
    pub id: FlowId,
    /// Where the data comes from.
    pub source: Dataset,
    /// Where it goes.
    pub target: Dataset,
    /// What moves it: the name of a pipeline or a job.
    pub transformation: String,
    /// Who tells of it.
    pub origin: FlowOrigin,
    /// The run that moved it.
    pub run: Option<FlowRun>,
    /// The version of the source that was read.
    pub source_version: Option<u64>,
    /// The version of the target that was made.
    pub target_version: Option<u64>,
    /// Whatever else was told.
    pub metadata: Map<String, Value>,
    /// Who told.
    pub principal: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
}

/// The nine facts about a flow, in three groups, as far as they are known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FlowFacts {
    /// Technical: the version of the target's schema.
    pub schema_version: Option<Value>,
    /// Technical: the pipeline that moved the data.
    pub pipeline_id: Option<Value>,
    /// Technical: the system that it comes from.
    pub source_system: Option<Value>,
    /// Business: who owns the target.
    pub data_owner: Option<Value>,
    /// Business: how sensitive it is.
    pub sensitivity: Option<Value>,
    /// Business: what it is for.
    pub purpose: Option<Value>,
    /// Operational: how long it took, in milliseconds.
    pub processing_time: Option<Value>,
    /// Operational: the share of good rows, in percent.
    pub quality_score: Option<Value>,
    /// Operational: how many rows were moved.
    pub record_count: Option<Value>,
}

impl FlowFacts {
    /// What the metadata of a flow says, in the groups `technical`, `business` and `operational` or beside them.
    pub fn of(metadata: &Map<String, Value>) -> Self {
        let fact = |group: &str, name: &str| {
            let grouped = metadata.get(group).and_then(|group| group.get(name));
            grouped.or_else(|| metadata.get(name)).filter(|value| !value.is_null()).cloned()
        };
        Self {
            schema_version: fact("technical", "schema_version"),
            pipeline_id: fact("technical", "pipeline_id"),
            source_system: fact("technical", "source_system"),
            data_owner: fact("business", "data_owner"),
            sensitivity: fact("business", "sensitivity"),
            purpose: fact("business", "purpose"),
            processing_time: fact("operational", "processing_time"),
            quality_score: fact("operational", "quality_score"),
            record_count: fact("operational", "record_count"),
        }
    }

    /// The same, with what is not said filled in from what is known otherwise.
    #[must_use]
    pub fn or(self, known: Self) -> Self {
        Self {
            schema_version: self.schema_version.or(known.schema_version),
            pipeline_id: self.pipeline_id.or(known.pipeline_id),
            source_system: self.source_system.or(known.source_system),
            data_owner: self.data_owner.or(known.data_owner),
            sensitivity: self.sensitivity.or(known.sensitivity),
            purpose: self.purpose.or(known.purpose),
            processing_time: self.processing_time.or(known.processing_time),
            quality_score: self.quality_score.or(known.quality_score),
            record_count: self.record_count.or(known.record_count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn facts_are_found_in_their_groups_and_beside_them() {
        let metadata = json!({"technical": {"schema_version": 3}, "purpose": "billing", "record_count": null});
        let facts = FlowFacts::of(metadata.as_object().unwrap());
        let known = FlowFacts { record_count: Some(7.into()), purpose: Some("other".into()), ..FlowFacts::default() };
        let facts = facts.or(known);
        assert_eq!(facts.schema_version, Some(3.into()));
        assert_eq!(facts.purpose, Some("billing".into()));
        assert_eq!(facts.record_count, Some(7.into()));
        assert_eq!(facts.data_owner, None);
    }
}
