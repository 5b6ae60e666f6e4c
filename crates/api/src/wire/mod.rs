//! What goes over the wire; every type here is in the OpenAPI document.

mod direct;
mod layout;
mod progress;
mod quarantine;
mod query;
mod rows;
mod run;
mod schema;
mod source;
mod table;
mod upload;

pub(crate) use direct::{DirectBody, DirectView};
pub(crate) use layout::LayoutView;
pub(crate) use progress::{ProgressView, UploadEvent};
pub(crate) use quarantine::{PurgeView, QuarantinePage, QuarantinedRow, ReplayBody, ReplayView};
pub(crate) use query::{PreviewView, QueryBody, QueryColumn, QueryView};
pub(crate) use rows::{ChannelView, RowsReceiptView};
pub(crate) use run::{PullPage, PullView, RunPage, RunView};
pub(crate) use schema::{ContractView, SchemaBody, SchemaEffectView, SchemaView};
pub(crate) use source::{SourceBody, SourcePage, SourceView};
pub(crate) use table::{
    NamespacePage, NamespaceView, SchemaPage, SchemaVersionView, TableChangeBody, TablePage, TableSummary, TableView,
    VersionPage,
};
pub(crate) use upload::{JsonRows, Octets, ReceiptView, UploadForm, UploadPage, UploadView};
