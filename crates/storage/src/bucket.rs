//! What is asked of a bucket beside its objects' bytes: its lifecycle configuration, and the classes of its objects.
//!
//! Invariant: rules of others are kept, and a configuration counts as written when it was read back so.
//! Invariant: a class changes by a copy within the store; the object is whole before and after.

mod client;
mod rules;

use std::fmt;

use aws_sdk_s3::{
    Client,
    error::{BuildError, DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::{MetadataDirective, TransitionDefaultMinimumObjectSize},
};
use object_store::path::Path;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sluice_domain::StorageClass;
use url::Url;

use crate::{S3Settings, StorageError, stores::s3};

pub use rules::{BucketRule, BucketRules};

/// Objects beyond this size cannot be copied at once, in bytes.
pub const MAX_COPY_BYTES: u64 = 5 << 30;
/// What stays as it is in the name of a copy's source.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A bucket, and a folder of it.
pub struct Bucket {
    name: String,
    folder: Path,
    client: Client,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("name", &self.name).field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The configuration as it is, and what goes with it.
#[derive(Default)]
struct Configuration {
    rules: BucketRules,
    /// The size below which S3 leaves objects where they are; what is set is kept.
    minimum_size: Option<TransitionDefaultMinimumObjectSize>,
}

impl Bucket {
    /// The bucket of this location; none where it is not in S3.
    pub(crate) fn open(location: &str, settings: &S3Settings) -> Result<Option<Self>, StorageError> {
        let Some(url) = Url::parse(location).ok().filter(|url| url.scheme() == "s3") else { return Ok(None) };
        let (store, folder) = s3::connect(&url, settings)?;
        let name = url.host_str().unwrap_or_default().to_owned();
        Ok(Some(Self { name, folder, client: client::client(&store, settings) }))
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
        if configuration.rules.find(&rule.id).as_ref() == Some(rule) {
            return Ok(());
        }
        let wanted = configuration.rules.with(rule).map_err(unbuilt)?;
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
        let asked = self.client.head_object().bucket(&self.name).key(self.key(path)).send().await;
        let head = asked.map_err(|error| failed(path.as_ref(), error))?;
        // STANDARD is not told. A class that is not known here is none of those that are archived here.
        Ok(head.storage_class().and_then(|class| class.as_str().parse().ok()).unwrap_or_default())
    }

    /// Give the object at this path of the folder a class; one that has it already is left as it is.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::Refused`] for more than [`MAX_COPY_BYTES`], or the store's.
    pub async fn set_class(&self, path: &Path, class: StorageClass) -> Result<(), StorageError> {
        if self.class_of(path).await? == class {
            return Ok(());
        }
        let key = self.key(path);
        let source = format!("{}/{}", self.name, percent_encode(key.as_bytes(), PLAIN));
        let copy = self.client.copy_object().bucket(&self.name).key(key).copy_source(source);
        let copy = copy.metadata_directive(MetadataDirective::Copy).storage_class(class.as_str().into());
        copy.send().await.map_err(|error| failed(path.as_ref(), error))?;
        Ok(())
    }

    async fn configuration(&self) -> Result<Configuration, StorageError> {
        match self.client.get_bucket_lifecycle_configuration().bucket(&self.name).send().await {
            Ok(found) => Ok(Configuration {
                minimum_size: found.transition_default_minimum_object_size,
                rules: BucketRules::new(found.rules.unwrap_or_default()),
            }),
            Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Ok(Configuration::default()),
            Err(error) => Err(failed(&self.name, error)),
        }
    }

    async fn write(
        &self,
        wanted: &BucketRules,
        minimum_size: Option<TransitionDefaultMinimumObjectSize>,
    ) -> Result<(), StorageError> {
        if wanted.is_empty() {
            let gone = self.client.delete_bucket_lifecycle().bucket(&self.name).send().await;
            gone.map_err(|error| failed(&self.name, error))?;
        } else {
            let put = self.client.put_bucket_lifecycle_configuration().bucket(&self.name);
            let put = put.lifecycle_configuration(wanted.to_configuration().map_err(unbuilt)?);
            let put = put.set_transition_default_minimum_object_size(minimum_size);
            put.send().await.map_err(|error| failed(&self.name, error))?;
        }
        // The store has no condition for this: whoever wrote at the same time is seen by reading.
        if self.rules().await?.says_the_same(wanted) {
            return Ok(());
        }
        Err(unavailable("the bucket's lifecycle configuration is not what was just written"))
    }

    fn key(&self, path: &Path) -> String {
        self.folder.parts().chain(path.parts()).collect::<Path>().into()
    }
}

/// What the store said to a request about this object or bucket.
fn failed<E>(path: &str, error: SdkError<E>) -> StorageError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let told = DisplayErrorContext(&error).to_string();
    match error.raw_response().map(|answer| answer.status().as_u16()) {
        Some(404) => StorageError::NotFound { path: path.to_owned() },
        Some(status @ 400..500) if status != 429 => {
            StorageError::Refused { source: object_store::Error::NotSupported { source: told.into() } }
        }
        _ => unavailable(told),
    }
}

fn unbuilt(error: BuildError) -> StorageError {
    unavailable(error)
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

    #[test]
    fn keys_lie_below_the_folder_and_no_secret_is_shown() {
        let settings = S3Settings {
            access_key_id: Some("id".into()),
            secret_access_key: Some("hunter2".into()),
            ..S3Settings::default()
        };
        let bucket = Bucket::open("s3://lake/a zone", &settings).unwrap().unwrap();
        assert_eq!((bucket.name(), bucket.key(&Path::from("uploads/1.csv"))), ("lake", "a zone/uploads/1.csv".into()));
        assert!(!format!("{bucket:?}").contains("hunter2") && !format!("{:?}", bucket.client).contains("hunter2"));
    }
}
