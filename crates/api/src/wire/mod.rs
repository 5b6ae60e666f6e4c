//! What goes over the wire; every type here is in the OpenAPI document.

mod direct;
mod progress;
mod query;
mod table;
mod upload;

pub(crate) use direct::{DirectBody, DirectView};
pub(crate) use progress::{ProgressView, UploadEvent};
pub(crate) use query::{PreviewView, QueryBody, QueryColumn, QueryView};
pub(crate) use table::{
    NamespacePage, NamespaceView, SchemaPage, SchemaVersionView, TableChangeBody, TablePage, TableSummary, TableView,
    VersionPage,
};
pub(crate) use upload::{JsonRows, Octets, ReceiptView, UploadForm, UploadPage, UploadView};
