//! What goes over the wire; every type here is in the OpenAPI document.

mod query;
mod table;
mod upload;

pub(crate) use query::{PreviewView, QueryBody, QueryColumn, QueryView};
pub(crate) use table::{
    ColumnView, NamespacePage, NamespaceView, SchemaPage, SchemaVersionView, TableChangeBody, TablePage, TableSummary,
    TableView, VersionPage, VersionView,
};
pub(crate) use upload::{FailureView, ReceiptView, UploadPage, UploadView};
