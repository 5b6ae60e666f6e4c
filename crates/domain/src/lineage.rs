//! Where data comes from and where it goes: datasets, flows between them, and how their columns depend on one another.
//!
//! Owns the shapes, the walk over a graph and its renderings. Never stores anything, and knows no callers.
//!
//! Invariant: a dataset has one key; two spellings of a table of the lake are one dataset.
//! Invariant: a walk is bounded in depth and in nodes, and says when a bound cut it off.

mod dataset;
mod drawing;
mod emission;
mod flow;
mod impact;
mod influence;
mod notation;
mod openlineage;
mod report;
mod sql;
mod walk;

pub use dataset::{ColumnNode, Dataset, DatasetError};
pub use drawing::svg;
pub use emission::openlineage_events;
pub use flow::{Flow, FlowColumn, FlowFacts, FlowId, FlowOrigin, FlowRun, RunProgress};
pub use impact::{ColumnImpact, ColumnStep, impact};
pub use influence::Influence;
pub use notation::{dot, json, mermaid};
pub use openlineage::{OpenLineageError, read_event};
pub use report::{LineageReport, ReportedColumn, ReportedDataset, ReportedJob, ReportedRun};
pub use sql::{SqlInput, SqlLineage, SqlOutput};
pub use walk::{Direction, Walk, WalkLimits};
