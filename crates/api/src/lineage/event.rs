//! Events that jobs elsewhere send.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, value::RawValue};
use sha2::{Digest as _, Sha256};
use sluice_catalog::{EventOutcome, NewLineageEvent};
use sluice_domain::{
    Action, Caller, Resource, ZoneName,
    lineage::{Dataset, LineageReport, OpenLineageError, read_event},
};

use crate::{App, problem::Problem};

/// The longest text of an event, in bytes.
const MAX_EVENT_BYTES: usize = 1 << 20;
/// How far ahead of the server's clock an event may be: what is later than all others stays the latest.
const MAX_AHEAD: TimeDelta = TimeDelta::hours(24);

/// Keep an event; says whether it was not there before.
pub(crate) async fn record(app: &App, caller: &Caller, text: &RawValue) -> Result<bool, Problem> {
    let body = text.get();
    if body.len() > MAX_EVENT_BYTES {
        let detail = format!("the event is longer than {MAX_EVENT_BYTES} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail));
    }
    let report = resolve(app, read(body)?).await?;
    let grant = caller.require(Action::Append, &Resource::Catalog)?;
    check_access(caller, &report)?;
    let id = hex::encode(Sha256::digest(body));
    let event = NewLineageEvent { id, body: body.to_owned(), report, principal: grant.principal().to_owned() };
    match app.catalog.lineage().record_event(&event).await? {
        EventOutcome::Kept => Ok(true),
        EventOutcome::Known => Ok(false),
        EventOutcome::TooMuch => {
            let detail = "inputs: with the outputs and the earlier events of the run they make too many flows";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-lineage-event", detail))
        }
    }
}

fn read(body: &str) -> Result<LineageReport, OpenLineageError> {
    let wrong = |field: &str, reason: String| OpenLineageError { field: field.into(), reason };
    let event: Value = serde_json::from_str(body).map_err(|error| wrong("event", error.to_string()))?;
    let report = read_event(&event)?;
    if report.event_time > Utc::now() + MAX_AHEAD {
        return Err(wrong("eventTime", format!("it is more than {} h ahead", MAX_AHEAD.num_hours())));
    }
    Ok(report)
}

/// The event with our tables under their names, where it names them by the places that they lie at.
async fn resolve(app: &App, report: LineageReport) -> Result<LineageReport, Problem> {
    let mut tables = BTreeMap::new();
    for dataset in report.datasets() {
        if dataset.table().is_some() {
            tables.insert(dataset.clone(), dataset.clone());
        } else if let Some((zone, path)) = place(app, dataset)
            && let Some(table) = app.catalog.lineage().table_at(zone.as_str(), &path).await?
        {
            tables.insert(dataset.clone(), Dataset::of_table(&table));
        }
    }
    Ok(report.resolved(&tables))
}

/// The zone and the folder that a dataset is named by.
fn place(app: &App, dataset: &Dataset) -> Option<(ZoneName, String)> {
    let url = dataset.url()?.replacen("s3a://", "s3://", 1);
    [ZoneName::Raw, ZoneName::Curated].into_iter().find_map(|zone| {
        let path = url.strip_prefix(app.zones.get(zone).url().as_str().trim_end_matches('/'))?;
        let path = path.strip_prefix('/')?.trim_end_matches('/');
        (!path.is_empty()).then(|| (zone, path.to_owned()))
    })
}

/// A caller tells of what is written to tables that it may write to, and of nothing that it does not see.
fn check_access(caller: &Caller, report: &LineageReport) -> Result<(), Problem> {
    let told = report.datasets().into_iter().filter_map(Dataset::table);
    for table in told {
        caller.require(Action::Append, &Resource::Table(table))?;
    }
    Ok(())
}
