//! What the catalog itself knows of a flow into a table.

use sluice_catalog::{Catalog, CatalogError};
use sluice_domain::{
    PageRequest, SchemaVersion, TableEntry,
    lineage::{Dataset, Flow, FlowFacts},
};

/// How many versions of a table's schema are looked at, from the newest.
const MAX_SCHEMAS: u32 = 1_000;

/// The table that flows go into, as the catalog knows it.
struct Known<'a> {
    name: Dataset,
    table: &'a TableEntry,
    schemas: Vec<SchemaVersion>,
    sensitivity: Option<String>,
}

impl<'a> Known<'a> {
    async fn of(catalog: &Catalog, table: &'a TableEntry) -> Result<Self, CatalogError> {
        let page = PageRequest { size: MAX_SCHEMAS, token: None };
        let schemas = catalog.schemas().list(table.id, &page).await?.items;
        let notes = catalog.annotations().notes(table.id).await?;
        let sensitivity = notes.strictest().map(|label| label.as_str().to_owned());
        Ok(Self { name: Dataset::of_table(&table.name), table, schemas, sensitivity })
    }

    /// The version of the schema that a version of the table has.
    fn schema(&self, version: u64) -> Option<i64> {
        self.schemas.iter().find(|schema| schema.table_version <= version).map(|schema| schema.number)
    }

    fn facts(&self, flow: &Flow) -> FlowFacts {
        FlowFacts {
            schema_version: flow.target_version.and_then(|version| self.schema(version)).map(Into::into),
            data_owner: Some(self.table.owner.as_str().into()),
            sensitivity: self.sensitivity.as_deref().map(Into::into),
            purpose: self.table.description.as_deref().map(Into::into),
            ..FlowFacts::default()
        }
    }
}

/// For each of these flows what is told of it, and for those into the table what the catalog adds.
pub(crate) async fn known_facts(
    catalog: &Catalog,
    table: &TableEntry,
    flows: &[Flow],
) -> Result<Vec<FlowFacts>, CatalogError> {
    let known = Known::of(catalog, table).await?;
    let facts = flows.iter().map(|flow| {
        let facts = FlowFacts::of(&flow.metadata).or(of_flow(flow));
        if flow.target == known.name { facts.or(known.facts(flow)) } else { facts }
    });
    Ok(facts.collect())
}

fn of_flow(flow: &Flow) -> FlowFacts {
    let lasted = flow.run.as_ref().map(|run| (run.updated_at - run.started_at).num_milliseconds());
    FlowFacts {
        pipeline_id: Some(flow.transformation.as_str().into()),
        source_system: Some(flow.source.namespace().into()),
        processing_time: lasted.map(Into::into),
        ..FlowFacts::default()
    }
}
