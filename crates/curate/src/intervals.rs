//! The time that a run is for, as its statement sees it.

use std::collections::BTreeMap;

use sluice_domain::{
    CompiledStatement, INTERVAL_END, INTERVAL_START, Interval, PipelineDefinition, PipelineSettingsError,
};
use sluice_query::QueryRequest;

/// What the parameters of a statement stand for.
pub(crate) fn parameters(interval: Interval) -> BTreeMap<String, i64> {
    let moments = [(INTERVAL_START, interval.start), (INTERVAL_END, interval.end)];
    moments.into_iter().map(|(name, moment)| (name.to_owned(), moment.timestamp_micros())).collect()
}

/// The statement of a pipeline as it is planned where nothing is read: for whatever time.
pub(crate) fn planned(definition: &PipelineDefinition, statement: &CompiledStatement) -> QueryRequest {
    let incremental = definition.incremental.iter().map(|input| (input.clone(), None)).collect();
    let parameters = parameters(Interval::until(chrono::DateTime::UNIX_EPOCH));
    QueryRequest { incremental, parameters, ..QueryRequest::of(statement.sql.clone()) }
}

/// Check that a pipeline can run for a time that somebody says.
pub(crate) fn check_takes_intervals(definition: &PipelineDefinition) -> Result<(), PipelineSettingsError> {
    let reason = "a pipeline with incremental inputs reads what is new, whatever time a run is for";
    match definition.incremental.is_empty() {
        true => Ok(()),
        false => Err(PipelineSettingsError::new("interval", reason)),
    }
}
