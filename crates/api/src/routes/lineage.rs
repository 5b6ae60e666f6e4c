//! Lineage: graphs, listings, and what others tell.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use sluice_domain::{
    Action, Caller, Resource, TableEntry,
    lineage::{ColumnNode, Dataset, Direction, FlowColumn, FlowId},
};
use sluice_query::QueryRequest;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    App,
    auth::Authenticated,
    extract::{JsonBody, PageParams, Params, TableParams, TablePath},
    lineage::{self, AsOf, Graph, Question},
    problem::{Problem, Problems},
    wire::{
        EdgeBody, EdgesView, FlowPage, FlowView, LineageEventPage, LineageEventView, LineageView, OpenLineageBody,
        SqlLineageBody, SqlLineageView,
    },
};

/// The deepest graph that can be asked for.
const MAX_DEPTH: u32 = 50;
const DEFAULT_DEPTH: u32 = 10;
/// The most dependences of columns that are shown with a graph.
pub(super) const MAX_COLUMNS: u32 = 20_000;

/// Which way to go.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum DirectionParam {
    /// To where data comes from.
    Upstream,
    /// To where it goes.
    Downstream,
    /// Both ways.
    Both,
}

impl DirectionParam {
    pub(super) fn directions(self) -> Vec<Direction> {
        match self {
            Self::Upstream => vec![Direction::Upstream],
            Self::Downstream => vec![Direction::Downstream],
            Self::Both => vec![Direction::Upstream, Direction::Downstream],
        }
    }
}

pub(super) fn checked_depth(depth: Option<u32>) -> Result<u32, Problem> {
    let depth = depth.unwrap_or(DEFAULT_DEPTH);
    if !(1..=MAX_DEPTH).contains(&depth) {
        return Err(Problem::bad_request("bad-parameter", format!("depth is not between 1 and {MAX_DEPTH}")));
    }
    Ok(depth)
}

/// What of a table's lineage to show.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LineageParams {
    /// Which way to go. Default: both; downstream for a column.
    #[param(inline)]
    direction: Option<DirectionParam>,
    /// How many steps to go at the most. Default: 10.
    #[param(minimum = 1, maximum = 50)]
    depth: Option<u32>,
    /// Whether to show how the columns of the flows depend on one another.
    #[serde(default)]
    columns: bool,
    /// Show what depends on this column instead of the graph: the impact of dropping it.
    #[param(max_length = 255)]
    column: Option<String>,
    /// Show things as they were when the table was at this version. Default: as they are now.
    version: Option<u64>,
}

impl LineageParams {
    fn question(&self, as_of: Option<AsOf>) -> Result<Question, Problem> {
        let unsaid = if self.column.is_some() { DirectionParam::Downstream } else { DirectionParam::Both };
        let directions = self.direction.unwrap_or(unsaid).directions();
        Ok(Question { directions, depth: checked_depth(self.depth)?, before: as_of.and_then(|as_of| as_of.before) })
    }
}

/// Show where the data of a table comes from and where it goes, or what depends on one of its columns.
///
/// Uploads are told by the ledger, the newest hundred of them; other flows by whoever declared or reported them. Flows
/// from and to tables that the caller does not see are left out.
#[utoipa::path(get, path = "/api/v1/tables/{namespace}/{table}/lineage", tag = "lineage",
    params(TableParams, LineageParams),
    responses((status = 200, description = "The lineage", body = LineageView), Problems))]
pub(super) async fn get_table_lineage(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TablePath(name): TablePath,
    Params(params): Params<LineageParams>,
) -> Result<Json<LineageView>, Problem> {
    caller.require(Action::Read, &Resource::Table(name.clone()))?;
    params.question(None)?;
    let entry = app.catalog.tables().find(&name).await?;
    let as_of = match params.version {
        Some(version) => Some(lineage::as_of(&app, &entry, version).await?),
        None => None,
    };
    let asked = Asked { app: &app, caller: &caller, entry: &entry, as_of, question: params.question(as_of)? };
    match params.column {
        Some(column) => asked.impact(column).await.map(Json),
        None => asked.graph(params.columns).await.map(Json),
    }
}

/// What is asked about a table.
struct Asked<'a> {
    app: &'a App,
    caller: &'a Caller,
    entry: &'a TableEntry,
    as_of: Option<AsOf>,
    question: Question,
}

impl Asked<'_> {
    fn version(&self) -> Option<u64> {
        self.as_of.map(|as_of| as_of.version)
    }

    async fn graph(&self, with_columns: bool) -> Result<LineageView, Problem> {
        let (app, root) = (self.app, Dataset::of_table(&self.entry.name));
        let mut graph = lineage::explore(&app.catalog, self.caller, &root, &self.question).await?;
        graph.flows.retain(|flow| self.as_of.is_none_or(|as_of| as_of.has(&root, flow)));
        if self.question.directions.contains(&Direction::Upstream) {
            self.add_uploads(&mut graph).await?;
        }
        let facts = lineage::known_facts(&app.catalog, self.entry, &graph.flows).await?;
        let ids: Vec<FlowId> = graph.flows.iter().map(|flow| flow.id).filter(|_| with_columns).collect();
        let columns = flow_columns(app, &ids).await?;
        graph.is_cut_off |= columns.values().map(Vec::len).sum::<usize>() >= MAX_COLUMNS as usize;
        let view = |(flow, facts): (&sluice_domain::lineage::Flow, _)| {
            let view = FlowView::new(flow.clone(), facts);
            if with_columns { view.with_columns(columns.get(&flow.id)) } else { view }
        };
        let flows = graph.flows.iter().zip(facts).map(view).collect();
        Ok(LineageView::of_graph(&root, self.version(), &graph, flows))
    }

    async fn add_uploads(&self, graph: &mut Graph) -> Result<(), Problem> {
        let (mut flows, has_more) = lineage::upload_flows(self.app, self.entry, self.version()).await?;
        graph.upstream.extend(flows.iter().map(|flow| (flow.source.clone(), 1)));
        graph.is_cut_off |= has_more;
        flows.append(&mut graph.flows);
        graph.flows = flows;
        Ok(())
    }

    async fn impact(&self, column: String) -> Result<LineageView, Problem> {
        let root = Dataset::of_table(&self.entry.name);
        let node = ColumnNode::new(root.clone(), &column);
        let node = node.map_err(|error| unknown_column(&error.to_string()))?;
        let found = lineage::column_impact(&self.app.catalog, self.caller, &node, &self.question).await?;
        if found.upstream.is_empty() && found.downstream.is_empty() {
            self.check_column(&column).await?;
        }
        Ok(LineageView::of_column(&root, self.version(), column, &found))
    }

    /// Nothing depends on a column that is not there, which is no good news.
    async fn check_column(&self, column: &str) -> Result<(), Problem> {
        let schema = self.app.catalog.schemas().latest(self.entry.id).await?;
        let has = schema.is_some_and(|version| version.schema.field_with_name(column).is_ok());
        if has { Ok(()) } else { Err(unknown_column(&format!("{} has no column of this name", self.entry.name))) }
    }
}

fn unknown_column(reason: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown-column", format!("column: {reason}"))
}

pub(super) async fn flow_columns(app: &App, flows: &[FlowId]) -> Result<BTreeMap<FlowId, Vec<FlowColumn>>, Problem> {
    let mut columns: BTreeMap<FlowId, Vec<FlowColumn>> = BTreeMap::new();
    for (flow, column) in app.catalog.lineage().flow_columns(flows, MAX_COLUMNS).await? {
        columns.entry(flow).or_default().push(column);
    }
    Ok(columns)
}

/// Which flows to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    /// A table as `namespace.table`, or any other asset: all its flows, those from it first. Without it, the latest
    /// flows of everything.
    asset: Option<String>,
    /// The namespace in which the asset is named; for datasets that events have told of.
    namespace: Option<String>,
    /// How many entries to look at, at the most; those that the caller does not see are left out.
    #[param(minimum = 1, maximum = 1000)]
    page_size: Option<u32>,
    /// Where to resume: `next_page_token` of the page before.
    page_token: Option<String>,
}

/// The dataset that parameters name.
pub(super) fn named_asset(namespace: Option<&str>, asset: Option<&str>) -> Result<Option<Dataset>, Problem> {
    let dataset = match (namespace, asset) {
        (Some(namespace), Some(asset)) => Some(Dataset::new(namespace, asset)),
        (None, Some(asset)) => Some(asset.parse()),
        (Some(_), None) => return Err(Problem::bad_request("bad-parameter", "namespace is given without asset")),
        (None, None) => None,
    };
    dataset.transpose().map_err(|error| Problem::bad_request("bad-parameter", format!("asset: {error}")))
}

/// List flows: those from an asset, then those into it.
#[utoipa::path(get, path = "/api/v1/lineage", tag = "lineage", params(ListParams),
    responses((status = 200, description = "A page of flows", body = FlowPage), Problems))]
pub(super) async fn list_lineage(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(params): Params<ListParams>,
) -> Result<Json<FlowPage>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let asset = named_asset(params.namespace.as_deref(), params.asset.as_deref())?;
    let page = PageParams::new(params.page_size, params.page_token).request()?;
    let page = app.catalog.lineage().list_flows(asset.as_ref(), &page).await?;
    let flows = lineage::shown(&caller, page.items).into_iter();
    let next_page_token = page.next.map(|token| token.to_string());
    Ok(Json(FlowPage { items: flows.map(FlowView::told).collect(), next_page_token }))
}

/// Take an OpenLineage event.
///
/// The path and the body are those of Marquez, so that clients of OpenLineage report here as they are. Events may come
/// in any order and more than once. Datasets that name a table of the lake, by the namespace `sluice`, by its location,
/// or by a symlink to either, are that table.
#[utoipa::path(post, path = "/api/v1/lineage", tag = "lineage", request_body = OpenLineageBody,
    responses((status = 200, description = "The event was known already"),
        (status = 201, description = "The event is kept"), Problems))]
pub(super) async fn record_lineage_event(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    JsonBody(text): JsonBody<Box<RawValue>>,
) -> Result<StatusCode, Problem> {
    let is_new = lineage::record(&app, &caller, &text).await?;
    Ok(if is_new { StatusCode::CREATED } else { StatusCode::OK })
}

/// Declare that data goes from one dataset into another.
///
/// The same source, target and transformation are the same edge: what was said last holds. With `sql` in the place of
/// `source`, there is an edge from each table that the statement reads, with the lineage of its columns.
#[utoipa::path(post, path = "/api/v1/lineage/edges", tag = "lineage", request_body = EdgeBody,
    responses((status = 200, description = "The edges were there; they are as said now", body = EdgesView),
        (status = 201, description = "The edges are there", body = EdgesView), Problems))]
pub(super) async fn declare_lineage(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<EdgeBody>,
) -> Result<(StatusCode, Json<EdgesView>), Problem> {
    let (flows, is_new) = lineage::declare(&app, &caller, body.declaration()?).await?;
    let items = flows.into_iter().map(FlowView::told).collect();
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(EdgesView { items })))
}

/// The run named in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the fields are read by the document only")]
pub(super) struct EventsParams {
    /// The run, as its job's system named it.
    run_id: Uuid,
}

/// List the events of a run elsewhere, as they came, with every facet.
///
/// They may name tables of every namespace. Where there are keys, any will do that is not confined to some namespaces.
#[utoipa::path(get, path = "/api/v1/lineage/runs/{run_id}/events", tag = "lineage", params(EventsParams, PageParams),
    responses((status = 200, description = "A page of events", body = LineageEventPage), Problems))]
pub(super) async fn list_run_events(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    path: Result<Path<Uuid>, PathRejection>,
    Params(page): Params<PageParams>,
) -> Result<Json<LineageEventPage>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    if caller.namespaces.is_some() {
        let detail = "events name tables of every namespace, and this key is confined to some";
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    let Path(run) = path.map_err(|_| Problem::bad_request("illegal-id", "the id of a run is a UUID"))?;
    let page = app.catalog.lineage().run_events(run, &page.request()?).await?;
    let next_page_token = page.next.map(|token| token.to_string());
    let items = page.items.into_iter().map(LineageEventView::try_from).collect::<Result<_, _>>()?;
    Ok(Json(LineageEventPage { items, next_page_token }))
}

/// Tell which columns the result of a statement comes from. It is planned as a query is, but not run.
#[utoipa::path(post, path = "/api/v1/queries/lineage", tag = "lineage", request_body = SqlLineageBody,
    responses((status = 200, description = "The lineage of its columns", body = SqlLineageView), Problems))]
pub(super) async fn trace_query(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    JsonBody(body): JsonBody<SqlLineageBody>,
) -> Result<Json<SqlLineageView>, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let mut told = app.queries.lineage(&caller, QueryRequest::of(body.sql)).await?;
    // Below a view there may be tables that the caller does not see.
    told.retain(|table| caller.sees(&table.namespace));
    Ok(Json(told.into()))
}
