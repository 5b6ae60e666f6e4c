//! One query's session: its tables, its stores, its memory.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{
    catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider},
    common::{
        TableReference,
        tree_node::{TreeNode as _, TreeNodeRecursion},
    },
    error::Result,
    execution::{
        SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    physical_plan::{ExecutionPlan, ExecutionPlanProperties as _, sorts::sort::SortExec},
    prelude::{SessionConfig, SessionContext},
};
use sluice_domain::TableRef;
use tokio::runtime::Handle;

use crate::{OpenedTable, QuerySettings, executor::Manner, functions::functions, store::TableStores};

const CATALOG: &str = "lake";
/// Where names without a namespace are looked up; no table is ever in it.
const NO_SCHEMA: &str = "";

/// How many rows are worked on at once: a query can be stopped between batches only.
const BATCH_ROWS: usize = 2048;
/// How many, where there is little memory to hold them.
const FRUGAL_BATCH_ROWS: usize = 512;
/// The part of its memory that a sort keeps back. Before it spills it merges what it holds, which it counts twice; if rows are
/// all key, that takes half as much again as it counts.
const MERGE_SHARE: usize = 3;
/// Functions whose time grows with the product of two texts' lengths, so that a single row can take for ever.
const REMOVED_FUNCTIONS: [&str; 1] = ["levenshtein"];

/// A session that knows these tables under these names, and nothing else.
pub(crate) fn open(
    (settings, manner): (&QuerySettings, &Manner),
    names: &BTreeMap<TableReference, TableRef>,
    tables: &BTreeMap<TableRef, OpenedTable>,
    requests: &Handle,
) -> Result<SessionContext> {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, NO_SCHEMA)
        .with_information_schema(false)
        .with_batch_size(if manner.is_frugal { FRUGAL_BATCH_ROWS } else { BATCH_ROWS })
        .with_target_partitions(if manner.is_frugal { 1 } else { settings.target_partitions.max(1) });
    // Who wrote the statement is told where it does not fit.
    config.options_mut().sql_parser.collect_spans = true;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime(settings, TableStores::of(tables.values(), requests))?)
        .with_default_features()
        .build();
    let context = SessionContext::new_with_state(state);
    for function in REMOVED_FUNCTIONS {
        context.deregister_udf(function);
    }
    for function in functions() {
        context.register_udf(function);
    }
    context.register_catalog(CATALOG, catalog(names, tables)?);
    Ok(context)
}

/// Share the memory among the sorts of a plan: each keeps back what it needs for merging.
pub(crate) fn share_memory(session: &SessionContext, plan: &Arc<dyn ExecutionPlan>, settings: &QuerySettings) {
    let mut sorts = 0;
    // Nothing fails in it.
    let _ = plan.apply(|node| {
        sorts += node.downcast_ref::<SortExec>().map_or(0, |_| node.output_partitioning().partition_count().max(1));
        Ok(TreeNodeRecursion::Continue)
    });
    let share = settings.memory_bytes / MERGE_SHARE / sorts.max(1);
    session.state_ref().write().config_mut().options_mut().execution.sort_spill_reservation_bytes = share;
}

fn runtime(settings: &QuerySettings, stores: TableStores) -> Result<Arc<RuntimeEnv>> {
    let spill = settings
        .spill_dir
        .clone()
        .map_or(DiskManagerMode::OsTmpDirectory, |folder| DiskManagerMode::Directories(vec![folder]));
    let disk = DiskManagerBuilder::default().with_mode(spill).with_max_temp_directory_size(settings.spill_bytes);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(settings.memory_bytes)))
        .with_disk_manager_builder(disk)
        .with_object_store_registry(Arc::new(stores))
        .build_arc()
}

fn catalog(
    names: &BTreeMap<TableReference, TableRef>,
    tables: &BTreeMap<TableRef, OpenedTable>,
) -> Result<Arc<dyn CatalogProvider>> {
    let catalog = MemoryCatalogProvider::new();
    for (name, table) in names {
        let Some(schema) = name.schema() else { continue };
        if catalog.schema(schema).is_none() {
            catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
        }
        // A name without a table is that of a view, which is planned later.
        if let (Some(schema), Some(table)) = (catalog.schema(schema), tables.get(table)) {
            schema.register_table(name.table().to_owned(), Arc::clone(&table.provider))?;
        }
    }
    Ok(Arc::new(catalog))
}
