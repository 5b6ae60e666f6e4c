//! Who is asking: everybody where there is no authentication, or the holder of a static bearer key.
//!
//! Invariant: keys are stored and compared as digests, every one of them on each request, in constant time.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{StatusCode, header, request::Parts},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sluice_domain::{Action, Caller, NamespaceName};
use subtle::ConstantTimeEq as _;

use crate::problem::Problem;

/// Who may use the server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// `none`: everybody who reaches the server, which then listens on loopback addresses only. `keys`: the holders
    /// of the keys. Default: `keys` where there are keys, otherwise `none`.
    pub mode: Option<AuthMode>,
    /// The bearer keys.
    pub keys: Vec<KeySettings>,
}

/// How callers are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Not at all.
    None,
    /// By the bearer key that they present.
    Keys,
}

/// One bearer key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// The caller's name.
    pub name: String,
    /// SHA-256 of the secret, in hexadecimal. The secret is random, so no slow hash is needed.
    pub secret_sha256: String,
    /// What the caller may do: `read`, `append`, `manage`.
    pub actions: Vec<Action>,
    /// The namespaces that exist for the caller. Default: all.
    #[serde(default)]
    pub namespaces: Option<Vec<String>>,
}

/// Settings that make no sense.
#[derive(Debug, thiserror::Error)]
pub enum AuthSettingsError {
    /// The mode needs keys, and there are none, or the other way round.
    #[error("auth.mode is {mode}, which does not go with {keys} keys")]
    WrongMode {
        /// The mode.
        mode: &'static str,
        /// How many keys there are.
        keys: usize,
    },
    /// A digest that is none.
    #[error("auth key {name}: secret_sha256 is not 64 hexadecimal digits")]
    BadDigest {
        /// The key's name.
        name: String,
    },
    /// The digest of no secret at all.
    #[error("auth key {name}: its secret is empty")]
    EmptySecret {
        /// The key's name.
        name: String,
    },
    /// Two keys with one secret: nobody could say who is asking.
    #[error("auth key {name}: another key has the same secret")]
    SameSecret {
        /// The key's name.
        name: String,
    },
    /// A namespace that cannot be.
    #[error("auth key {name}: {source}")]
    BadNamespace {
        /// The key's name.
        name: String,
        /// What is wrong with it.
        source: sluice_domain::NameError,
    },
}

/// Tells callers apart.
#[derive(Debug)]
pub enum Authenticator {
    /// Everybody may do everything.
    Open,
    /// The holders of these keys may do what stands there.
    Keys(Vec<Key>),
}

/// A key and whom it stands for.
#[derive(Debug)]
pub struct Key {
    digest: [u8; 32],
    caller: Caller,
}

impl Authenticator {
    /// The authenticator of these settings.
    ///
    /// # Errors
    /// [`AuthSettingsError`].
    pub fn new(settings: &AuthSettings) -> Result<Self, AuthSettingsError> {
        let keys = settings.keys.len();
        match (settings.mode, keys) {
            (None | Some(AuthMode::None), 0) => Ok(Self::Open),
            (Some(AuthMode::None), _) => Err(AuthSettingsError::WrongMode { mode: "none", keys }),
            (Some(AuthMode::Keys), 0) => Err(AuthSettingsError::WrongMode { mode: "keys", keys }),
            (None | Some(AuthMode::Keys), _) => {
                let keys = settings.keys.iter().map(Key::new).collect::<Result<Vec<_>, _>>()?;
                for (at, key) in keys.iter().enumerate() {
                    if keys[..at].iter().any(|other| other.digest == key.digest) {
                        return Err(AuthSettingsError::SameSecret { name: key.caller.name.clone() });
                    }
                }
                Ok(Self::Keys(keys))
            }
        }
    }

    /// Whether everybody is let in.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    fn find_caller(&self, authorization: Option<&str>) -> Option<Caller> {
        let keys = match self {
            Self::Open => return Some(Caller::unrestricted("anonymous")),
            Self::Keys(keys) => keys,
        };
        let (scheme, secret) = authorization?.split_once(' ')?;
        let digest: [u8; 32] = Sha256::digest(secret.trim()).into();
        let mut found = None;
        for key in keys {
            if bool::from(key.digest.ct_eq(&digest)) {
                found = Some(&key.caller);
            }
        }
        found.filter(|_| scheme.eq_ignore_ascii_case("bearer")).cloned()
    }
}

impl Key {
    fn new(settings: &KeySettings) -> Result<Self, AuthSettingsError> {
        let name = settings.name.clone();
        let mut digest = [0; 32];
        hex::decode_to_slice(&settings.secret_sha256, &mut digest)
            .map_err(|_| AuthSettingsError::BadDigest { name: name.clone() })?;
        if digest == <[u8; 32]>::from(Sha256::digest("")) {
            return Err(AuthSettingsError::EmptySecret { name });
        }
        let parse = |text: &String| {
            text.parse().map_err(|source| AuthSettingsError::BadNamespace { name: name.clone(), source })
        };
        let namespaces: Option<Vec<NamespaceName>> =
            settings.namespaces.as_ref().map(|names| names.iter().map(parse).collect()).transpose()?;
        let caller = Caller { name: name.clone(), actions: settings.actions.clone(), namespaces };
        Ok(Self { digest, caller })
    }
}

/// The caller of a request.
pub(crate) struct Authenticated(pub(crate) Caller);

impl<S> FromRequestParts<S> for Authenticated
where
    S: Send + Sync,
    std::sync::Arc<Authenticator>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let authenticator = std::sync::Arc::<Authenticator>::from_ref(state);
        let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        authenticator
            .find_caller(authorization)
            .map(Self)
            .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "a valid bearer key is needed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Authenticator {
        let key = KeySettings {
            name: "loader".into(),
            secret_sha256: hex::encode(Sha256::digest("open sesame")),
            actions: vec![Action::Append],
            namespaces: Some(vec!["nyc".into()]),
        };
        Authenticator::new(&AuthSettings { mode: None, keys: vec![key] }).unwrap()
    }

    #[test]
    fn only_the_holder_of_a_key_is_let_in() {
        let keys = keys();
        assert_eq!(keys.find_caller(Some("Bearer open sesame")).unwrap().name, "loader");
        for header in [None, Some(""), Some("Bearer"), Some("Bearer open sesam"), Some("Basic open sesame")] {
            assert!(keys.find_caller(header).is_none(), "{header:?} was let in");
        }
    }

    #[test]
    fn a_secret_is_somebodys_and_not_empty() {
        let key = |name: &str, secret: &str| KeySettings {
            name: name.into(),
            secret_sha256: hex::encode(Sha256::digest(secret)),
            actions: Vec::new(),
            namespaces: None,
        };
        let twins = AuthSettings { mode: None, keys: vec![key("a", "x"), key("b", "x")] };
        assert!(matches!(Authenticator::new(&twins), Err(AuthSettingsError::SameSecret { name }) if name == "b"));
        let empty = AuthSettings { mode: None, keys: vec![key("a", "")] };
        assert!(matches!(Authenticator::new(&empty), Err(AuthSettingsError::EmptySecret { .. })));
    }

    #[test]
    fn a_mode_that_does_not_go_with_the_keys_is_refused() {
        let settings = AuthSettings { mode: Some(AuthMode::Keys), keys: Vec::new() };
        assert!(Authenticator::new(&settings).is_err());
        let key = KeySettings { name: "x".into(), secret_sha256: "abc".into(), actions: Vec::new(), namespaces: None };
        let broken = AuthSettings { mode: None, keys: vec![key.clone()] };
        assert!(matches!(Authenticator::new(&broken), Err(AuthSettingsError::BadDigest { .. })));
        let open = AuthSettings { mode: Some(AuthMode::None), keys: vec![key] };
        assert!(matches!(Authenticator::new(&open), Err(AuthSettingsError::WrongMode { .. })));
    }
}
