//! Long bodies are read while they come in, where that is possible.
//!
//! Invariant: the options are those that reading the beginning of what landed would tell.

use sluice_catalog::CatalogError;
use sluice_domain::{ReadOptions, UploadId};

use crate::{IngestError, UploadRequest, land::Intake, pipeline::ReadAlong, road::Road, source::HEAD_BYTES};

impl Road {
    /// Begin to read a long upload that makes a table while its body comes in, with the options that its beginning
    /// tells.
    pub(crate) async fn read_along(
        &self,
        id: UploadId,
        request: &UploadRequest,
        intake: &mut Intake<'_>,
    ) -> Result<Option<(ReadOptions, ReadAlong)>, IngestError> {
        // Who does not wait for the rows is not kept waiting by them.
        if request.respond_async {
            return Ok(None);
        }
        let Some(beginning) = intake.beginning(HEAD_BYTES as usize).await? else { return Ok(None) };
        if !matches!(self.catalog.tables().find(&request.table).await, Err(CatalogError::TableNotFound { .. })) {
            return Ok(None);
        }
        let Some(options) = self.pipeline.resolve_beginning(&request.options, beginning).await else {
            return Ok(None);
        };
        let begun = self.pipeline.read_along((id, &request.table), &options);
        Ok(begun.map(|(reader, along)| {
            intake.read_by(reader);
            (options, along)
        }))
    }
}
