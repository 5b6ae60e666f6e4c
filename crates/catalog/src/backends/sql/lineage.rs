//! Flows of data.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sluice_domain::{
    Page, PageRequest,
    lineage::{ColumnNode, ColumnStep, Dataset, Flow, FlowColumn, FlowId, FlowOrigin, Walk, WalkLimits},
};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::{SqlBackend, assembled::Assembled, entries, fetch_size, page_size};
use crate::{
    CatalogError, Declared, FlowEnd, Lineage, LineageView, NewFlow,
    columns::{instant, json, number},
    lineage_rows::{FlowColumnRow, FlowRow, StepRow},
};

const FLOWS: &str = "SELECT f.*, r.progress, r.started_at, r.updated_at \
                     FROM lineage_flows f LEFT JOIN lineage_runs r ON r.id = f.run_id ";
/// How many values go into one statement: the database counts its parameters.
const VALUES_PER_STATEMENT: usize = 500;
/// How many datasets behind the target of a new flow are looked at for its source.
const CYCLE_LIMITS: WalkLimits = WalkLimits { depth: 10_000, nodes: 100_000 };

#[async_trait]
impl Lineage for SqlBackend {
    async fn declare(&self, flows: &[NewFlow]) -> Result<Declared, CatalogError> {
        let mut write = self.write().await?;
        for flow in flows.iter().filter(|flow| flow.origin == FlowOrigin::Manual) {
            match reaches(&mut write, &flow.target, &flow.source).await? {
                Some(true) => return Ok(Declared::Cycle),
                Some(false) => {}
                None => return Ok(Declared::Unclear),
            }
        }
        let (mut ids, mut made) = (Vec::with_capacity(flows.len()), false);
        for flow in flows {
            let (id, is_new) = put_flow(&mut write, flow).await?;
            ids.push(id);
            made |= is_new;
        }
        let mut query = Assembled::new(FLOWS);
        query.push("WHERE f.id IN (").push_list(&ids).push(") ORDER BY f.id");
        let rows: Vec<FlowRow> = query.build_query_as().fetch_all(&mut *write).await?;
        write.commit().await?;
        let flows = entries(rows)?;
        Ok(if made { Declared::Made(flows) } else { Declared::Changed(flows) })
    }

    async fn flows(&self, ends: &[Dataset], end: FlowEnd, view: LineageView) -> Result<Vec<Flow>, CatalogError> {
        let mut connection = self.readers.acquire().await?;
        let mut flows: Vec<Flow> = Vec::new();
        for ends in ends.chunks(VALUES_PER_STATEMENT) {
            let left = view.limit.saturating_sub(u32::try_from(flows.len()).unwrap_or(u32::MAX));
            let keys: Vec<String> = ends.iter().map(Dataset::key).collect();
            let query = at_ends(FLOWS, keys, end, "f", LineageView { limit: left, ..view });
            let rows: Vec<FlowRow> = query.build_query_as().fetch_all(&mut *connection).await?;
            flows.extend(entries::<FlowRow, Flow>(rows)?);
        }
        flows.sort_by_key(|flow| flow.id);
        Ok(flows)
    }

    async fn list_flows(&self, asset: Option<&Dataset>, page: &PageRequest) -> Result<Page<Flow>, CatalogError> {
        let mut query = Assembled::new(FLOWS);
        match asset.map(Dataset::key) {
            None => {
                query.push("WHERE f.is_latest = 1 AND f.id > ").push_bind(page.after());
                query.push(" ORDER BY f.id LIMIT ").push_bind(fetch_size(page));
            }
            Some(key) => {
                query.push("WHERE (f.source = ").push_bind(&key).push(" OR f.target = ").push_bind(&key);
                query.push(") AND (CASE WHEN f.source = ").push_bind(&key);
                query.push(" THEN '0/' ELSE '1/' END || f.id) > ").push_bind(page.after());
                query.push(" ORDER BY CASE WHEN f.source = ").push_bind(&key);
                query.push(" THEN 0 ELSE 1 END, f.id LIMIT ").push_bind(fetch_size(page));
            }
        }
        let rows: Vec<FlowRow> = query.build_query_as().fetch_all(&self.readers).await?;
        let place = |flow: &Flow| match asset {
            None => flow.id.to_string(),
            Some(asset) => format!("{}/{}", u8::from(flow.source != *asset), flow.id),
        };
        Ok(Page::from_overfetched(entries(rows)?, page_size(page), place))
    }

    async fn steps(
        &self,
        ends: &[ColumnNode],
        end: FlowEnd,
        view: LineageView,
    ) -> Result<Vec<ColumnStep>, CatalogError> {
        let mut connection = self.readers.acquire().await?;
        let mut steps = BTreeSet::new();
        for ends in ends.chunks(VALUES_PER_STATEMENT) {
            let left = view.limit.saturating_sub(u32::try_from(steps.len()).unwrap_or(u32::MAX));
            let keys: Vec<String> = ends.iter().map(ColumnNode::key).collect();
            let select = match view.before {
                None => "SELECT c.source, c.target, c.influence FROM lineage_columns c ",
                Some(_) => {
                    "SELECT c.source, c.target, c.influence FROM lineage_columns c \
                     JOIN lineage_flows f ON f.id = c.flow_id "
                }
            };
            let query = at_ends(select, keys, end, "c", LineageView { limit: left, ..view });
            let rows: Vec<StepRow> = query.build_query_as().fetch_all(&mut *connection).await?;
            steps.extend(entries::<StepRow, ColumnStep>(rows)?);
        }
        Ok(steps.into_iter().collect())
    }

    async fn flow_columns(&self, flows: &[FlowId], limit: u32) -> Result<Vec<(FlowId, FlowColumn)>, CatalogError> {
        let mut connection = self.readers.acquire().await?;
        let mut columns: Vec<(FlowId, FlowColumn)> = Vec::new();
        for flows in flows.chunks(VALUES_PER_STATEMENT) {
            let left = i64::from(limit).saturating_sub(i64::try_from(columns.len()).unwrap_or(i64::MAX)).max(0);
            let mut query =
                Assembled::new("SELECT flow_id, source, target, influence FROM lineage_columns WHERE flow_id IN (");
            query.push_list(flows.iter().map(FlowId::to_string)).push(") LIMIT ").push_bind(left);
            let rows: Vec<FlowColumnRow> = query.build_query_as().fetch_all(&mut *connection).await?;
            columns.extend(entries::<FlowColumnRow, (FlowId, FlowColumn)>(rows)?);
        }
        columns.sort();
        Ok(columns)
    }
}

/// What begins or ends at these keys, of the latest flows or of those that were the latest before an instant.
fn at_ends(select: &'static str, keys: Vec<String>, end: FlowEnd, of: &'static str, view: LineageView) -> Assembled {
    let mut query = Assembled::new(select);
    query.push("WHERE ").push(of).push(match end {
        FlowEnd::Source => ".source IN (",
        FlowEnd::Target => ".target IN (",
    });
    query.push_list(keys).push(")");
    match view.before.map(instant) {
        None => {
            query.push(" AND ").push(of).push(".is_latest = 1");
        }
        Some(before) => {
            query.push(" AND f.occurred_at < ").push_bind(&before);
            query.push(
                " AND NOT EXISTS (SELECT 1 FROM lineage_flows n WHERE n.source = f.source AND n.target = f.target \
                 AND n.transformation = f.transformation AND (n.occurred_at > f.occurred_at \
                 OR (n.occurred_at = f.occurred_at AND n.id > f.id)) AND n.occurred_at < ",
            );
            query.push_bind(&before).push(")");
        }
    }
    query.push(" LIMIT ").push_bind(i64::from(view.limit));
    query
}

/// Whether data goes from one dataset into another; none where there is too much to look at.
async fn reaches(connection: &mut AnyConnection, from: &Dataset, to: &Dataset) -> Result<Option<bool>, CatalogError> {
    let mut walk = Walk::from(from.key(), CYCLE_LIMITS);
    let to = to.key();
    while !walk.has(&to) && !walk.level().is_empty() {
        let mut next: Vec<String> = Vec::new();
        for level in walk.level().chunks(VALUES_PER_STATEMENT) {
            let mut query =
                Assembled::new("SELECT DISTINCT target FROM lineage_flows WHERE is_latest = 1 AND source IN (");
            query.push_list(level).push(")");
            next.extend(query.build_query_scalar::<String>().fetch_all(&mut *connection).await?);
        }
        walk.advance(next);
    }
    Ok(if walk.has(&to) { Some(true) } else { (!walk.is_cut_off()).then_some(false) })
}

/// Keep a flow; gives its id, and whether it was not there before.
pub(super) async fn put_flow(connection: &mut AnyConnection, flow: &NewFlow) -> Result<(String, bool), CatalogError> {
    let found: Option<String> = sqlx::query_scalar(
        "SELECT id FROM lineage_flows WHERE source = $1 AND target = $2 AND transformation = $3 AND run_id = $4",
    )
    .bind(flow.source.key())
    .bind(flow.target.key())
    .bind(&flow.transformation)
    .bind(run_key(flow.run))
    .fetch_optional(&mut *connection)
    .await?;
    let is_new = found.is_none();
    let id = match found {
        Some(id) => change_flow(connection, id, flow).await?,
        None => insert_flow(connection, flow).await?,
    };
    let is_latest = make_latest(connection, &id, flow).await?;
    put_columns(connection, &id, flow, is_latest).await?;
    make_told(connection, &id, flow).await?;
    Ok((id, is_new))
}

fn run_key(run: Option<Uuid>) -> String {
    run.map(|run| run.to_string()).unwrap_or_default()
}

fn version(version: Option<u64>) -> Result<Option<i64>, CatalogError> {
    version.map(|version| number("flow's version", version)).transpose()
}

async fn change_flow(connection: &mut AnyConnection, id: String, flow: &NewFlow) -> Result<String, CatalogError> {
    let at = instant(flow.occurred_at);
    sqlx::query(
        "UPDATE lineage_flows SET source_version = COALESCE($1, source_version), \
         target_version = COALESCE($2, target_version), metadata = $3, \
         occurred_at = CASE WHEN occurred_at < $4 THEN $5 ELSE occurred_at END WHERE id = $6",
    )
    .bind(version(flow.source_version)?)
    .bind(version(flow.target_version)?)
    .bind(json("flow's metadata", &flow.metadata)?)
    .bind(&at)
    .bind(&at)
    .bind(&id)
    .execute(connection)
    .await?;
    Ok(id)
}

async fn insert_flow(connection: &mut AnyConnection, flow: &NewFlow) -> Result<String, CatalogError> {
    let id = Uuid::now_v7().to_string();
    sqlx::query(
        "INSERT INTO lineage_flows (id, source, target, transformation, run_id, origin, source_version, \
         target_version, metadata, principal, occurred_at, is_latest) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0)",
    )
    .bind(&id)
    .bind(flow.source.key())
    .bind(flow.target.key())
    .bind(&flow.transformation)
    .bind(run_key(flow.run))
    .bind(flow.origin.as_str())
    .bind(version(flow.source_version)?)
    .bind(version(flow.target_version)?)
    .bind(json("flow's metadata", &flow.metadata)?)
    .bind(&flow.principal)
    .bind(instant(flow.occurred_at))
    .execute(connection)
    .await?;
    Ok(id)
}

/// Make a flow the latest of its transformation, unless a later one is there; says whether it is.
async fn make_latest(connection: &mut AnyConnection, id: &str, flow: &NewFlow) -> Result<bool, CatalogError> {
    let latest: Option<String> = sqlx::query_scalar(
        "SELECT id FROM lineage_flows \
         WHERE source = $1 AND target = $2 AND transformation = $3 AND is_latest = 1",
    )
    .bind(flow.source.key())
    .bind(flow.target.key())
    .bind(&flow.transformation)
    .fetch_optional(&mut *connection)
    .await?;
    if latest.as_deref() == Some(id) {
        return Ok(true);
    }
    let Some(latest) = latest else {
        set_latest(connection, id, 1).await?;
        return Ok(true);
    };
    if !is_newer(connection, id, &latest).await? {
        return Ok(false);
    }
    set_latest(connection, &latest, 0).await?;
    set_latest(connection, id, 1).await?;
    Ok(true)
}

/// Whether a flow is newer than another.
async fn is_newer(connection: &mut AnyConnection, id: &str, other: &str) -> Result<bool, CatalogError> {
    let mut query = Assembled::new("SELECT id FROM lineage_flows WHERE id IN (");
    query.push_list([id, other]).push(") ORDER BY occurred_at DESC, id DESC LIMIT 1");
    let newest: String = query.build_query_scalar().fetch_one(connection).await?;
    Ok(newest == id)
}

/// Make a flow that tells of columns the one of its transformation that is believed, unless a later one tells of some.
async fn make_told(connection: &mut AnyConnection, id: &str, flow: &NewFlow) -> Result<(), CatalogError> {
    let tells: Option<String> = sqlx::query_scalar("SELECT flow_id FROM lineage_columns WHERE flow_id = $1 LIMIT 1")
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    if tells.is_none() {
        return Ok(());
    }
    let told: Option<String> = sqlx::query_scalar(
        "SELECT id FROM lineage_flows WHERE source = $1 AND target = $2 AND transformation = $3 AND is_told = 1",
    )
    .bind(flow.source.key())
    .bind(flow.target.key())
    .bind(&flow.transformation)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(told) = &told
        && (told == id || !is_newer(connection, id, told).await?)
    {
        return Ok(());
    }
    for (id, is_told) in told.iter().map(|told| (told.as_str(), 0_i64)).chain([(id, 1)]) {
        let update = sqlx::query("UPDATE lineage_flows SET is_told = $1 WHERE id = $2");
        update.bind(is_told).bind(id).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn set_latest(connection: &mut AnyConnection, id: &str, is_latest: i64) -> Result<(), CatalogError> {
    for statement in [
        "UPDATE lineage_flows SET is_latest = $1 WHERE id = $2",
        "UPDATE lineage_columns SET is_latest = $1 WHERE flow_id = $2",
    ] {
        sqlx::query(statement).bind(is_latest).bind(id).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn put_columns(
    connection: &mut AnyConnection,
    id: &str,
    flow: &NewFlow,
    is_latest: bool,
) -> Result<(), CatalogError> {
    if flow.columns.is_empty() {
        return Ok(());
    }
    let rows: Vec<FlowColumnRow> =
        sqlx::query_as("SELECT flow_id, source, target, influence FROM lineage_columns WHERE flow_id = $1")
            .bind(id)
            .fetch_all(&mut *connection)
            .await?;
    let known = entries::<FlowColumnRow, (FlowId, FlowColumn)>(rows)?;
    let known: BTreeSet<FlowColumn> = known.into_iter().map(|(_, column)| column).collect();
    let fresh: Vec<&FlowColumn> = flow.columns.difference(&known).collect();
    for columns in fresh.chunks(VALUES_PER_STATEMENT) {
        let mut insert = Assembled::new("INSERT INTO lineage_columns (flow_id, source, target, influence, is_latest) ");
        insert.push_rows(columns.iter().map(|column| {
            let (source, target) = (column.source.key(), column.target.key());
            [id.into(), source.into(), target.into(), column.influence.as_str().into(), i64::from(is_latest).into()]
        }));
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}
