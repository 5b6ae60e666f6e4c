//! Uploads straight to the store, on the wire.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_ingest::Direct;
use utoipa::ToSchema;

/// What a client is about to put into the store.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DirectBody {
    /// How many bytes there are: 5 GiB at the most.
    #[schema(minimum = 1)]
    pub(crate) size_bytes: u64,
    /// Their SHA-256, in hexadecimal; it is compared with what the store holds.
    #[schema(pattern = "^[0-9A-Fa-f]{64}$")]
    pub(crate) sha256: Option<String>,
    /// What the bytes are; by default what the file's name says.
    #[schema(example = "text/csv")]
    pub(crate) media_type: Option<String>,
    /// How they are compressed: `gzip` or `zstd`; by default what the file's name says.
    pub(crate) content_encoding: Option<String>,
}

/// How to put the bytes into the store.
#[derive(Serialize, ToSchema)]
pub(crate) struct DirectView {
    /// The upload.
    upload_id: String,
    /// The method of the request.
    #[schema(example = "PUT")]
    method: String,
    /// Where to send it. Whoever knows this URL can put the bytes, until it does not work any more.
    url: String,
    /// The headers that must go with it, exactly so. The store refuses to put the object a second time.
    headers: BTreeMap<String, String>,
    /// Until when the request works.
    expires_at: DateTime<Utc>,
    /// Where to say, by POST, that the bytes are there.
    #[schema(example = "/api/v1/uploads/0192f7a0-0000-7000-8000-000000000000/complete")]
    complete: String,
}

impl From<Direct> for DirectView {
    fn from(direct: Direct) -> Self {
        let headers = direct.put.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            upload_id: direct.partial.id.to_string(),
            method: "PUT".into(),
            headers: headers.collect(),
            url: direct.put.url.into(),
            expires_at: direct.works_until,
            complete: format!("/api/v1/uploads/{}/complete", direct.partial.id),
        }
    }
}
