//! The events of jobs elsewhere, and what follows from them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sluice_domain::{
    Page, PageRequest, TableRef,
    lineage::{Dataset, FlowColumn, FlowOrigin, LineageReport, ReportedDataset, ReportedRun, RunProgress},
};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::{SqlBackend, fetch_size, lineage::put_flow, page_size};
use crate::{
    CatalogError, EventOutcome, LineageEvent, LineageEvents, NewFlow, NewLineageEvent,
    columns::{instant, json, now, number, read, read_json, read_number},
    lineage_rows::{LineageEventRow, RunDatasetRow, RunRow, read_dataset},
};

/// The most datasets that a run reads and writes.
const MAX_RUN_DATASETS: usize = 2_000;
/// The most flows that follow from one event: from each dataset that is read into each that is written.
const MAX_FLOWS: usize = 2_000;

#[async_trait]
impl LineageEvents for SqlBackend {
    async fn record_event(&self, event: &NewLineageEvent) -> Result<EventOutcome, CatalogError> {
        let mut write = self.write().await?;
        if !enter_event(&mut write, event).await? {
            return Ok(EventOutcome::Known);
        }
        let sides = match &event.report.run {
            None => Sides::of(&event.report),
            Some(run) => run_sides(&mut write, run, &event.report).await?,
        };
        let Some(flows) = flows(event, &sides) else { return Ok(EventOutcome::TooMuch) };
        for flow in &flows {
            put_flow(&mut write, flow).await?;
        }
        write.commit().await?;
        Ok(EventOutcome::Kept)
    }

    async fn run_events(&self, run: Uuid, page: &PageRequest) -> Result<Page<LineageEvent>, CatalogError> {
        let rows: Vec<LineageEventRow> = sqlx::query_as(
            "SELECT * FROM lineage_events WHERE run_id = $1 AND (event_time || '/' || id) > $2 \
             ORDER BY event_time, id LIMIT $3",
        )
        .bind(run.to_string())
        .bind(page.after())
        .bind(fetch_size(page))
        .fetch_all(&self.readers)
        .await?;
        let key = |row: &LineageEventRow| format!("{}/{}", row.event_time, row.id);
        let page = Page::from_overfetched(rows, page_size(page), key);
        let items = page.items.into_iter().map(LineageEvent::try_from).collect::<Result<_, _>>()?;
        Ok(Page { items, next: page.next })
    }

    async fn table_at(&self, zone: &str, path: &str) -> Result<Option<TableRef>, CatalogError> {
        let name: Option<String> =
            sqlx::query_scalar("SELECT name FROM tables WHERE zone = $1 AND path = $2 AND state = 'active'")
                .bind(zone)
                .bind(path)
                .fetch_optional(&self.readers)
                .await?;
        name.map(|name| read("table's name", &name)).transpose()
    }
}

/// What is known of a dataset of a run.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    version: Option<u64>,
    facts: Map<String, Value>,
    told_at: DateTime<Utc>,
}

impl Known {
    fn of(dataset: &ReportedDataset, told_at: DateTime<Utc>) -> Self {
        Self { version: dataset.version, facts: dataset.facts.clone(), told_at }
    }

    /// What both tell; where they differ, what the later one does.
    fn and(self, other: Self) -> Self {
        let (earlier, later) = if self.told_at <= other.told_at { (self, other) } else { (other, self) };
        let mut facts = earlier.facts;
        facts.extend(later.facts);
        Self { version: later.version.or(earlier.version), facts, told_at: later.told_at }
    }
}

/// What is read, and what is written.
#[derive(Debug, Default)]
struct Sides {
    inputs: BTreeMap<Dataset, Known>,
    outputs: BTreeMap<Dataset, Known>,
}

impl Sides {
    fn of(report: &LineageReport) -> Self {
        let mut sides = Self::default();
        report.inputs.iter().for_each(|dataset| Self::add(&mut sides.inputs, dataset, report.event_time));
        report.outputs.iter().for_each(|dataset| Self::add(&mut sides.outputs, dataset, report.event_time));
        sides
    }

    fn add(side: &mut BTreeMap<Dataset, Known>, dataset: &ReportedDataset, told_at: DateTime<Utc>) {
        Self::join(side, dataset.dataset.clone(), Known::of(dataset, told_at));
    }

    fn join(side: &mut BTreeMap<Dataset, Known>, dataset: Dataset, known: Known) {
        let known = match side.remove(&dataset) {
            Some(before) => before.and(known),
            None => known,
        };
        side.insert(dataset, known);
    }
}

/// Keep the text of an event; says whether it was not there before.
async fn enter_event(connection: &mut AnyConnection, event: &NewLineageEvent) -> Result<bool, CatalogError> {
    let done = sqlx::query(
        "INSERT INTO lineage_events (id, run_id, event_time, body, principal, received_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&event.id)
    .bind(event.report.run.as_ref().map(|run| run.id.to_string()))
    .bind(instant(event.report.event_time))
    .bind(&event.body)
    .bind(&event.principal)
    .bind(now())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// What a run reads and writes, as far as its events have told, this one included.
async fn run_sides(
    connection: &mut AnyConnection,
    run: &ReportedRun,
    report: &LineageReport,
) -> Result<Sides, CatalogError> {
    put_run(connection, run, report.event_time).await?;
    let rows: Vec<RunDatasetRow> =
        sqlx::query_as("SELECT role, dataset, version, facts, told_at FROM lineage_run_datasets WHERE run_id = $1")
            .bind(run.id.to_string())
            .fetch_all(&mut *connection)
            .await?;
    let mut sides = Sides::default();
    for row in rows {
        let known = Known {
            version: row.version.map(|version| read_number("dataset's version", version)).transpose()?,
            facts: read_json("dataset's facts", &row.facts)?,
            told_at: read("dataset's time", &row.told_at)?,
        };
        let side = if row.role == "input" { &mut sides.inputs } else { &mut sides.outputs };
        side.insert(read_dataset(&row.dataset)?, known);
    }
    let told = Sides::of(report);
    for (role, side, told) in [("input", &mut sides.inputs, told.inputs), ("output", &mut sides.outputs, told.outputs)]
    {
        for (dataset, known) in told {
            let before = side.get(&dataset).cloned();
            Sides::join(side, dataset.clone(), known);
            let after = &side[&dataset];
            if before.as_ref() != Some(after) && side.len() <= MAX_RUN_DATASETS {
                put_dataset(connection, run.id, (role, &dataset), after).await?;
            }
        }
    }
    Ok(sides)
}

async fn put_run(connection: &mut AnyConnection, run: &ReportedRun, at: DateTime<Utc>) -> Result<(), CatalogError> {
    let found: Option<RunRow> =
        sqlx::query_as("SELECT progress, progress_at, started_at, updated_at FROM lineage_runs WHERE id = $1")
            .bind(run.id.to_string())
            .fetch_optional(&mut *connection)
            .await?;
    let (mut progress, mut progress_at, mut started_at, mut updated_at) = (run.progress, at, at, at);
    if let Some(row) = found {
        let before: RunProgress = read("run's progress", &row.progress)?;
        let before_at: DateTime<Utc> = read("run's progress", &row.progress_at)?;
        // The names settle what is told of one instant, so that no order of arrival does.
        if (before.weight(), before_at, before.as_str()) > (progress.weight(), at, progress.as_str()) {
            (progress, progress_at) = (before, before_at);
        }
        started_at = started_at.min(read("run's start", &row.started_at)?);
        updated_at = updated_at.max(read("run's last event", &row.updated_at)?);
    }
    sqlx::query(
        "INSERT INTO lineage_runs (id, progress, progress_at, started_at, updated_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO UPDATE SET progress = excluded.progress, progress_at = excluded.progress_at, \
         started_at = excluded.started_at, updated_at = excluded.updated_at",
    )
    .bind(run.id.to_string())
    .bind(progress.as_str())
    .bind(instant(progress_at))
    .bind(instant(started_at))
    .bind(instant(updated_at))
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_dataset(
    connection: &mut AnyConnection,
    run: Uuid,
    (role, dataset): (&str, &Dataset),
    known: &Known,
) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO lineage_run_datasets (run_id, role, dataset, version, facts, told_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (run_id, role, dataset) DO UPDATE SET \
         version = excluded.version, facts = excluded.facts, told_at = excluded.told_at",
    )
    .bind(run.to_string())
    .bind(role)
    .bind(dataset.key())
    .bind(known.version.map(|version| number("dataset's version", version)).transpose()?)
    .bind(json("dataset's facts", &known.facts)?)
    .bind(instant(known.told_at))
    .execute(connection)
    .await?;
    Ok(())
}

/// From everything that is read into everything that is written; none where that is too much.
fn flows(event: &NewLineageEvent, sides: &Sides) -> Option<Vec<NewFlow>> {
    let mut columns: BTreeMap<(Dataset, Dataset), BTreeSet<FlowColumn>> = BTreeMap::new();
    for output in &event.report.outputs {
        for (source, edges) in output.flow_columns() {
            columns.entry((source, output.dataset.clone())).or_default().extend(edges);
        }
    }
    let is_too_much = sides.inputs.len() > MAX_RUN_DATASETS
        || sides.outputs.len() > MAX_RUN_DATASETS
        || sides.inputs.len() * sides.outputs.len() + columns.len() > MAX_FLOWS;
    if is_too_much {
        return None;
    }
    let crossed =
        sides.inputs.keys().flat_map(|input| sides.outputs.keys().map(|output| (input.clone(), output.clone())));
    let pairs: BTreeSet<(Dataset, Dataset)> = crossed.chain(columns.keys().cloned()).collect();
    let flow = |pair: (Dataset, Dataset)| {
        let columns = columns.remove(&pair).unwrap_or_default();
        new_flow(event, sides, pair, columns)
    };
    Some(pairs.into_iter().map(flow).collect())
}

fn new_flow(
    event: &NewLineageEvent,
    sides: &Sides,
    (source, target): (Dataset, Dataset),
    columns: BTreeSet<FlowColumn>,
) -> NewFlow {
    let report = &event.report;
    let (input, output) = (sides.inputs.get(&source), sides.outputs.get(&target));
    let mut metadata: Map<String, Value> = Map::new();
    for side in [input, output].into_iter().flatten() {
        metadata.extend(side.facts.clone());
    }
    if let Some(source) = input.and_then(|input| input.facts.get("source_system")) {
        metadata.insert("source_system".into(), source.clone());
    }
    let job = report.job.as_ref().map(|job| {
        metadata.insert("job".into(), json!({"namespace": job.namespace, "name": job.name}));
        format!("{}/{}", job.namespace, job.name)
    });
    NewFlow {
        transformation: job.unwrap_or_else(|| "dataset".into()),
        origin: FlowOrigin::OpenLineage,
        run: report.run.as_ref().map(|run| run.id),
        source_version: input.and_then(|known| known.version),
        target_version: output.and_then(|known| known.version),
        metadata,
        principal: event.principal.clone(),
        occurred_at: report.event_time,
        columns,
        source,
        target,
    }
}
