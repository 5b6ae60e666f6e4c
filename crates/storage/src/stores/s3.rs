//! S3 and compatible stores.
//!
//! Invariant: put-if-absent is the store's own `If-None-Match`, whatever the environment says.

use std::{sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientConfigKey, RetryConfig, StaticCredentialProvider,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, S3ConditionalPut, S3CopyIfNotExists},
    path::Path,
};
use url::Url;

use super::{Opened, bad_location, join};
use crate::{S3Settings, S3Timeouts, StorageError};

/// Where buckets are that say nothing of it.
const DEFAULT_REGION: &str = "us-east-1";
/// The longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// Open the bucket of `s3://bucket/folder`.
pub(super) fn open(url: &Url, settings: &S3Settings) -> Result<Opened, StorageError> {
    let (store, path) = connect(url, settings)?;
    let mut bucket_url = url.clone();
    bucket_url.set_path("/");
    Ok(Opened { url: join(&bucket_url, &path, true), root: Arc::new(store), path })
}

/// The store of the bucket, and the folder in it.
pub(crate) fn connect(url: &Url, settings: &S3Settings) -> Result<(AmazonS3, Path), StorageError> {
    let bucket = url.host_str().filter(|bucket| !bucket.is_empty() && url.port().is_none());
    let bucket = bucket.ok_or_else(|| bad_location(url.as_str(), "it names no bucket"))?;
    let path = Path::from_url_path(url.path()).map_err(|error| bad_location(url.as_str(), error.to_string()))?;
    let builder = builder(bucket, settings).map_err(|reason| bad_location(url.as_str(), reason))?;
    let store = builder.build().map_err(|error| bad_location(url.as_str(), error.to_string()))?;
    Ok((store, path))
}

/// Where buckets are found, and for which region requests are signed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) region: String,
    /// None for the region's own.
    pub(crate) endpoint: Option<String>,
    /// Whether the bucket is a part of the host's name.
    pub(crate) virtual_hosted_style: bool,
}

/// The address that the settings and the environment give.
pub(crate) fn address(settings: &S3Settings) -> Address {
    let variables = from_variables(settings);
    let told = |key| variables.get_config_value(&key);
    let endpoint = || told(AmazonS3ConfigKey::S3Endpoint).or_else(|| told(AmazonS3ConfigKey::Endpoint));
    let region = settings.region.clone().or_else(|| told(AmazonS3ConfigKey::Region));
    let is_virtual = told(AmazonS3ConfigKey::VirtualHostedStyleRequest).is_some_and(|value| value == "true");
    Address {
        region: region.unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        endpoint: settings.endpoint.clone().or_else(endpoint),
        virtual_hosted_style: settings.virtual_hosted_style || is_virtual,
    }
}

fn builder(bucket: &str, settings: &S3Settings) -> Result<AmazonS3Builder, &'static str> {
    let timeouts = &settings.timeouts;
    let mut builder = from_variables(settings)
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), seconds(timeouts.connect_seconds))
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), seconds(timeouts.request_seconds))
        .with_retry(retries(timeouts));
    if let Some(endpoint) = &settings.endpoint {
        // The variable AWS_ENDPOINT_URL_S3 wins over the plain endpoint, so the setting takes its place.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if settings.allow_http {
        builder = builder.with_allow_http(true);
    }
    if settings.virtual_hosted_style {
        builder = builder.with_virtual_hosted_style_request(true);
    }
    if settings.endpoint.as_deref().is_some_and(|url| url.starts_with("http:")) && !http_is_allowed(&builder) {
        return Err("its endpoint is without TLS, which allow_http does not permit");
    }
    match credential(settings)? {
        Some(credential) => Ok(builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)))),
        None => Ok(builder),
    }
}

/// As [`AmazonS3Builder::from_env`], with the variables of the settings besides.
fn from_variables(settings: &S3Settings) -> AmazonS3Builder {
    let known =
        settings.variables.iter().filter_map(|(key, value)| Some((key.to_ascii_lowercase().parse().ok()?, value)));
    known.fold(AmazonS3Builder::from_env(), |builder, (key, value)| builder.with_config(key, value))
}

fn http_is_allowed(builder: &AmazonS3Builder) -> bool {
    let key = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
    builder.get_config_value(&key).is_some_and(|value| value == "true" || value == "1")
}

/// The access key of the settings, whole: half of one is never completed from the environment.
fn credential(settings: &S3Settings) -> Result<Option<AwsCredential>, &'static str> {
    match (&settings.access_key_id, &settings.secret_access_key) {
        (Some(key_id), Some(secret_key)) => Ok(Some(AwsCredential {
            key_id: key_id.clone(),
            secret_key: secret_key.clone(),
            token: settings.session_token.clone(),
        })),
        (None, None) if settings.session_token.is_none() => Ok(None),
        _ => Err("access_key_id and secret_access_key must be set together"),
    }
}

/// A time as the client's configuration reads it.
fn seconds(seconds: u64) -> String {
    format!("{seconds} seconds")
}

fn retries(timeouts: &S3Timeouts) -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: LONGEST_BACKOFF, ..BackoffConfig::default() };
    let retry_timeout = Duration::from_secs(timeouts.retry_seconds);
    RetryConfig { backoff, max_retries: timeouts.retries, retry_timeout }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_key() -> S3Settings {
        S3Settings {
            access_key_id: Some("id".into()),
            secret_access_key: Some("hunter2".into()),
            ..S3Settings::default()
        }
    }

    fn open(text: &str, settings: &S3Settings) -> Result<Opened, StorageError> {
        super::open(&Url::parse(text).unwrap(), settings)
    }

    #[test]
    fn the_folder_and_the_url_agree() {
        for (text, path, url) in [
            ("s3://lake", "", "s3://lake/"),
            ("s3://lake/a/b", "a/b", "s3://lake/a/b/"),
            ("s3://lake/a%20b/", "a b", "s3://lake/a%20b/"),
        ] {
            let opened = open(text, &with_key()).unwrap();
            assert_eq!((opened.path.as_ref(), opened.url.as_str()), (path, url));
        }
    }

    #[test]
    fn half_an_access_key_is_refused() {
        let settings = S3Settings { access_key_id: None, ..with_key() };
        let text = open("s3://lake", &settings).unwrap_err().to_string();
        assert!(text.contains("set together") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn the_address_is_that_of_the_settings_before_that_of_the_variables() {
        let variables = [("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_REGION", "eu-west-1")];
        let variables = variables.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let settings = S3Settings { variables, ..with_key() };
        let told = address(&settings);
        assert_eq!((told.endpoint.as_deref(), told.region.as_str()), (Some("http://a:1"), "eu-west-1"));
        let endpoint = Some("http://b:2".to_owned());
        let own = address(&S3Settings { endpoint, virtual_hosted_style: true, ..settings });
        assert_eq!((own.endpoint.as_deref(), own.virtual_hosted_style), (Some("http://b:2"), true));
    }

    #[test]
    fn an_endpoint_without_tls_must_be_allowed() {
        let endpoint = Some("http://127.0.0.1:4566".to_owned());
        let settings = S3Settings { endpoint, ..with_key() };
        assert!(open("s3://lake", &settings).is_err());
        open("s3://lake", &S3Settings { allow_http: true, ..settings }).unwrap();
    }
}
