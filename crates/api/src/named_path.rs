//! Names and ids that stand alone in a path.

use std::{fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use sluice_domain::{AccessError, Action, Caller, Grant, Resource, RunId};

use crate::problem::Problem;

/// The one name in the path.
pub(crate) struct Named<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Named<T>
where
    T: FromStr<Err: Display>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = path.map_err(|rejection| Problem::bad_request("illegal-name", rejection.body_text()))?;
        name.parse().map(Self).map_err(|error: T::Err| Problem::bad_request("illegal-name", error.to_string()))
    }
}

/// The run named in the path.
pub(crate) struct RunIdPath(pub(crate) RunId);

impl<S: Send + Sync> FromRequestParts<S> for RunIdPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bad = || Problem::bad_request("illegal-id", "the id of a run is a UUID");
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| bad())?;
        id.parse().map(Self).map_err(|_| bad())
    }
}

/// Ask for a right over what belongs to no namespace: a key that is confined to some does not have it.
pub(crate) fn require_everywhere(caller: &Caller, action: Action) -> Result<Grant, Problem> {
    if caller.namespaces.is_some() {
        let error = AccessError::Forbidden { principal: caller.name.clone(), action };
        return Err(error.into());
    }
    Ok(caller.require(action, &Resource::Catalog)?)
}
