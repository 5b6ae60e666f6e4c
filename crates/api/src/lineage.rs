//! Lineage as callers ask for it: graphs around a dataset, the impact of a column, what is declared and reported.
//!
//! Invariant: a caller is shown a flow only if it sees the tables at both its ends, and one that is confined to some
//! namespaces only if one of the ends is a table.
//! Invariant: every graph is bounded, and says when a bound cut it off.

mod declaration;
mod event;
mod explore;
mod facts;
mod sight;
mod uploads;
mod version;

pub(crate) use declaration::{Declaration, declare};
pub(crate) use event::record;
pub(crate) use explore::{Graph, ImpactGraph, Question, column_impact, everything, explore, too_large};
pub(crate) use facts::known_facts;
pub(crate) use sight::{sees, shown};
pub(crate) use uploads::upload_flows;
pub(crate) use version::{AsOf, as_of};
