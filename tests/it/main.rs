//! The integration tests: the walls between the crates, the document, and the whole server in the test's own process.

#![expect(clippy::unwrap_used, reason = "what a test's own function cannot do is the failure of the test")]

mod layers;

mod connections;
mod coverage;
mod openapi;
mod pressure;
mod problems;

mod discovery;
mod integrity;
mod layout;
mod lifecycle;
mod lineage;
mod pipelines;
mod plain;
mod quality;
mod rebuild;
mod recovery;
mod resumable;
mod rows;
mod schemas;
mod sources;
mod tables;
mod two_servers;
mod upkeep;
mod uploads;
mod views;

mod settings;
