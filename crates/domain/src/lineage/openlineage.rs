//! Reads OpenLineage events.
//!
//! Invariant: what is no event is refused with the field that is at fault; facets that are not known are left alone.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    ColumnNode, Dataset, Influence, LineageReport, ReportedColumn, ReportedDataset, ReportedJob, ReportedRun,
    RunProgress,
};
use crate::{ErrorKind, Failure};

/// The most datasets on each side of an event.
const MAX_DATASETS: usize = 1_000;
/// The most dependences of columns that an event tells of.
const MAX_COLUMNS: usize = 20_000;
/// The longest name of a job or its namespace, in bytes.
const MAX_JOB_BYTES: usize = 256;

/// It is no OpenLineage event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct OpenLineageError {
    /// The field that is at fault.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Failure for OpenLineageError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn code(&self) -> &'static str {
        "bad-lineage-event"
    }
}

type Read<T> = Result<T, OpenLineageError>;

/// A part of an event, and where it stands.
#[derive(Clone)]
struct Part<'a> {
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Part<'a> {
    fn of(event: &'a Value) -> Self {
        Self { path: String::new(), value: Some(event) }
    }

    fn at(&self, name: &str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { path, value: self.value.and_then(|value| value.get(name)).filter(|value| !value.is_null()) }
    }

    fn fail<T>(&self, reason: impl ToString) -> Read<T> {
        let field = if self.path.is_empty() { "event".to_owned() } else { self.path.chars().take(256).collect() };
        Err(OpenLineageError { field, reason: reason.to_string() })
    }

    fn is_there(&self) -> bool {
        self.value.is_some()
    }

    fn text(&self) -> Read<&'a str> {
        match self.value {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            Some(_) => self.fail("it is not a text, or empty"),
            None => self.fail("it is missing"),
        }
    }

    fn short_text(&self) -> Read<&'a str> {
        let text = self.text()?;
        let fits = text.len() <= MAX_JOB_BYTES && !text.chars().any(char::is_control);
        if fits {
            Ok(text)
        } else {
            self.fail(format!("it is longer than {MAX_JOB_BYTES} bytes or holds control characters"))
        }
    }

    /// The fields of an object; none where it is absent.
    fn fields(&self) -> Read<Vec<(&'a str, Self)>> {
        let field =
            |(name, value)| (String::as_str(name), Self { path: format!("{}.{name}", self.path), value: Some(value) });
        match self.value {
            Some(Value::Object(fields)) => Ok(fields.iter().map(field).collect()),
            Some(_) => self.fail("it is not an object"),
            None => Ok(Vec::new()),
        }
    }

    /// The items of an array; none where it is absent.
    fn items(&self, limit: usize) -> Read<Vec<Self>> {
        let item = |(at, value)| Self { path: format!("{}[{at}]", self.path), value: Some(value) };
        match self.value {
            Some(Value::Array(items)) if items.len() > limit => self.fail(format!("it has more than {limit} items")),
            Some(Value::Array(items)) => Ok(items.iter().enumerate().map(item).collect()),
            Some(_) => self.fail("it is not an array"),
            None => Ok(Vec::new()),
        }
    }
}

/// What an event tells.
///
/// # Errors
/// [`OpenLineageError`] for what is no RunEvent, JobEvent or DatasetEvent.
pub fn read_event(event: &Value) -> Read<LineageReport> {
    let event = Part::of(event);
    event.fields()?;
    event.at("producer").text()?;
    event.at("schemaURL").text()?;
    let event_time = time(&event.at("eventTime"))?;
    let (run, job, dataset) = (event.at("run"), event.at("job"), event.at("dataset"));
    if !run.is_there() && !job.is_there() && !dataset.is_there() {
        return run.fail("it is missing, and so are job and dataset");
    }
    let report = LineageReport {
        event_time,
        run: if run.is_there() { Some(read_run(&event)?) } else { None },
        job: if run.is_there() || job.is_there() { Some(read_job(&job)?) } else { None },
        inputs: datasets(&event.at("inputs"))?,
        outputs: match dataset.is_there() {
            true => vec![read_dataset(&dataset)?],
            false => datasets(&event.at("outputs"))?,
        },
    };
    let columns = report.outputs.iter().map(|output| output.columns.len()).sum::<usize>();
    if columns > MAX_COLUMNS {
        return event.at("outputs").fail(format!("they have more than {MAX_COLUMNS} dependences of columns"));
    }
    Ok(report)
}

fn time(part: &Part<'_>) -> Read<DateTime<Utc>> {
    match DateTime::parse_from_rfc3339(part.text()?) {
        Ok(time) => Ok(time.to_utc()),
        Err(error) => part.fail(format!("it is not an instant of RFC 3339: {error}")),
    }
}

fn read_run(event: &Part<'_>) -> Read<ReportedRun> {
    let id = event.at("run").at("runId");
    event.at("run").at("facets").fields()?;
    let id = id.text()?.parse().or_else(|_| id.fail("it is not a UUID"))?;
    let kind = event.at("eventType");
    let progress = match kind.is_there() {
        true => kind.text()?.parse().or_else(|error: String| kind.fail(error))?,
        false => RunProgress::Other,
    };
    Ok(ReportedRun { id, progress })
}

fn read_job(job: &Part<'_>) -> Read<ReportedJob> {
    job.at("facets").fields()?;
    let (namespace, name) = (job.at("namespace").short_text()?, job.at("name").short_text()?);
    Ok(ReportedJob { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn datasets(part: &Part<'_>) -> Read<Vec<ReportedDataset>> {
    part.items(MAX_DATASETS)?.iter().map(read_dataset).collect()
}

fn read_dataset(part: &Part<'_>) -> Read<ReportedDataset> {
    let facets = part.at("facets");
    facets.fields()?;
    let links = facets.at("symlinks").at("identifiers").items(MAX_DATASETS)?;
    Ok(ReportedDataset {
        dataset: named(part)?,
        aliases: links.iter().map(named).collect::<Read<_>>()?,
        version: facets.at("version").at("datasetVersion").value.and_then(number),
        columns: columns(&facets.at("columnLineage"))?,
        facts: facts(part),
    })
}

fn named(part: &Part<'_>) -> Read<Dataset> {
    part.fields()?;
    let (namespace, name) = (part.at("namespace"), part.at("name"));
    let dataset = Dataset::new(namespace.text()?, name.text()?);
    dataset.or_else(|error| part.at(error.what).fail(format!("{error}")))
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|number| i64::try_from(*number).is_ok())
}

/// The facts that facets tell under names of their own.
fn facts(part: &Part<'_>) -> Map<String, Value> {
    let rows = ["outputFacets.outputStatistics", "inputFacets.inputStatistics"].into_iter().find_map(|path| {
        let facet = path.split('.').fold(part.clone(), |part, name| part.at(name));
        facet.at("rowCount").value.filter(|count| count.is_u64()).cloned()
    });
    let owners = part.at("facets").at("ownership").at("owners");
    let owner = owners.value.and_then(|owners| owners.get(0)?.get("name").cloned());
    let source = part.at("facets").at("dataSource").at("name").value.cloned();
    let facts = [("record_count", rows), ("data_owner", owner), ("source_system", source)];
    facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn columns(facet: &Part<'_>) -> Read<Vec<ReportedColumn>> {
    facet.fields()?;
    let fields = facet.at("fields").fields()?;
    let mut columns = Vec::new();
    for (name, field) in &fields {
        ColumnNode::check(name).or_else(|error| field.fail(error))?;
        for input in field.at("inputFields").items(MAX_COLUMNS)? {
            add_inputs(&mut columns, &input, Some(name), &field.at("transformationType"))?;
        }
    }
    for input in facet.at("dataset").items(MAX_COLUMNS)? {
        add_inputs(&mut columns, &input, None, &facet.at("transformationType"))?;
    }
    Ok(columns)
}

fn add_inputs(columns: &mut Vec<ReportedColumn>, input: &Part<'_>, target: Option<&str>, kind: &Part<'_>) -> Read<()> {
    let field = input.at("field");
    let source = ColumnNode::new(named(input)?, field.text()?).or_else(|error| field.fail(error))?;
    let told = input.at("transformations").items(MAX_COLUMNS)?;
    let mut influences = told.iter().map(influence).collect::<Read<Vec<_>>>()?;
    if influences.is_empty() {
        influences.push(match (target, kind.value.and_then(Value::as_str)) {
            (None, _) => Influence::Filter,
            (Some(_), Some("IDENTITY")) => Influence::Identity,
            (Some(_), _) => Influence::Transformation,
        });
    }
    influences.sort_unstable();
    influences.dedup();
    let column = |influence| ReportedColumn { source: source.clone(), target: target.map(str::to_owned), influence };
    columns.extend(influences.into_iter().map(column));
    if columns.len() > MAX_COLUMNS {
        input.fail(format!("there are more than {MAX_COLUMNS} before it"))
    } else {
        Ok(())
    }
}

/// What is said of a dependence; a subtype of one's own is taken for the broadest of its type.
fn influence(part: &Part<'_>) -> Read<Influence> {
    let kind = part.at("type");
    let known: Option<Influence> = part.at("subtype").value.and_then(Value::as_str).and_then(|text| text.parse().ok());
    let broadest = match kind.text()? {
        "DIRECT" => Influence::Transformation,
        "INDIRECT" => Influence::Conditional,
        _ => return kind.fail("it is neither DIRECT nor INDIRECT"),
    };
    Ok(known.filter(|known| known.is_direct() == broadest.is_direct()).unwrap_or(broadest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn event() -> Value {
        json!({
            "eventType": "COMPLETE", "eventTime": "2026-02-03T04:05:06.789+01:00",
            "run": {"runId": "01941f29-7c00-7000-8000-000000000001", "facets": {"my_own": {"deep": [1]}}},
            "job": {"namespace": "airflow", "name": "dag.task"},
            "inputs": [{"namespace": "postgres://db:5432", "name": "shop.public.orders",
                "facets": {"version": {"datasetVersion": "12"}}}],
            "outputs": [{"namespace": "s3://lake", "name": "curated/orders", "facets": {
                "symlinks": {"identifiers": [{"namespace": "sluice", "name": "shop.orders", "type": "TABLE"}]},
                "ownership": {"owners": [{"name": "team:data"}]},
                "columnLineage": {"fields": {"total": {"inputFields": [
                    {"namespace": "postgres://db:5432", "name": "shop.public.orders", "field": "amount",
                     "transformations": [{"type": "DIRECT", "subtype": "AGGREGATION"}, {"type": "INDIRECT", "subtype": "MINE"}]},
                    {"namespace": "postgres://db:5432", "name": "shop.public.orders", "field": "currency"}]}},
                 "dataset": [{"namespace": "postgres://db:5432", "name": "shop.public.orders", "field": "day",
                    "transformations": [{"type": "INDIRECT", "subtype": "GROUP_BY"}]}]}},
                "outputFacets": {"outputStatistics": {"rowCount": 12, "size": 3}}}],
            "producer": "https://example.org/me",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        })
    }

    #[test]
    fn an_event_is_read_with_its_facets() {
        let report = read_event(&event()).unwrap();
        assert_eq!(report.event_time, "2026-02-03T03:05:06.789Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(report.run.unwrap().progress, RunProgress::Complete);
        assert_eq!(report.inputs[0].version, Some(12));
        let output = &report.outputs[0];
        assert_eq!(output.aliases[0].table(), "shop.orders".parse().ok());
        assert_eq!(Value::from(output.facts.clone()), json!({"data_owner": "team:data", "record_count": 12}));
        let told: Vec<_> = output
            .columns
            .iter()
            .map(|column| (column.source.column.as_deref().unwrap(), column.target.as_deref(), column.influence))
            .collect();
        let expected = [
            ("amount", Some("total"), Influence::Aggregation),
            ("amount", Some("total"), Influence::Conditional),
            ("currency", Some("total"), Influence::Transformation),
            ("day", None, Influence::GroupBy),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn events_of_jobs_and_of_datasets_are_read() {
        let mut job = event();
        job.as_object_mut().unwrap().remove("run");
        assert_eq!(read_event(&job).unwrap().run, None);
        let mut dataset = event();
        for name in ["run", "job", "inputs", "outputs"] {
            dataset.as_object_mut().unwrap().remove(name);
        }
        dataset["dataset"] = event()["outputs"][0].clone();
        let report = read_event(&dataset).unwrap();
        assert_eq!((report.job, report.outputs.len()), (None, 1));
    }

    #[rstest]
    #[case("/eventTime", json!("yesterday"), "eventTime")]
    #[case("/eventTime", json!(7), "eventTime")]
    #[case("/eventType", json!("DONE"), "eventType")]
    #[case("/producer", Value::Null, "producer")]
    #[case("/schemaURL", json!(""), "schemaURL")]
    #[case("/run/runId", json!("7"), "run.runId")]
    #[case("/run/facets", json!([1]), "run.facets")]
    #[case("/run", json!("x"), "run.runId")]
    #[case("/job", Value::Null, "job.namespace")]
    #[case("/job/name", json!("a\u{0}"), "job.name")]
    #[case("/job/name", json!("a".repeat(257)), "job.name")]
    #[case("/inputs", json!({}), "inputs")]
    #[case("/inputs", json!(vec![json!({"namespace": "a", "name": "b"}); 1001]), "inputs")]
    #[case("/inputs/0", json!(5), "inputs[0]")]
    #[case("/inputs/0/name", json!("a\nb"), "inputs[0].name")]
    #[case("/inputs/0/namespace", Value::Null, "inputs[0].namespace")]
    #[case("/outputs/0/facets", json!("x"), "outputs[0].facets")]
    #[case("/outputs/0/facets/columnLineage/fields", json!([]), "outputs[0].facets.columnLineage.fields")]
    #[case("/outputs/0/facets/columnLineage/dataset/0/field", json!(1), "outputs[0].facets.columnLineage.dataset[0].field")]
    #[case(
        "/outputs/0/facets/columnLineage/dataset/0/transformations/0/type",
        json!("MAYBE"),
        "outputs[0].facets.columnLineage.dataset[0].transformations[0].type"
    )]
    fn what_is_no_event_is_refused_naming_the_field(#[case] at: &str, #[case] value: Value, #[case] field: &str) {
        let mut wrong = event();
        *wrong.pointer_mut(at).unwrap() = value;
        assert_eq!(read_event(&wrong).unwrap_err().field, field);
    }

    #[test]
    fn what_is_something_else_altogether_is_refused() {
        for other in [json!([]), json!("event"), json!({}), json!(null)] {
            assert!(read_event(&other).is_err(), "{other}");
        }
        let nothing = json!({"eventTime": "2026-02-03T04:05:06Z", "producer": "a", "schemaURL": "b"});
        assert_eq!(read_event(&nothing).unwrap_err().field, "run");
    }

    #[test]
    fn dependences_of_columns_are_bounded() {
        let input = json!({"namespace": "a", "name": "b", "field": "c"});
        let mut wide = event();
        wide["outputs"][0]["facets"]["columnLineage"]["dataset"] = vec![input; MAX_COLUMNS].into();
        assert!(read_event(&wide).unwrap_err().field.starts_with("outputs[0].facets.columnLineage.dataset"));
    }
}
