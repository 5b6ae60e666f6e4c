//! What goes over the wire; every type here is in the OpenAPI document.

mod alert;
mod backfill;
mod column_notes;
mod direct;
mod discovery;
mod expectation;
mod layout;
mod lifecycle;
mod lifecycle_plan;
mod lineage;
mod lineage_graph;
mod notes;
mod pipeline;
mod pipeline_gate;
mod pipeline_run;
mod pipeline_step;
mod progress;
mod quality;
mod quarantine;
mod query;
mod rows;
mod run;
mod schema;
mod source;
mod sql_lineage;
mod table;
mod upload;
mod view;
mod webhook;

pub(crate) use alert::{
    AlertChannelPage, AlertChannelView, AlertPage, AlertRuleBody, AlertRulePage, AlertRuleView, AlertView,
    ChannelTestView,
};
pub(crate) use backfill::{BackfillBody, BackfillView};
pub(crate) use column_notes::{ColumnNotesView, ColumnsView, TableLabelsView};
pub(crate) use direct::{DirectBody, DirectView};
pub(crate) use discovery::{ChangeEvent, ChangePage, PopularPage, PopularView, SearchView};
pub(crate) use expectation::{
    FreshnessBody, FreshnessPage, FreshnessView, ServiceLevelBody, ServiceLevelPage, ServiceLevelReportView,
    ServiceLevelView,
};
pub(crate) use layout::LayoutView;
pub(crate) use lifecycle::{LifecycleRuleBody, LifecycleRulePage, LifecycleRuleView, ZoneList, ZoneView};
pub(crate) use lifecycle_plan::{LifecycleRunPage, PlanDetail, PlanView};
pub(crate) use lineage::{DatasetView, EdgeBody, EdgesView, FlowPage, FlowView, OpenLineageBody};
pub(crate) use lineage_graph::{LineageEventPage, LineageEventView, LineageView};
pub(crate) use notes::{ColumnChangeBody, TableChangeBody};
pub(crate) use pipeline::{PipelineBody, PipelinePage, PipelineView, RunBody};
pub(crate) use pipeline_run::{HealthView, PipelineRunBody, PipelineRunPage, PipelineRunView, RunReportBody};
pub(crate) use pipeline_step::StepBody;
pub(crate) use progress::{ProgressView, UploadEvent};
pub(crate) use quality::{
    ProfileView, QualityResultPage, QualityResultView, QualitySummaryView, SuiteView, VerdictView, result_view,
};
pub(crate) use quarantine::{PurgeView, QuarantinePage, QuarantinedRow, ReplayBody, ReplayView};
pub(crate) use query::{PreviewView, QueryBody, QueryColumn, QueryView};
pub(crate) use rows::{ChannelView, RowsReceiptView};
pub(crate) use run::{PullPage, PullView, RunPage, RunView};
pub(crate) use schema::{CompatibilityView, ContractView, SchemaBody, SchemaEffectView, SchemaView};
pub(crate) use source::{SourceBody, SourcePage, SourceView};
pub(crate) use sql_lineage::{SqlLineageBody, SqlLineageView};
pub(crate) use table::{
    NamespacePage, NamespaceView, SchemaPage, SchemaVersionView, TablePage, TableSummary, TableView, VersionPage,
};
pub(crate) use upload::{JsonRows, Octets, ReceiptView, UploadForm, UploadPage, UploadView};
pub(crate) use view::{ViewBody, ViewPage, ViewView};
pub(crate) use webhook::{WebhookBody, WebhookPage, WebhookTestView, WebhookView};
