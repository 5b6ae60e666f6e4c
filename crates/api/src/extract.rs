//! Extractors that fail with problems, and the parameters that many operations share.

use axum::{
    Json,
    body::HttpBody,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use sluice_domain::{
    ChannelName, LifecycleName, LifecycleNameError, NamespaceName, PageRequest, PlanId, RunId, SourceName, TableRef,
    UploadId,
};
use utoipa::IntoParams;

use crate::problem::Problem;

/// The table named in the path.
pub(crate) struct TablePath(pub(crate) TableRef);

/// How the document describes [`TablePath`].
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the fields are read by the document only")]
pub(crate) struct TableParams {
    /// The namespace.
    #[param(pattern = "^[A-Za-z_][A-Za-z0-9_-]{0,127}$", example = "nyc")]
    namespace: String,
    /// The table.
    #[param(pattern = "^[A-Za-z_][A-Za-z0-9_-]{0,127}$", example = "flights")]
    table: String,
}

impl<S: Send + Sync> FromRequestParts<S> for TablePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((namespace, table)) =
            Path::<(String, String)>::from_request_parts(parts, state).await.map_err(bad_path)?;
        TableRef::parse(&namespace, &table).map(Self).map_err(bad_name)
    }
}

/// The table and the channel named in the path.
pub(crate) struct ChannelPath(pub(crate) TableRef, pub(crate) ChannelName);

/// How the document describes [`ChannelPath`].
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the fields are read by the document only")]
pub(crate) struct ChannelParams {
    /// The namespace.
    #[param(pattern = "^[A-Za-z_][A-Za-z0-9_-]{0,127}$", example = "nyc")]
    namespace: String,
    /// The table.
    #[param(pattern = "^[A-Za-z_][A-Za-z0-9_-]{0,127}$", example = "flights")]
    table: String,
    /// The channel.
    #[param(pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", example = "sensor-7")]
    channel: String,
}

impl<S: Send + Sync> FromRequestParts<S> for ChannelPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((namespace, table, channel)) =
            Path::<(String, String, String)>::from_request_parts(parts, state).await.map_err(bad_path)?;
        let bad = |error| Problem::bad_request("illegal-name", format!("{error}"));
        let channel = channel.parse().map_err(|error: sluice_domain::ChannelNameError| bad(error))?;
        Ok(Self(TableRef::parse(&namespace, &table).map_err(bad_name)?, channel))
    }
}

/// The source named in the path.
pub(crate) struct SourcePath(pub(crate) SourceName);

/// How the document describes [`SourcePath`].
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the fields are read by the document only")]
pub(crate) struct SourceParams {
    /// The source.
    #[param(pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", example = "orders")]
    source: String,
}

impl<S: Send + Sync> FromRequestParts<S> for SourcePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(source) = Path::<String>::from_request_parts(parts, state).await.map_err(bad_path)?;
        source.parse().map(Self).map_err(bad_source)
    }
}

/// The source and the run named in the path.
pub(crate) struct RunPath(pub(crate) SourceName, pub(crate) RunId);

/// How the document describes [`RunPath`].
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the fields are read by the document only")]
pub(crate) struct RunParams {
    /// The source.
    #[param(pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", example = "orders")]
    source: String,
    /// The run.
    run_id: uuid::Uuid,
}

impl<S: Send + Sync> FromRequestParts<S> for RunPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((source, run)) = Path::<(String, String)>::from_request_parts(parts, state).await.map_err(bad_path)?;
        let bad = |_| Problem::bad_request("illegal-id", "the id of a run is a UUID");
        Ok(Self(source.parse().map_err(bad_source)?, run.parse().map_err(bad)?))
    }
}

fn bad_source(error: sluice_domain::SourceNameError) -> Problem {
    Problem::bad_request("illegal-name", error.to_string())
}

/// The lifecycle rule named in the path.
pub(crate) struct LifecycleRulePath(pub(crate) LifecycleName);

/// How the document describes [`LifecycleRulePath`].
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the fields are read by the document only")]
pub(crate) struct LifecycleRuleParams {
    /// The rule.
    #[param(pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", example = "transition-to-ia")]
    name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for LifecycleRulePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(name) = Path::<String>::from_request_parts(parts, state).await.map_err(bad_path)?;
        let bad = |error: LifecycleNameError| Problem::bad_request("illegal-name", error.to_string());
        name.parse().map(Self).map_err(bad)
    }
}

/// The lifecycle plan named in the path.
pub(crate) struct LifecyclePlanPath(pub(crate) PlanId);

/// How the document describes [`LifecyclePlanPath`].
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "the fields are read by the document only")]
pub(crate) struct LifecyclePlanParams {
    /// The plan.
    plan_id: uuid::Uuid,
}

impl<S: Send + Sync> FromRequestParts<S> for LifecyclePlanPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(bad_path)?;
        let bad = |_| Problem::bad_request("illegal-id", "the id of a plan is a UUID");
        id.parse().map(Self).map_err(bad)
    }
}

/// The namespace named in the path.
pub(crate) struct NamespacePath(pub(crate) NamespaceName);

impl<S: Send + Sync> FromRequestParts<S> for NamespacePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(namespace) = Path::<String>::from_request_parts(parts, state).await.map_err(bad_path)?;
        namespace.parse().map(Self).map_err(bad_name)
    }
}

/// The upload named in the path.
pub(crate) struct UploadPath(pub(crate) UploadId);

impl<S: Send + Sync> FromRequestParts<S> for UploadPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(bad_path)?;
        let bad = |_| Problem::bad_request("illegal-id", "the id of an upload is a UUID");
        id.parse().map(Self).map_err(bad)
    }
}

fn bad_name(error: sluice_domain::NameError) -> Problem {
    Problem::bad_request("illegal-name", error.to_string())
}

/// Query parameters; unknown ones are refused by the types.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(params) = Query::from_request_parts(parts, state).await.map_err(bad_query)?;
        Ok(Self(params))
    }
}

/// A JSON body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(raw) = Json::<Box<RawValue>>::from_request(request, state).await.map_err(bad_json)?;
        // An array would be taken for the fields of an object in their order.
        if !raw.get().trim_start().starts_with('{') {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-body", "the body is not a JSON object"));
        }
        let Json(body) = Json::from_bytes(raw.get().as_bytes()).map_err(bad_json)?;
        Ok(Self(body))
    }
}

/// The same, or the default where there is no body.
pub(crate) struct OptionalJsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if HttpBody::size_hint(request.body()).exact() == Some(0) {
            return Ok(Self(T::default()));
        }
        JsonBody::from_request(request, state).await.map(|JsonBody(body)| Self(body))
    }
}

fn bad_path(rejection: PathRejection) -> Problem {
    Problem::bad_request("illegal-name", rejection.body_text())
}

fn bad_query(rejection: QueryRejection) -> Problem {
    Problem::bad_request("bad-parameter", rejection.body_text())
}

fn bad_json(rejection: JsonRejection) -> Problem {
    let code = match rejection.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported-media-type",
        StatusCode::PAYLOAD_TOO_LARGE => "body-too-large",
        _ => "bad-body",
    };
    Problem::new(rejection.status(), code, rejection.body_text())
}

/// Which page of a listing.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageParams {
    /// How many entries at the most.
    #[param(minimum = 1, maximum = 1000)]
    page_size: Option<u32>,
    /// Where to resume: `next_page_token` of the page before.
    page_token: Option<String>,
}

impl PageParams {
    pub(crate) fn new(page_size: Option<u32>, page_token: Option<String>) -> Self {
        Self { page_size, page_token }
    }

    pub(crate) fn request(&self) -> Result<PageRequest, Problem> {
        let size = self.page_size.unwrap_or(PageRequest::DEFAULT_SIZE);
        if !(1..=PageRequest::MAX_SIZE).contains(&size) {
            let detail = format!("page_size is not between 1 and {}", PageRequest::MAX_SIZE);
            return Err(Problem::bad_request("bad-parameter", detail));
        }
        let token = self.page_token.as_deref().map(str::parse).transpose();
        let token = token.map_err(|error| Problem::bad_request("bad-page-token", format!("{error}")))?;
        Ok(PageRequest { size, token })
    }
}
