//! What tus 1.0.0 puts into headers, both ways.
//!
//! Invariant: every answer below its path says `Tus-Resumable`, whatever went wrong.

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request::Parts},
    middleware::Next,
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use sluice_domain::{TableRef, UploadEntry};
use sluice_ingest::Checksum;

use crate::{body::UploadBody, problem::Problem, read_options::UploadParams};

/// Where the protocol is spoken.
pub(crate) const PATH: &str = "/api/v1/tus";
/// The version that is spoken.
pub(crate) const VERSION: &str = "1.0.0";
/// What of the protocol is spoken beside its core.
pub(crate) const EXTENSIONS: &str = "creation,creation-with-upload,termination,checksum,expiration";
/// The media type of a piece.
pub(crate) const PIECE: &str = "application/offset+octet-stream";

pub(crate) const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(crate) const VERSIONS: HeaderName = HeaderName::from_static("tus-version");
pub(crate) const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub(crate) const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(crate) const CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
pub(crate) const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(crate) const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub(crate) const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
const DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// What browsers' uploaders say of a file by themselves, and nothing is made of.
const NOTES: [&str; 5] = ["name", "type", "relativePath", "relativepath", "lastModified"];

/// The layer around the whole router: the method that is meant, and what every answer says.
pub(crate) async fn surround(State(max_size): State<u64>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.strip_prefix(PATH).is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/')) {
        return next.run(request).await;
    }
    if let Some(meant) = request.headers().get(METHOD_OVERRIDE)
        && let Ok(method) = Method::from_bytes(meant.as_bytes())
    {
        *request.method_mut() = method;
    }
    let mut response = next.run(request).await;
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(RESUMABLE, HeaderValue::from_static(VERSION));
    match status {
        StatusCode::PRECONDITION_FAILED => drop(headers.insert(VERSIONS, HeaderValue::from_static(VERSION))),
        StatusCode::PAYLOAD_TOO_LARGE => drop(headers.insert(MAX_SIZE, max_size.into())),
        _ => {}
    }
    response
}

/// The request speaks the version that is spoken here.
pub(crate) struct SameVersion;

impl<S: Send + Sync> FromRequestParts<S> for SameVersion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        check_version(&parts.headers).map(|()| Self)
    }
}

/// Whether the request speaks the version that is spoken here.
pub(crate) fn check_version(headers: &HeaderMap) -> Result<(), Problem> {
    match text(headers, &RESUMABLE)? {
        Some(VERSION) => Ok(()),
        None => Err(bad_header(&RESUMABLE, "it is missing, and names the version that the client speaks")),
        Some(other) => {
            let detail = format!("the header Tus-Resumable is {other:?}, and {VERSION} alone is spoken here");
            Err(Problem::new(StatusCode::PRECONDITION_FAILED, "other-tus-version", detail))
        }
    }
}

/// A number of bytes that a header tells.
pub(crate) fn bytes(headers: &HeaderMap, name: &HeaderName) -> Result<u64, Problem> {
    let digits = text(headers, name)?.ok_or_else(|| bad_header(name, "it is missing"))?;
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_plain).ok_or_else(|| bad_header(name, "it is not a number of bytes"))
}

/// How many bytes the upload will have, which has to be known.
pub(crate) fn length(headers: &HeaderMap) -> Result<u64, Problem> {
    if headers.contains_key(DEFER_LENGTH) {
        return Err(bad_header(&DEFER_LENGTH, "the length of an upload has to be known at its creation"));
    }
    bytes(headers, &LENGTH)
}

/// What the piece must sum up to, if the client says so.
pub(crate) fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, Problem> {
    let Some(value) = text(headers, &CHECKSUM)? else { return Ok(None) };
    let (algorithm, digest) = value.split_once(' ').ok_or_else(|| bad_header(&CHECKSUM, "it has no sum"))?;
    let algorithm = algorithm.parse().map_err(|reason: String| bad_header(&CHECKSUM, &reason))?;
    let digest = STANDARD.decode(digest).map_err(|error| bad_header(&CHECKSUM, &error.to_string()))?;
    Ok(Some(Checksum { algorithm, digest }))
}

/// An instant as the protocol writes it (RFC 9110).
pub(crate) fn http_date(instant: DateTime<Utc>) -> String {
    instant.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// What a client says of the upload that it creates.
pub(crate) struct Metadata {
    /// The table that it is for.
    pub(crate) table: TableRef,
    /// How its bytes are to be read.
    pub(crate) params: UploadParams,
    /// What is known of the body.
    pub(crate) body: UploadBody,
    /// The header as it was sent.
    pub(crate) note: String,
}

impl Metadata {
    /// What the header `Upload-Metadata` says.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let note =
            text(headers, &METADATA)?.ok_or_else(|| bad_header(&METADATA, "it is missing, and names the table"))?;
        let mut pairs = pairs(note)?;
        let mut take = |key: &str| {
            let found = pairs.iter().position(|(name, _)| name == key);
            found.map(|at| pairs.swap_remove(at).1).filter(|value| !value.is_empty())
        };
        let table = take("table").ok_or_else(|| bad_header(&METADATA, "it has no key table, namespace.table"))?;
        let table = table.parse().map_err(|error| Problem::bad_request("illegal-name", format!("{error}")))?;
        let body = UploadBody::announced(take("filetype"), take("filename"), take("content_encoding"));
        pairs.retain(|(key, _)| !NOTES.contains(&key.as_str()));
        Ok(Self { table, params: params(&pairs)?, body, note: note.to_owned() })
    }
}

/// The other keys are the parameters of an upload by one request.
fn params(pairs: &[(String, String)]) -> Result<UploadParams, Problem> {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let refused = |reason: String| bad_header(&METADATA, &reason);
    let uri: Uri = format!("/?{query}").parse().map_err(|error| refused(format!("{error}")))?;
    let query = axum::extract::Query::try_from_uri(&uri).map_err(|error| refused(error.body_text()))?;
    Ok(query.0)
}

fn pairs(note: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in note.split(',').map(|pair| pair.trim_matches(' ')) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let refused = |reason: &str| bad_header(&METADATA, &format!("the value of {key:?} {reason}"));
        let value = STANDARD.decode(value).map_err(|_| refused("is not Base64"))?;
        let value = String::from_utf8(value).map_err(|_| refused("is not UTF-8"))?;
        if key.is_empty() || pairs.iter().any(|(known, _)| known == key) {
            return Err(bad_header(&METADATA, &format!("the key {key:?} is empty or there twice")));
        }
        pairs.push((key.to_owned(), value));
    }
    Ok(pairs)
}

/// What is still known of an upload that has landed, as `Upload-Metadata`.
pub(crate) fn note_of(entry: &UploadEntry) -> String {
    let table = format!("table {}", STANDARD.encode(entry.table.to_string()));
    match &entry.file_name {
        Some(name) => format!("{table},filename {}", STANDARD.encode(name)),
        None => table,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let value = headers.get(name).map(HeaderValue::to_str).transpose();
    value.map_err(|_| bad_header(name, "it is not plain text"))
}

fn bad_header(name: &HeaderName, reason: &str) -> Problem {
    Problem::bad_request("bad-header", format!("the header {name} is not acceptable: {reason}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn headers(name: &HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.clone(), HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn metadata_name_the_table_and_how_the_bytes_are_read() {
        let value = "table bnljLmZsaWdodHM=, filename YS50c3YuZ3o=,filetype dGV4dC9jc3Y=,header ZmFsc2U=,relativePath";
        let metadata = Metadata::read(&headers(&METADATA, value)).unwrap();
        assert_eq!((metadata.table.to_string().as_str(), metadata.note.as_str()), ("nyc.flights", value));
        let options = metadata.params.options(&metadata.body).unwrap();
        assert_eq!((options.csv.delimiter, options.csv.header), (b'\t', false));
        assert_eq!(options.compression, sluice_domain::Compression::Gzip);
    }

    #[rstest]
    #[case("")]
    #[case("filename YQ==")]
    #[case("table")]
    #[case("table bnlj")]
    #[case("table bnljLmE=,table bnljLmE=")]
    #[case("table bnljLmE=,delimeter Ow==")]
    #[case("table bnljLmE=,header eWVz")]
    #[case("table bnljLmE=,filename *")]
    #[case("table bnljLmE=,filename //79")]
    #[case("table bnljLmE=,,")]
    fn metadata_that_mean_nothing_are_refused(#[case] value: &str) {
        assert!(Metadata::read(&headers(&METADATA, value)).is_err());
    }

    #[rstest]
    #[case("0", Some(0))]
    #[case("18446744073709551615", Some(u64::MAX))]
    #[case("18446744073709551616", None)]
    #[case("+1", None)]
    #[case("-1", None)]
    #[case("1.0", None)]
    #[case("", None)]
    fn a_number_of_bytes_has_digits_alone(#[case] value: &str, #[case] expected: Option<u64>) {
        assert_eq!(bytes(&headers(&OFFSET, value), &OFFSET).ok(), expected);
    }

    #[rstest]
    #[case("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", true)]
    #[case("sha1", false)]
    #[case("md5 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", false)]
    #[case("sha1 *", false)]
    fn a_sum_has_a_known_algorithm(#[case] value: &str, #[case] known: bool) {
        assert_eq!(checksum(&headers(&CHECKSUM, value)).is_ok(), known);
    }

    #[test]
    fn an_instant_is_written_as_http_does() {
        let instant = "1994-11-06T08:49:37.5Z".parse().unwrap();
        assert_eq!(http_date(instant), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
