//! What goes over the wire; every type here is in the OpenAPI document.

mod query;
mod rows;
mod table;
mod upload;

pub(crate) use query::{PreviewView, QueryBody, QueryColumn, QueryView};
pub(crate) use rows::{ChannelView, RowsReceiptView};
pub(crate) use table::{
    NamespacePage, NamespaceView, SchemaPage, SchemaVersionView, TableChangeBody, TablePage, TableSummary, TableView,
    VersionPage,
};
pub(crate) use upload::{JsonRows, Octets, ReceiptView, UploadForm, UploadPage, UploadView};
