//! The scan of a plain table: files whose folders rule a row out are not opened.

use std::sync::Arc;

use arrow::{
    array::{Array as _, AsArray as _, RecordBatch, RecordBatchOptions},
    datatypes::{Schema, SchemaRef},
};
use async_trait::async_trait;
use deltalake::datafusion::{
    catalog::{Session, TableProvider},
    common::{DFSchema, ScalarValue},
    datasource::{
        listing::{PartitionedFile, helpers::expr_applicable_for_cols},
        physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    error::{DataFusionError, Result as EngineResult},
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};
use object_store::path::Path;
use sluice_storage::Folder;
use url::Position;

use super::{Files, typed};
use crate::TableError;

/// A file, and the values that its folders tell.
#[derive(Debug)]
struct File {
    path: Path,
    size_bytes: u64,
    values: Vec<ScalarValue>,
}

/// Scans the files of one version.
#[derive(Debug)]
pub(super) struct PlainTable {
    store: ObjectStoreUrl,
    files: Vec<File>,
    schema: TableSchema,
    /// The columns that the folders tell.
    partition: SchemaRef,
}

impl PlainTable {
    pub(super) fn new(folder: &Folder, files: Files) -> Result<Self, TableError> {
        let types: Vec<_> = files.partition.iter().map(|field| field.data_type().clone()).collect();
        let place = |(file, values): &(sluice_domain::PlainFile, Vec<Option<String>>)| {
            let below = Path::parse(&file.path).map_err(TableError::encode)?;
            let values = values.iter().zip(&types).map(|(value, of)| typed(value.as_deref(), of));
            let path = folder.path.parts().chain(below.parts()).collect();
            Ok(File { path, size_bytes: file.size_bytes, values: values.collect() })
        };
        Ok(Self {
            store: ObjectStoreUrl::parse(&folder.url[..Position::BeforePath])?,
            files: files.files.iter().map(place).collect::<Result<_, TableError>>()?,
            partition: Arc::new(Schema::new(files.partition.clone())),
            schema: TableSchema::builder(files.data).with_table_partition_cols(files.partition).build(),
        })
    }

    /// The files that may hold rows for which the filters are true.
    fn pruned(&self, session: &dyn Session, filters: &[Expr]) -> EngineResult<Vec<&File>> {
        let names: Vec<&str> = self.partition.fields().iter().map(|field| field.name().as_str()).collect();
        let telling: Vec<&Expr> = filters.iter().filter(|filter| expr_applicable_for_cols(&names, filter)).collect();
        let mut kept: Vec<&File> = self.files.iter().collect();
        if telling.is_empty() || kept.is_empty() || names.is_empty() {
            return Ok(kept);
        }
        let schema = DFSchema::try_from(SchemaRef::clone(&self.partition))?;
        for filter in telling {
            let filter = session.create_physical_expr(filter.clone(), &schema)?;
            // What fails here fails where the rows are filtered, if there is one that it fails for.
            let Ok(answer) = filter.evaluate(&self.values(&kept)?) else { continue };
            let answer = answer.into_array(kept.len())?;
            let Some(answer) = answer.as_boolean_opt() else { continue };
            let mut at = 0..;
            kept.retain(|_| at.next().is_some_and(|at| answer.is_valid(at) && answer.value(at)));
            if kept.is_empty() {
                break;
            }
        }
        Ok(kept)
    }

    /// The values of the folders, a row for each file.
    fn values(&self, files: &[&File]) -> EngineResult<RecordBatch> {
        let column = |at: usize| ScalarValue::iter_to_array(files.iter().map(|file| file.values[at].clone()));
        let columns = (0..self.partition.fields().len()).map(column).collect::<EngineResult<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
        RecordBatch::try_new_with_options(SchemaRef::clone(&self.partition), columns, &options)
            .map_err(DataFusionError::from)
    }
}

#[async_trait]
impl TableProvider for PlainTable {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let mut groups = vec![Vec::new(); session.config().target_partitions().max(1)];
        let count = groups.len();
        for (at, file) in self.pruned(session, filters)?.into_iter().enumerate() {
            let mut opened = PartitionedFile::new(String::new(), file.size_bytes);
            opened.object_meta.location = file.path.clone();
            opened.partition_values = file.values.clone();
            groups[at % count].push(opened);
        }
        let groups = groups.into_iter().filter(|group| !group.is_empty()).map(FileGroup::new).collect();
        let source = Arc::new(ParquetSource::new(self.schema.clone()));
        let scan = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}
