//! The HTTP layer: routes, identity, problems, and the OpenAPI document made from them.
//!
//! Owns what goes over the wire. Decides nothing about data: handlers parse, ask for a grant, call one service and
//! translate its answer.
//!
//! Invariant: every handler that shows or changes data asks for a grant first.
//! Invariant: every failure is an RFC 9457 problem.

mod app;

mod auth;
mod problem;
mod request_context;
mod same_origin;
mod unread_body;

mod body;
mod extract;
mod layout_params;
mod lineage;
mod named_path;
mod read_options;
mod suite_queries;
mod tus;

mod wire;

mod openapi;
mod routes;

pub use app::{App, Readiness};
pub use auth::{AuthMode, AuthSettings, AuthSettingsError, Authenticator, KeySettings};
pub use read_options::upload_options;
pub use routes::{document, refusals, router};
