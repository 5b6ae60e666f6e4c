//! Lineage in the notations of other tools.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use sluice_domain::{
    Action, Caller, Resource,
    lineage::{self as notation, Dataset, Flow, FlowId, openlineage_events},
};
use utoipa::IntoParams;

use crate::{
    App,
    auth::Authenticated,
    extract::Params,
    lineage::{self, Question},
    problem::{Problem, Problems},
    routes::lineage::{DirectionParam, MAX_COLUMNS, checked_depth, flow_columns, named_asset},
};

/// The most flows in a picture.
const MAX_DRAWN_FLOWS: usize = 2_000;
/// A picture is looked at, and does nothing.
const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// What to export, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportParams {
    /// `json` (flows by source), `dot` (Graphviz), `mermaid`, `svg` (a picture) or `openlineage` (events).
    /// Default: `json`.
    #[param(example = "dot")]
    format: Option<String>,
    /// What to export the lineage of: a table as `namespace.table`, or any other asset. Default: everything.
    asset: Option<String>,
    /// The namespace in which the asset is named; for datasets that events have told of.
    namespace: Option<String>,
    /// Which way to go from the asset. Default: both.
    #[param(inline)]
    direction: Option<DirectionParam>,
    /// How many steps to go from the asset at the most. Default: 10.
    #[param(minimum = 1, maximum = 50)]
    depth: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExportFormat {
    Json,
    Dot,
    Mermaid,
    Svg,
    OpenLineage,
}

impl ExportFormat {
    fn parse(text: Option<&str>) -> Result<Self, Problem> {
        match text.unwrap_or("json") {
            "json" => Ok(Self::Json),
            "dot" => Ok(Self::Dot),
            "mermaid" => Ok(Self::Mermaid),
            "svg" => Ok(Self::Svg),
            "openlineage" => Ok(Self::OpenLineage),
            other => {
                let other: String = other.chars().take(64).collect();
                let detail = format!("format: {other:?} is not one of json, dot, mermaid, svg, openlineage");
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unsupported-format", detail))
            }
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Json | Self::OpenLineage => "application/json",
            Self::Dot => "text/vnd.graphviz; charset=utf-8",
            Self::Mermaid => "text/plain; charset=utf-8",
            Self::Svg => "image/svg+xml",
        }
    }
}

/// Export lineage: flows by source as JSON, a graph for Graphviz or Mermaid, a picture, or OpenLineage events.
///
/// Uploads are left out: a table's own lineage tells of them.
#[utoipa::path(get, path = "/api/v1/lineage/export", tag = "lineage", params(ExportParams),
    responses((status = 200, description = "The lineage", content(
        (serde_json::Value = "application/json"), (String = "text/vnd.graphviz"), (String = "text/plain"),
        (String = "image/svg+xml"))), Problems))]
pub(super) async fn export_lineage(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    Params(params): Params<ExportParams>,
) -> Result<Response, Problem> {
    caller.require(Action::Read, &Resource::Catalog)?;
    let (format, depth) = (ExportFormat::parse(params.format.as_deref())?, checked_depth(params.depth)?);
    let directions = params.direction.unwrap_or(DirectionParam::Both).directions();
    let flows = match named_asset(params.namespace.as_deref(), params.asset.as_deref())? {
        Some(asset) => around(&app, &caller, &asset, Question { directions, depth, before: None }).await?,
        None => lineage::everything(&app.catalog, &caller).await?,
    };
    let text = written(&app, format, flows).await?;
    let headers = [(header::CONTENT_TYPE, format.media_type()), (header::CONTENT_SECURITY_POLICY, PICTURE_POLICY)];
    Ok((headers, text).into_response())
}

async fn around(app: &App, caller: &Caller, asset: &Dataset, question: Question) -> Result<Vec<Flow>, Problem> {
    if let Some(table) = asset.table() {
        caller.require(Action::Read, &Resource::Table(table))?;
    }
    let graph = lineage::explore(&app.catalog, caller, asset, &question).await?;
    if graph.is_cut_off { Err(lineage::too_large()) } else { Ok(graph.flows) }
}

async fn written(app: &App, format: ExportFormat, flows: Vec<Flow>) -> Result<String, Problem> {
    match format {
        ExportFormat::Json => notation::json(&flows).map_err(|error| fault(&error)),
        ExportFormat::Dot => Ok(notation::dot(&flows)),
        ExportFormat::Mermaid => Ok(notation::mermaid(&flows)),
        ExportFormat::Svg if flows.len() > MAX_DRAWN_FLOWS => {
            let detail = format!("a picture has {MAX_DRAWN_FLOWS} flows at the most: name an asset, and a depth");
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "graph-too-large", detail))
        }
        // Laying out takes a while, in which the server's threads have other work.
        ExportFormat::Svg => {
            tokio::task::spawn_blocking(move || notation::svg(&flows)).await.map_err(|error| fault(&error))
        }
        ExportFormat::OpenLineage => {
            let ids: Vec<FlowId> = flows.iter().map(|flow| flow.id).collect();
            let columns = flow_columns(app, &ids).await?;
            if columns.values().map(Vec::len).sum::<usize>() >= MAX_COLUMNS as usize {
                return Err(lineage::too_large());
            }
            serde_json::to_string(&openlineage_events(&flows, &columns)).map_err(|error| fault(&error))
        }
    }
}

fn fault(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "lineage could not be written");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the lineage could not be written")
}
