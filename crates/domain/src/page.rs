//! Pages of a listing: bounded, and resumed by an opaque token.

use std::{fmt, str::FromStr};

/// A token that this server did not give out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the page token is not one that this server gave out")]
pub struct PageTokenError;

/// Where the next page begins. Opaque to clients; the last key of the page before, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(String);

impl PageToken {
    /// A token that resumes after this key.
    pub fn after(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key to resume after.
    pub fn key(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for PageToken {
    type Err = PageTokenError;
    fn from_str(text: &str) -> Result<Self, PageTokenError> {
        if text.is_empty() || !text.len().is_multiple_of(2) || text.len() > 1024 || !text.is_ascii() {
            return Err(PageTokenError);
        }
        let bytes: Option<Vec<u8>> =
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect();
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map(Self).ok_or(PageTokenError)
    }
}

/// Which page is wanted.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// How many entries at the most.
    pub size: u32,
    /// Where to resume; from the start without it.
    pub token: Option<PageToken>,
}

impl PageRequest {
    /// The largest page that is given out.
    pub const MAX_SIZE: u32 = 1000;
    /// The page size where the caller does not say.
    pub const DEFAULT_SIZE: u32 = 100;

    /// The key to resume after, empty for the start (every key sorts after it).
    pub fn after(&self) -> &str {
        self.token.as_ref().map_or("", PageToken::key)
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { size: Self::DEFAULT_SIZE, token: None }
    }
}

/// One page of a listing.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The entries, in the listing's order.
    pub items: Vec<T>,
    /// Where the next page begins; none on the last page.
    pub next: Option<PageToken>,
}

impl<T> Page<T> {
    /// A page from one entry more than was asked for: the extra one proves that there is a next page.
    pub fn from_overfetched(mut items: Vec<T>, size: u32, key: impl Fn(&T) -> String) -> Self {
        let more = items.len() > size as usize;
        items.truncate(size as usize);
        let next = items.last().filter(|_| more).map(|last| PageToken::after(key(last)));
        Self { items, next }
    }

    /// The same page with each entry turned into something else.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_wire() {
        let token = PageToken::after("nyc.flights/ü");
        assert_eq!(token.to_string().parse::<PageToken>().unwrap(), token);
    }

    #[test]
    fn a_made_up_token_is_refused() {
        for text in ["", "abc", "zz", "ff", "é0"] {
            assert!(text.parse::<PageToken>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_full_page_has_a_next_one_only_if_there_is_more() {
        let page = Page::from_overfetched(vec![1, 2, 3], 2, |n| n.to_string());
        assert_eq!(page.items, [1, 2]);
        assert_eq!(page.next.unwrap().key(), "2");
        assert!(Page::from_overfetched(vec![1, 2], 2, |n| n.to_string()).next.is_none());
    }
}
