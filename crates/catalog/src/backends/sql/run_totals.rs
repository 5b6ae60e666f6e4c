//! What the runs of pipelines come to together: four places, added up by the database.
//!
//! Invariant: each run counts as it is told where runs are listed.

use sluice_domain::{PipelineTotals, RunStatus, RunTotals, Tally};

use super::{
    SqlBackend, Turn,
    conditions::Conditions,
    pipeline_runs::{of_reported, of_sources, of_uploads},
};
use crate::{
    CatalogError, RunFilter,
    columns::{read, read_number},
};

/// How many pipelines, tables and ends are told apart, of each of the four places.
const MAX_GROUPS: i64 = 100_000;

/// A pipeline, a table, and how the runs ended: figures of the runs together.
type Group = (String, Option<String>, String, i64, Option<f64>, i64, Option<f64>, Option<f64>, i64);

/// What a run is, in the words of one of the four places.
struct Told {
    from: &'static str,
    pipeline: &'static str,
    table: String,
    status: String,
    seconds: String,
    records: String,
    quality: String,
}

impl SqlBackend {
    /// What runs that ended come to, by pipeline and table.
    pub(super) async fn run_totals(&self, filter: &RunFilter) -> Result<Vec<PipelineTotals>, CatalogError> {
        let words = match self.turn {
            Turn::File => Words::Sqlite,
            Turn::Lease(_) => Words::Postgres,
        };
        let (mut uploads, mut sources) = (of_uploads(filter, None), of_sources(filter, None));
        // Runs of pipelines of the lake are asked for by the same columns as those that are reported.
        let mut reported = of_reported(filter, None);
        uploads.and("r.state IN ('committed', 'failed')", []);
        sources.and("r.state IN ('succeeded', 'failed')", []);
        reported.and("r.status <> 'RUNNING'", []);
        let mut groups = self.add_up(&words.uploads(), &uploads).await?;
        groups.extend(self.add_up(&words.sources(), &sources).await?);
        groups.extend(self.add_up(&words.external(), &reported).await?);
        groups.extend(self.add_up(&words.curated(), &reported).await?);
        groups.into_iter().map(totals_of).collect()
    }

    async fn add_up(&self, told: &Told, conditions: &Conditions) -> Result<Vec<Group>, CatalogError> {
        let Told { from, pipeline, table, status, seconds, records, quality } = told;
        let text = format!(
            "SELECT pipeline, table_name, status, COUNT(*), CAST(SUM(seconds) AS DOUBLE PRECISION), COUNT(seconds), \
             CAST(SUM(records) AS DOUBLE PRECISION), CAST(SUM(quality) AS DOUBLE PRECISION), COUNT(quality) FROM \
             (SELECT {pipeline} AS pipeline, {table} AS table_name, {status} AS status, {seconds} AS seconds, \
             {records} AS records, {quality} AS quality FROM {from} WHERE {}) told \
             GROUP BY pipeline, table_name, status ORDER BY pipeline, table_name, status LIMIT ${}",
            conditions.text(),
            conditions.next()
        );
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(text));
        for value in conditions.values() {
            query = query.bind(value);
        }
        Ok(query.bind(MAX_GROUPS).fetch_all(&self.readers).await?)
    }
}

fn totals_of(group: Group) -> Result<PipelineTotals, CatalogError> {
    let (pipeline, table, status, runs, seconds, timed, records, quality, scored) = group;
    let count = |count: i64| read_number("count of runs", count);
    let (runs, status): (u64, RunStatus) = (count(runs)?, read("run's status", &status)?);
    let totals = RunTotals {
        runs,
        succeeded: if status == RunStatus::Success { runs } else { 0 },
        failed: if status == RunStatus::Failed { runs } else { 0 },
        seconds: Tally { sum: seconds.unwrap_or_default(), count: count(timed)? },
        records: Tally { sum: records.unwrap_or_default(), count: runs },
        quality: Tally { sum: quality.unwrap_or_default(), count: count(scored)? },
    };
    Ok(PipelineTotals {
        pipeline: read("run's pipeline", &pipeline)?,
        table: table.map(|table| read("run's table", &table)).transpose()?,
        totals,
    })
}

/// What the two databases say differently.
#[derive(Clone, Copy)]
enum Words {
    Sqlite,
    Postgres,
}

impl Words {
    /// A text in a JSON document.
    fn text(self, column: &str, path: &[&str]) -> String {
        match self {
            Self::Sqlite => format!("json_extract({column}, '$.{}')", path.join(".")),
            Self::Postgres => format!("CAST({column} AS json) #>> '{{{}}}'", path.join(",")),
        }
    }

    /// A number in a JSON document.
    fn number(self, column: &str, path: &[&str]) -> String {
        format!("CAST({} AS DOUBLE PRECISION)", self.text(column, path))
    }

    /// The seconds between two instants; none where one is missing.
    fn seconds(self, from: &str, to: &str) -> String {
        let between = match self {
            Self::Sqlite => format!("(julianday({to}) - julianday({from})) * 86400.0"),
            Self::Postgres => {
                format!(
                    "CAST(EXTRACT(EPOCH FROM CAST({to} AS timestamptz) - CAST({from} AS timestamptz)) AS DOUBLE PRECISION)"
                )
            }
        };
        format!("CASE WHEN {to} < {from} THEN 0.0 ELSE {between} END")
    }

    /// How many records came in, and the share of good ones, of counts of rows within a document.
    fn rows(self, column: &str, within: &[&'static str]) -> (String, String) {
        let count = |name: &'static str| self.number(column, &[within, &[name]].concat());
        let (committed, bad) = (count("committed"), count("quarantined"));
        let received = format!("({committed} + {bad} + {} + {})", count("deduplicated"), count("rejected"));
        let quality = format!(
            "CASE WHEN {column} IS NULL THEN NULL WHEN {received} = 0.0 THEN 100.0 \
             ELSE ({received} - {bad}) * 100.0 / {received} END"
        );
        (format!("COALESCE({received}, 0.0)"), quality)
    }

    fn uploads(self) -> Told {
        let (records, quality) = self.rows("r.row_counts", &[]);
        Told {
            from: "uploads r",
            pipeline: "r.table_name",
            table: "r.table_name".to_owned(),
            status: "CASE WHEN r.state = 'failed' THEN 'FAILED' WHEN r.row_counts IS NULL \
                     OR r.row_counts LIKE '%\"quarantined\":0,%' THEN 'SUCCESS' ELSE 'WARNING' END"
                .to_owned(),
            seconds: self.seconds("r.started_at", "COALESCE(r.committed_at, r.failed_at)"),
            records,
            quality,
        }
    }

    fn sources(self) -> Told {
        let (records, quality) = self.rows("r.counts", &["rows"]);
        Told {
            from: "source_runs r JOIN sources s ON s.id = r.source_id",
            pipeline: "s.name",
            table: self.text("s.definition", &["table"]),
            status: "CASE WHEN r.state = 'failed' THEN 'FAILED' WHEN r.counts IS NULL OR r.counts LIKE \
                     '%\"files_failed\":0,%' AND r.counts LIKE '%\"quarantined\":0,%' THEN 'SUCCESS' ELSE 'WARNING' END"
                .to_owned(),
            seconds: self.seconds("r.started_at", "r.finished_at"),
            records: format!("CASE WHEN r.state = 'failed' THEN 0.0 ELSE {records} END"),
            quality: format!("CASE WHEN r.state = 'failed' THEN NULL ELSE {quality} END"),
        }
    }

    fn curated(self) -> Told {
        let figures = self.number("r.figures", &["rows_in"]);
        let prepared = self.number("r.prepared", &["figures", "rows_in"]);
        Told {
            from: "curated_runs r",
            pipeline: "r.pipeline",
            table: "r.table_name".to_owned(),
            status: "r.status".to_owned(),
            seconds: self.seconds("r.started_at", "r.ended_at"),
            records: format!("COALESCE({figures}, {prepared}, 0.0)"),
            quality: "CASE WHEN r.status IN ('SUCCESS', 'WARNING') THEN 100.0 END".to_owned(),
        }
    }

    fn external(self) -> Told {
        let figure = |name| self.number("r.figures", &[name]);
        Told {
            from: "pipeline_runs r",
            pipeline: "r.pipeline",
            table: "r.table_name".to_owned(),
            status: "r.status".to_owned(),
            seconds: figure("duration_seconds"),
            records: figure("records_processed"),
            quality: figure("quality_score"),
        }
    }
}
