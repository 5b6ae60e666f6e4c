//! The sums that clients send with pieces, to be compared with what came.

use std::{fmt, str::FromStr};

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A way to sum bytes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumAlgorithm {
    /// SHA-1, which every server of the protocol knows.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl ChecksumAlgorithm {
    /// Every algorithm, the one to prefer first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha1];

    /// The name in the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

impl fmt::Display for ChecksumAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChecksumAlgorithm {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not one of sha256, sha1"))
    }
}

/// What a piece must sum up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// How.
    pub algorithm: ChecksumAlgorithm,
    /// To what.
    pub digest: Vec<u8>,
}

/// Sums up the bytes of a piece, and compares in the end.
pub(super) struct Comparison {
    sum: Sum,
    expected: Checksum,
}

enum Sum {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Comparison {
    pub(super) fn with(expected: Checksum) -> Self {
        let sum = match expected.algorithm {
            ChecksumAlgorithm::Sha1 => Sum::Sha1(Sha1::default()),
            ChecksumAlgorithm::Sha256 => Sum::Sha256(Sha256::default()),
        };
        Self { sum, expected }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        match &mut self.sum {
            Sum::Sha1(sum) => sum.update(bytes),
            Sum::Sha256(sum) => sum.update(bytes),
        }
    }

    /// The algorithm, where the bytes sum up to something else.
    pub(super) fn finish(self) -> Result<(), ChecksumAlgorithm> {
        let digest = match self.sum {
            Sum::Sha1(sum) => sum.finalize().to_vec(),
            Sum::Sha256(sum) => sum.finalize().to_vec(),
        };
        if digest == self.expected.digest { Ok(()) } else { Err(self.expected.algorithm) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_compared_with_the_bytes() {
        // FIPS 180: of "abc".
        for (algorithm, sum) in [
            (ChecksumAlgorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (ChecksumAlgorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ] {
            let compared = |bytes: &[&[u8]]| {
                let digest = hex::decode(sum).unwrap();
                let mut comparison = Comparison::with(Checksum { algorithm, digest });
                bytes.iter().for_each(|bytes| comparison.add(bytes));
                comparison.finish()
            };
            assert_eq!(compared(&[b"a", b"bc"]), Ok(()));
            assert_eq!(compared(&[b"abd"]), Err(algorithm));
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        assert!("md5".parse::<ChecksumAlgorithm>().is_err());
    }
}
