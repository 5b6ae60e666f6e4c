//! What is asked of a bucket beside its objects' bytes: its lifecycle configuration, and the classes of its objects.
//!
//! The store's library signs and sends; it has no calls for these.
//!
//! Invariant: rules of others are kept byte for byte, and a configuration counts as written when it was read back so.
//! Invariant: a class changes by a copy within the store; the object is whole before and after.

mod document;

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use object_store::{
    ClientOptions,
    aws::{AmazonS3, AwsAuthorizer},
    client::{HttpClient, HttpConnector as _, HttpRequest, HttpRequestBody, ReqwestConnector},
    path::Path,
    signer::Signer as _,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sha2::{Digest as _, Sha256};
use sluice_domain::StorageClass;
use url::Url;

use crate::{S3Settings, StorageError, stores::s3};

pub use document::{BucketRule, BucketRules};

/// Objects beyond this size cannot be copied at once, in bytes.
pub const MAX_COPY_BYTES: u64 = 5 << 30;
/// The longest answer that is read, in bytes: a configuration has a thousand rules at the most.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// The size below which S3 leaves objects where they are; what is set is kept.
const MINIMUM_SIZE: HeaderName = HeaderName::from_static("x-amz-transition-default-minimum-object-size");
const STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
/// What stays as it is in the name of a copy's source.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A bucket, and a folder of it.
pub struct Bucket {
    name: String,
    store: AmazonS3,
    folder: Path,
    region: String,
    http: HttpClient,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.name).field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The configuration as it is, and what goes with it.
struct Configuration {
    rules: BucketRules,
    minimum_size: Option<HeaderValue>,
}

/// An answer that was read whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Bucket {
    /// The bucket of this location; none where it is not in S3.
    pub(crate) fn open(location: &str, settings: &S3Settings) -> Result<Option<Self>, StorageError> {
        let Some(url) = Url::parse(location).ok().filter(|url| url.scheme() == "s3") else { return Ok(None) };
        let (store, folder) = s3::connect(&url, settings)?;
        let timeouts = &settings.timeouts;
        let options = ClientOptions::new()
            .with_allow_http(settings.allow_http)
            .with_connect_timeout(std::time::Duration::from_secs(timeouts.connect_seconds))
            .with_timeout(std::time::Duration::from_secs(timeouts.request_seconds));
        let http = ReqwestConnector::default().connect(&options)?;
        let name = url.host_str().unwrap_or_default().to_owned();
        Ok(Some(Self { name, store, folder, region: s3::region(settings), http }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rules of its lifecycle configuration.
    ///
    /// # Errors
    /// The store's.
    pub async fn rules(&self) -> Result<BucketRules, StorageError> {
        Ok(self.configuration().await?.rules)
    }

    /// Make this a rule, in the place of the one with its id; nothing is written where it is one already.
    ///
    /// # Errors
    /// The store's; [`StorageError::Unavailable`] where others wrote at the same time, and a later try may succeed.
    pub async fn set_rule(&self, rule: &BucketRule) -> Result<(), StorageError> {
        let configuration = self.configuration().await?;
        if configuration.rules.find(&rule.id) == Some(rule) {
            return Ok(());
        }
        let wanted = configuration.rules.with(rule);
        self.write(&wanted, configuration.minimum_size).await
    }

    /// Take the rule with this id away, where there is one.
    ///
    /// # Errors
    /// As [`Self::set_rule`].
    pub async fn remove_rule(&self, id: &str) -> Result<(), StorageError> {
        let configuration = self.configuration().await?;
        match configuration.rules.without(id) {
            Some(wanted) => self.write(&wanted, configuration.minimum_size).await,
            None => Ok(()),
        }
    }

    /// The class of the object at this path of the folder.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], or the store's.
    pub async fn class_of(&self, path: &Path) -> Result<StorageClass, StorageError> {
        let answer = self.send(Method::HEAD, self.url_of(path).await?, &[], Bytes::new()).await?;
        let answer = checked(answer, path.as_ref())?;
        let class = answer.headers.get(STORAGE_CLASS).and_then(|class| class.to_str().ok());
        // STANDARD is not told. A class that is not known here is none of those that are archived here.
        Ok(class.and_then(|class| class.parse().ok()).unwrap_or_default())
    }

    /// Give the object at this path of the folder a class; one that has it already is left as it is.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::Refused`] for more than [`MAX_COPY_BYTES`], or the store's.
    pub async fn set_class(&self, path: &Path, class: StorageClass) -> Result<(), StorageError> {
        if self.class_of(path).await? == class {
            return Ok(());
        }
        let key: Path = self.folder.parts().chain(path.parts()).collect();
        let source = format!("/{}/{}", self.name, percent_encode(key.as_ref().as_bytes(), PLAIN));
        let headers = [
            (HeaderName::from_static("x-amz-copy-source"), source),
            (HeaderName::from_static("x-amz-metadata-directive"), "COPY".to_owned()),
            (STORAGE_CLASS, class.as_str().to_owned()),
        ];
        let answer = self.send(Method::PUT, self.url_of(path).await?, &headers, Bytes::new()).await?;
        let answer = checked(answer, path.as_ref())?;
        // A copy that fails late has a status of success, and says so in its body.
        if document::error_code(&answer.body).is_some() {
            return Err(failed(&answer));
        }
        Ok(())
    }

    async fn configuration(&self) -> Result<Configuration, StorageError> {
        let answer = self.send(Method::GET, self.lifecycle_url().await?, &[], Bytes::new()).await?;
        if answer.status == StatusCode::NOT_FOUND
            && document::error_code(&answer.body).is_some_and(|code| code == "NoSuchLifecycleConfiguration")
        {
            return Ok(Configuration { rules: BucketRules::default(), minimum_size: None });
        }
        let answer = checked(answer, &self.name)?;
        let rules =
            BucketRules::parse(&answer.body).map_err(|reason| generic(format!("lifecycle configuration: {reason}")))?;
        Ok(Configuration { rules, minimum_size: answer.headers.get(MINIMUM_SIZE).cloned() })
    }

    async fn write(&self, wanted: &BucketRules, minimum_size: Option<HeaderValue>) -> Result<(), StorageError> {
        let url = self.lifecycle_url().await?;
        let answer = if wanted.is_empty() {
            self.send(Method::DELETE, url, &[], Bytes::new()).await?
        } else {
            let body = Bytes::from(wanted.to_document());
            let minimum = minimum_size.as_ref().and_then(|size| size.to_str().ok()).map(str::to_owned);
            let mut headers = vec![
                (HeaderName::from_static("x-amz-checksum-sha256"), STANDARD.encode(Sha256::digest(&body))),
                (HeaderName::from_static("content-type"), "application/xml".to_owned()),
            ];
            headers.extend(minimum.map(|size| (MINIMUM_SIZE, size)));
            self.send(Method::PUT, url, &headers, body).await?
        };
        checked(answer, &self.name)?;
        // The store has no condition for this: whoever wrote at the same time is seen by reading.
        if self.rules().await?.says_the_same(wanted) {
            return Ok(());
        }
        Err(generic("the bucket's lifecycle configuration is not what was just written".to_owned()))
    }

    async fn lifecycle_url(&self) -> Result<Url, StorageError> {
        let mut url = self.plain_url(&Path::default()).await?;
        url.set_query(Some("lifecycle="));
        Ok(url)
    }

    async fn url_of(&self, path: &Path) -> Result<Url, StorageError> {
        self.plain_url(&self.folder.parts().chain(path.parts()).collect()).await
    }

    /// The URL of a key: the library tells it with a signature only.
    async fn plain_url(&self, key: &Path) -> Result<Url, StorageError> {
        let mut url = self.store.signed_url(Method::GET, key, std::time::Duration::from_secs(1)).await?;
        url.set_query(None);
        Ok(url)
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        headers: &[(HeaderName, String)],
        body: Bytes,
    ) -> Result<Answer, StorageError> {
        let mut request = HttpRequest::new(HttpRequestBody::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().map_err(|error| generic(format!("{error}")))?;
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|error| generic(error.to_string()))?;
            request.headers_mut().insert(name, value);
        }
        let credential = self.store.credentials().get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let answer = self.http.execute(request).await.map_err(unavailable)?;
        let (parts, body) = answer.into_parts();
        let (mut pieces, mut whole) = (body.bytes_stream(), BytesMut::new());
        while let Some(piece) = pieces.next().await {
            whole.extend_from_slice(&piece.map_err(unavailable)?);
            if whole.len() > MAX_ANSWER_BYTES {
                return Err(generic(format!("an answer has more than {MAX_ANSWER_BYTES} bytes")));
            }
        }
        Ok(Answer { status: parts.status, headers: parts.headers, body: whole.freeze() })
    }
}

/// Whether the object store is one in which this is a bucket at all.
fn checked(answer: Answer, path: &str) -> Result<Answer, StorageError> {
    match answer.status {
        status if status.is_success() => Ok(answer),
        StatusCode::NOT_FOUND => Err(StorageError::NotFound { path: path.to_owned() }),
        status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            let source = object_store::Error::NotSupported { source: told(&answer).into() };
            Err(StorageError::Refused { source })
        }
        _ => Err(failed(&answer)),
    }
}

fn failed(answer: &Answer) -> StorageError {
    generic(told(answer))
}

fn told(answer: &Answer) -> String {
    let code = document::error_code(&answer.body).unwrap_or_default();
    format!("S3 answers {} {code}", answer.status)
}

fn generic(reason: String) -> StorageError {
    unavailable(reason)
}

fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StorageError {
    object_store::Error::Generic { store: "S3", source: source.into() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_this_machine_is_no_bucket() {
        assert!(Bucket::open("file:///lake", &S3Settings::default()).unwrap().is_none());
    }

    #[tokio::test]
    async fn the_configuration_is_that_of_the_whole_bucket_and_no_signature_is_left_in_its_url() {
        let settings = S3Settings {
            access_key_id: Some("id".into()),
            secret_access_key: Some("hunter2".into()),
            ..S3Settings::default()
        };
        let bucket = Bucket::open("s3://lake/a zone", &settings).unwrap().unwrap();
        let url = bucket.lifecycle_url().await.unwrap();
        assert!(url.path().ends_with("/lake/") && url.query() == Some("lifecycle="), "{url}");
        let url = bucket.url_of(&Path::from("uploads/1.csv")).await.unwrap();
        assert!(url.path().ends_with("/lake/a%20zone/uploads/1.csv") && url.query().is_none(), "{url}");
        assert!(!format!("{bucket:?}").contains("hunter2"));
    }
}
