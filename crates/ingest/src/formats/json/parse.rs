//! One record's text as a value.

use std::{borrow::Cow, collections::HashSet};

use jiter::{Jiter, JiterError, Peek};

use super::records::Records;
use crate::{
    columns::Value,
    decode_error::{DecodeError, shortened},
};

/// The most values of one record: what keeps a record of brackets from filling the memory.
const MAX_VALUES: usize = 1 << 20;
/// Up to this many keys are compared with one another; more are hashed.
const FEW_KEYS: usize = 8;

/// What is wrong with a record, without its place.
#[derive(Debug, PartialEq)]
pub(super) enum BadRecord {
    Malformed(String),
    TooDeep { limit: usize },
    TooManyColumns { limit: usize },
}

impl BadRecord {
    /// The error, with the place.
    pub(super) fn at(self, records: &Records) -> DecodeError {
        match self {
            Self::Malformed(reason) => records.malformed(&reason),
            Self::TooDeep { limit } => DecodeError::TooDeep { limit, line: Some(records.line()) },
            Self::TooManyColumns { limit } => DecodeError::TooManyColumns { limit },
        }
    }
}

impl From<JiterError> for BadRecord {
    fn from(error: JiterError) -> Self {
        Self::Malformed(format!("{} at byte {} of the record", error.error_type, error.index + 1))
    }
}

/// The value of a whole text. Strings that are one of `null_values` are null.
pub(super) fn parse<'r>(text: &'r str, null_values: &[String], depth: usize) -> Result<Value<'r>, BadRecord> {
    let mut parser = Parser { text, jiter: Jiter::new(text.as_bytes()), null_values, depth, values_left: MAX_VALUES };
    let first = parser.jiter.peek()?;
    let value = parser.value(first, depth)?;
    parser.jiter.finish()?;
    Ok(value)
}

struct Parser<'r, 'o> {
    text: &'r str,
    jiter: Jiter<'r>,
    null_values: &'o [String],
    depth: usize,
    values_left: usize,
}

impl<'r> Parser<'r, '_> {
    fn value(&mut self, peek: Peek, depth_left: usize) -> Result<Value<'r>, BadRecord> {
        let too_many = || BadRecord::Malformed("there are too many values in one record".to_owned());
        self.values_left = self.values_left.checked_sub(1).ok_or_else(too_many)?;
        let start = self.jiter.current_index();
        match peek {
            Peek::Null => {
                self.jiter.known_null()?;
                Ok(Value::Null)
            }
            Peek::True | Peek::False => Ok(Value::Boolean(self.jiter.known_bool(peek)?)),
            Peek::String => self.string(start),
            Peek::Array => self.array(self.deeper(depth_left)?),
            Peek::Object => self.object(self.deeper(depth_left)?),
            number => {
                self.jiter.known_number_bytes(number)?;
                Ok(Value::Number(self.since(start)))
            }
        }
    }

    fn deeper(&self, depth_left: usize) -> Result<usize, BadRecord> {
        depth_left.checked_sub(1).ok_or(BadRecord::TooDeep { limit: self.depth })
    }

    /// The text from there up to here.
    fn since(&self, start: usize) -> &'r str {
        self.text.get(start..self.jiter.current_index()).unwrap_or_default()
    }

    fn string(&mut self, start: usize) -> Result<Value<'r>, BadRecord> {
        let decoded_bytes = self.jiter.known_str()?.len();
        let quoted = self.since(start);
        // Without escapes the text itself is the string, between its quotes.
        let string = if decoded_bytes + 2 == quoted.len() {
            Cow::Borrowed(quoted.get(1..=decoded_bytes).unwrap_or_default())
        } else {
            Cow::Owned(Jiter::new(quoted.as_bytes()).known_str()?.to_owned())
        };
        let is_null = self.null_values.iter().any(|null| *null == string);
        Ok(if is_null { Value::Null } else { Value::String(string) })
    }

    fn array(&mut self, depth_left: usize) -> Result<Value<'r>, BadRecord> {
        let mut items = Vec::new();
        let mut next = self.jiter.known_array()?;
        while let Some(peek) = next {
            items.push(self.value(peek, depth_left)?);
            next = self.jiter.array_step()?;
        }
        Ok(Value::Array(items))
    }

    fn object(&mut self, depth_left: usize) -> Result<Value<'r>, BadRecord> {
        let mut entries: Vec<(Cow<'r, str>, Value<'r>)> = Vec::new();
        let mut next = self.jiter.known_object()?.map(str::to_owned);
        while let Some(key) = next {
            let peek = self.jiter.peek()?;
            entries.push((Cow::Owned(key), self.value(peek, depth_left)?));
            next = self.jiter.next_key()?.map(str::to_owned);
        }
        match repeated(&entries) {
            Some(key) => Err(BadRecord::Malformed(format!("the key {:?} is there twice", shortened(key)))),
            None => Ok(Value::Object(entries)),
        }
    }
}

pub(super) fn repeated<'e>(entries: &'e [(Cow<str>, Value)]) -> Option<&'e str> {
    let mut keys = entries.iter().map(|(key, _)| key.as_ref());
    if entries.len() <= FEW_KEYS {
        return keys
            .enumerate()
            .find(|(at, key)| entries[..*at].iter().any(|(other, _)| other == key))
            .map(|(_, key)| key);
    }
    let mut seen = HashSet::with_capacity(entries.len());
    keys.find(|key| !seen.insert(*key))
}
