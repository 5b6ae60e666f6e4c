//! How values are written into columns and read back: ids and instants as text, numbers as signed, the rest as JSON.

use std::{fmt::Display, str::FromStr};

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde::{Serialize, de::DeserializeOwned};

use crate::CatalogError;

/// The present, as exact as other databases' clocks are.
pub(crate) fn now() -> String {
    instant(Utc::now().trunc_subsecs(6))
}

/// An instant, at full width: as text it sorts like the time it names.
pub(crate) fn instant(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

pub(crate) fn number(what: &'static str, number: u64) -> Result<i64, CatalogError> {
    i64::try_from(number).map_err(|error| CatalogError::corrupt(what, error))
}

pub(crate) fn json<T: Serialize + ?Sized>(what: &'static str, value: &T) -> Result<String, CatalogError> {
    serde_json::to_string(value).map_err(|error| CatalogError::corrupt(what, error))
}

pub(crate) fn read<T>(what: &'static str, text: &str) -> Result<T, CatalogError>
where
    T: FromStr<Err: Display>,
{
    text.parse().map_err(|error| CatalogError::corrupt(what, error))
}

pub(crate) fn read_number(what: &'static str, number: i64) -> Result<u64, CatalogError> {
    u64::try_from(number).map_err(|error| CatalogError::corrupt(what, error))
}

pub(crate) fn read_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, CatalogError> {
    serde_json::from_str(text).map_err(|error| CatalogError::corrupt(what, error))
}
