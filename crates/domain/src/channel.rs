//! Channels: streams of rows that tell how far they are, so that they can be resumed without loss or repetition.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::TableRef;

/// The longest name of a channel, in characters.
const MAX_NAME_CHARS: usize = 128;

/// A name of a channel that is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "channel name {0:?} is not acceptable: use 1 to {MAX_NAME_CHARS} letters, digits, underscores, hyphens or dots, \
     and a letter, digit or underscore first"
)]
pub struct ChannelNameError(String);

/// The name of a channel within its table. Case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChannelName(String);

impl ChannelName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChannelName {
    type Err = ChannelNameError;
    fn from_str(text: &str) -> Result<Self, ChannelNameError> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if first && plain && text.len() <= MAX_NAME_CHARS {
            Ok(Self(text.to_owned()))
        } else {
            Err(ChannelNameError(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for ChannelName {
    type Error = ChannelNameError;
    fn try_from(text: String) -> Result<Self, ChannelNameError> {
        text.parse()
    }
}

impl From<ChannelName> for String {
    fn from(name: ChannelName) -> String {
        name.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a channel: another one after the channel was dropped and opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub Uuid);

impl ChannelId {
    /// The name under which the table's log keeps how far the channel is.
    pub fn app_id(&self) -> String {
        format!("sluice:channel:{}", self.0)
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A channel as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The id.
    pub id: ChannelId,
    /// The table that its rows go into.
    pub table: TableRef,
    /// The name.
    pub name: ChannelName,
    /// How often it was opened: who presents an older number was fenced off by a later opener.
    pub epoch: i64,
    /// Who opened it last.
    pub principal: String,
    /// When.
    pub opened_at: DateTime<Utc>,
}

/// Where a request gets its channel to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelOffset {
    /// The channel.
    pub channel: ChannelId,
    /// The epoch in which the channel was found.
    pub epoch: i64,
    /// The offset of the request's last row.
    pub offset: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_named_plainly() {
        for name in ["a", "sensor-7.eu_1", "7", &"x".repeat(128)] {
            assert!(name.parse::<ChannelName>().is_ok(), "{name:?} was refused");
        }
        for name in ["", ".", "..", "-a", "a/b", "a b", "é", "a\0", &"x".repeat(129)] {
            assert!(name.parse::<ChannelName>().is_err(), "{name:?} was accepted");
        }
    }
}
