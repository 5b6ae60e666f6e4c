//! Requests to S3 that clients make themselves, signed beforehand.
//!
//! Invariant: a signed request writes one object once: it is bound to the key, to `PUT`, and to there being no such
//! object yet, so that nobody changes with it what was taken already.
//! Invariant: a signed URL is a secret for as long as it works, and is never printed.

use std::{fmt, time::Duration};

use http::Method;
use object_store::{
    aws::{AmazonS3, AwsCredential},
    path::Path,
    signer::Signer as _,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use ring::hmac::{HMAC_SHA256, Key, sign};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::s3;
use crate::{S3Settings, StorageError};

/// What the client sends beside the bytes: the store refuses a second write.
const CONDITION: (&str, &str) = ("if-none-match", "*");
/// What is not encoded in the text that is signed.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const SIGNED_HEADERS: &str = "X-Amz-SignedHeaders";
const SIGNATURE: &str = "X-Amz-Signature";
const CREDENTIAL: &str = "X-Amz-Credential";
const DATE: &str = "X-Amz-Date";

/// Signs requests to the folder of a bucket.
pub struct Presigner {
    store: AmazonS3,
    folder: Path,
}

/// A signed request that puts one object.
#[derive(Clone, PartialEq, Eq)]
pub struct PresignedPut {
    /// Where to, signature included.
    pub url: Url,
    /// What must be sent beside the bytes, exactly so.
    pub headers: Vec<(&'static str, &'static str)>,
}

impl fmt::Debug for PresignedPut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresignedPut").field("path", &self.url.path()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Presigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presigner").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Presigner {
    /// The signer for the place at this location; none where it is not in S3.
    pub(crate) fn open(location: &str, settings: &S3Settings) -> Result<Option<Self>, StorageError> {
        match Url::parse(location) {
            Ok(url) if url.scheme() == "s3" => {
                let (store, folder) = s3::connect(&url, settings)?;
                Ok(Some(Self { store, folder }))
            }
            _ => Ok(None),
        }
    }

    /// Sign a request that puts the object of this path in the folder, and that works for so long.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] or [`StorageError::Refused`] where there is no access key to sign with.
    pub async fn put(&self, path: &Path, works_for: Duration) -> Result<PresignedPut, StorageError> {
        let whole: Path = self.folder.parts().chain(path.parts()).collect();
        let url = self.store.signed_url(Method::PUT, &whole, works_for).await?;
        let credential = self.store.credentials().get_credential().await?;
        let url = with_condition(url, &credential).ok_or_else(|| object_store::Error::Generic {
            store: "Presigner",
            source: "the store's own signature is not of the fourth version".into(),
        })?;
        Ok(PresignedPut { url, headers: vec![CONDITION] })
    }
}

/// The same request, signed anew with the condition: the library signs the host alone.
fn with_condition(mut url: Url, credential: &AwsCredential) -> Option<Url> {
    let signed_headers = format!("host;{}", CONDITION.0);
    let given = url.query_pairs().filter(|(name, _)| name != SIGNATURE);
    let mut pairs: Vec<(String, String)> = given.map(|(name, value)| (name.into(), value.into())).collect();
    let value = |pairs: &[(String, String)], name| {
        pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
    };
    pairs.iter_mut().find(|(name, _)| name == SIGNED_HEADERS)?.1.clone_from(&signed_headers);
    pairs.sort();
    let encode = |text: &str| percent_encode(text.as_bytes(), ENCODED).to_string();
    let encoded: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let query = encoded.join("&");
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let (condition, path) = (format!("{}:{}", CONDITION.0, CONDITION.1), url.path());
    let canonical = format!("PUT\n{path}\n{query}\nhost:{host}\n{condition}\n\n{signed_headers}\nUNSIGNED-PAYLOAD");
    let (scope, date) = (value(&pairs, CREDENTIAL)?, value(&pairs, DATE)?);
    let scope = scope.split_once('/')?.1;
    let hash = hex::encode(Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}");
    let secret = format!("AWS4{}", credential.secret_key).into_bytes();
    let key = scope.split('/').fold(secret, |key, part| hmac(&key, part));
    let signature = hex::encode(hmac(&key, &text));
    url.set_query(Some(&format!("{query}&{SIGNATURE}={signature}")));
    Some(url)
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presigner() -> Presigner {
        let settings = S3Settings {
            access_key_id: Some("AKIA-id".into()),
            secret_access_key: Some("hunter2".into()),
            session_token: Some("a/token+with=signs".into()),
            region: Some("eu-central-1".into()),
            ..S3Settings::default()
        };
        Presigner::open("s3://lake/a zone", &settings).unwrap().unwrap()
    }

    async fn signed(path: &str) -> PresignedPut {
        presigner().put(&Path::from(path), Duration::from_secs(900)).await.unwrap()
    }

    #[tokio::test]
    async fn a_signed_request_names_one_object_and_ends() {
        let put = signed("uploads/a/t/1.csv").await;
        assert!(put.url.path().ends_with("/a%20zone/uploads/a/t/1.csv"), "{}", put.url);
        let value = |name: &str| put.url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned();
        assert_eq!(value("X-Amz-Expires"), "900");
        assert_eq!(value(SIGNED_HEADERS), "host;if-none-match");
        assert_eq!(value("X-Amz-Security-Token"), "a/token+with=signs");
        assert_eq!(put.headers, [("if-none-match", "*")]);
        let parts = value(CREDENTIAL);
        assert!(parts.starts_with("AKIA-id/") && parts.ends_with("/eu-central-1/s3/aws4_request"), "{parts}");
    }

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of "Authenticating Requests: Using Query Parameters" in the S3 reference, with the condition; the
        // signature was computed with botocore's S3SigV4QueryAuth.
        let credential = AwsCredential {
            key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            token: None,
        };
        let url = Url::parse(
            "https://examplebucket.s3.amazonaws.com/a%20b/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\
             AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&\
             X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=00",
        )
        .unwrap();
        let url = with_condition(url, &credential).unwrap();
        let signature = url.query_pairs().find(|(name, _)| name == SIGNATURE).unwrap().1.into_owned();
        assert_eq!(signature, "f9b83987b1b08f2ea5a4d3863e93884acfebbbe623add5e27168134ace500f6b");
    }

    #[tokio::test]
    async fn a_signed_request_is_not_printed() {
        let text = format!("{:?} {:?}", signed("a").await, presigner());
        assert!(!text.contains("Signature") && !text.contains("hunter2") && !text.contains("token"), "{text}");
    }

    #[test]
    fn a_folder_of_this_machine_cannot_be_signed_for() {
        assert!(Presigner::open("file:///lake", &S3Settings::default()).unwrap().is_none());
    }
}
