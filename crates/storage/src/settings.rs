//! Where the zones are, and how S3 is reached.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// Where the lake is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSettings {
    /// The raw zone: `file:///absolute/folder` or `s3://bucket/folder`. Default: `raw` in the data folder.
    pub raw_url: Option<String>,
    /// The curated zone: `file:///absolute/folder` or `s3://bucket/folder`. Default: `curated` in the data folder.
    pub curated_url: Option<String>,
    /// How S3 is reached, where a zone is in S3.
    pub s3: S3Settings,
    /// When S3 is left alone because it fails.
    pub breaker: BreakerSettings,
}

/// When a store that fails again and again is left alone, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// After how many failures in a row.
    pub threshold: u32,
    /// For how long, in seconds. Requests that need the store are answered with 503 meanwhile.
    pub open_seconds: u64,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { threshold: 5, open_seconds: 60 }
    }
}

/// How long S3 is waited for, in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Timeouts {
    /// Until a connection is made.
    pub connect_seconds: u64,
    /// Until a call is answered, tries and waits between them included, and until the next piece of an answer comes. A
    /// call that sends data has a second longer for each MiB.
    pub call_seconds: u64,
    /// Until a single request is answered whole, its body included.
    pub request_seconds: u64,
    /// How often a request is tried again.
    pub retries: usize,
    /// After how long a request is not tried again.
    pub retry_seconds: u64,
}

impl Default for S3Timeouts {
    fn default() -> Self {
        Self { connect_seconds: 3, call_seconds: 10, request_seconds: 60, retries: 6, retry_seconds: 8 }
    }
}

/// How S3 or a compatible store is reached. A field that is not set is taken from the usual `AWS_` variables.
///
/// `Serialize` writes the secrets; `Debug` does not.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// The URL of a compatible store; with `virtual_hosted_style` its host begins with the bucket. Default: AWS.
    pub endpoint: Option<String>,
    /// The region. Default: `us-east-1`.
    pub region: Option<String>,
    /// The access key's id; set together with `secret_access_key`. Default: the role of the machine.
    pub access_key_id: Option<String>,
    /// The access key's secret.
    pub secret_access_key: Option<String>,
    /// The session token of a temporary access key.
    pub session_token: Option<String>,
    /// Whether an endpoint may be reached without TLS.
    pub allow_http: bool,
    /// Whether the bucket is named in the host rather than in the path.
    pub virtual_hosted_style: bool,
    /// How long it is waited for.
    pub timeouts: S3Timeouts,
    /// The `AWS_` variables of another process, for one that has none of its own; not to be set by hand.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

impl StorageSettings {
    /// The same with the variables of this process, for one that has none.
    #[must_use]
    pub fn with_environment(mut self) -> Self {
        let texts =
            std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        self.s3.variables = texts.filter(|(key, _)| key.starts_with("AWS_")).collect();
        self
    }
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "(hidden)");
        f.debug_struct("S3Settings")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key_id", &hidden(&self.access_key_id))
            .field("secret_access_key", &hidden(&self.secret_access_key))
            .field("session_token", &hidden(&self.session_token))
            .field("allow_http", &self.allow_http)
            .field("virtual_hosted_style", &self.virtual_hosted_style)
            .field("timeouts", &self.timeouts)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let settings = S3Settings {
            access_key_id: Some("AKIA-id".into()),
            secret_access_key: Some("the-secret".into()),
            session_token: Some("the-token".into()),
            ..S3Settings::default()
        };
        let text = format!("{settings:?}");
        assert!(!text.contains("AKIA-id") && !text.contains("the-secret") && !text.contains("the-token"), "{text}");
    }
}
