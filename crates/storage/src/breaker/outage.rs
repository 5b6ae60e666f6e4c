//! Which failures tell that a store is away, and which are its answers.

use std::{error::Error, io, sync::Arc};

use object_store::Error as StoreError;
use sluice_domain::CircuitOpen;

use crate::error::is_full;

/// How the client of `object_store` writes down that the server refused a request. Its type is not public.
const CLIENT_ERROR: &str = "Server returned non-2xx status code: 4";
/// Refusals that pass: the request timed out, or there were too many.
const PASSING: [&str; 2] = ["08", "29"];

/// Whether an error of a store, or one anywhere below, says that the store does not answer as it should. That it has
/// no such object, has one already, is full or refuses a request is an answer.
pub fn is_outage(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = store_error(error) {
            return matches!(error, StoreError::Generic { .. }) && !is_full(error) && !is_refusal(error);
        }
        // What an input-output error wraps is not its source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = wrapped.map(|error| error as &(dyn Error + 'static)).or_else(|| error.source());
    }
    false
}

/// The breaker's own refusal among the causes of a failure.
pub(crate) fn find_open_circuit(error: &StoreError) -> Option<&CircuitOpen> {
    causes(error).find_map(|error| error.downcast_ref())
}

fn store_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a StoreError> {
    let boxed = || error.downcast_ref::<Box<StoreError>>().map(AsRef::as_ref);
    let shared = || error.downcast_ref::<Arc<StoreError>>().map(AsRef::as_ref);
    error.downcast_ref().or_else(boxed).or_else(shared)
}

fn is_refusal(error: &StoreError) -> bool {
    causes(error).any(|error| {
        let text = error.to_string();
        let code = text.strip_prefix(CLIENT_ERROR);
        code.is_some_and(|rest| !PASSING.iter().any(|passing| rest.starts_with(passing)))
    })
}

fn causes<'a>(error: &'a StoreError) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |error| (*error).source())
}
