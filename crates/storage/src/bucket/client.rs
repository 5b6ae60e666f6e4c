//! The SDK's client for the place, the credentials and the limits that the object store has.

use std::time::Duration;

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use aws_sdk_s3::{
    Client,
    config::{Builder, IdentityCache, Region, retry::RetryConfig, timeout::TimeoutConfig},
};
use object_store::aws::{AmazonS3, AwsCredentialProvider};

use crate::{S3Settings, stores::s3};

/// Where credentials come from, as the SDK names it in its messages.
const PROVIDER: &str = "object_store";

/// The credentials of the object store, which keeps and renews them.
#[derive(Debug)]
struct OfStore(AwsCredentialProvider);

impl ProvideCredentials for OfStore {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let found = self.0.get_credential().await.map_err(CredentialsError::provider_error)?;
            Ok(Credentials::new(&found.key_id, &found.secret_key, found.token.clone(), None, PROVIDER))
        })
    }
}

/// A client for the store's buckets.
pub(super) fn client(store: &AmazonS3, settings: &S3Settings) -> Client {
    let limits = &settings.timeouts;
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(limits.connect_seconds))
        .operation_attempt_timeout(Duration::from_secs(limits.request_seconds))
        .build();
    let tries = u32::try_from(limits.retries).unwrap_or(u32::MAX).saturating_add(1);
    let address = s3::address(settings);
    let mut config = Builder::new();
    config.set_endpoint_url(address.endpoint);
    let config = config
        .behavior_version_latest()
        .region(Region::new(address.region))
        .force_path_style(!address.virtual_hosted_style)
        .credentials_provider(OfStore(store.credentials().clone()))
        // The store's provider keeps them as long as they hold.
        .identity_cache(IdentityCache::no_cache())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(tries));
    Client::from_conf(config.build())
}
