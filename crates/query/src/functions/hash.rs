//! A hash that cannot be looked up in a table of hashes: a secret salt goes in before the value.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, StringArray},
    compute::cast,
    datatypes::{DataType, Int64Type},
};
use datafusion::{common::exec_err, error::Result};
use sha2::{Digest, Sha256};

/// The hexadecimal digits of a whole hash.
const DIGITS: i64 = 64;

/// `hash_salted(value, salt[, length])`: SHA-256 of salt and value, as hexadecimal digits, so many of them.
pub(super) fn salted(columns: &[ArrayRef]) -> Result<ArrayRef> {
    let [values, salts, lengths @ ..] = columns else { return exec_err!("hash_salted needs a value and a salt") };
    let (values, salts) = (cast(values, &DataType::Utf8)?, cast(salts, &DataType::Utf8)?);
    let lengths = lengths.first().map(|lengths| cast(lengths, &DataType::Int64)).transpose()?;
    let lengths = lengths.as_ref().map(|lengths| lengths.as_primitive::<Int64Type>());
    let rows = values.as_string::<i32>().iter().zip(salts.as_string::<i32>()).enumerate();
    let hashed = rows.map(|(at, (value, salt))| {
        let Some(salt) = salt.filter(|salt| !salt.is_empty()) else {
            return exec_err!("the salt of hash_salted is empty: a hash without one can be looked up");
        };
        let length = match lengths.map(|lengths| lengths.iter().nth(at).flatten()) {
            None => DIGITS,
            Some(Some(length @ 1..=DIGITS)) => length,
            Some(_) => return exec_err!("the length of hash_salted is not between 1 and {DIGITS}"),
        };
        Ok(value.map(|value| hash(salt, value, usize::try_from(length).unwrap_or_default())))
    });
    Ok(Arc::new(hashed.collect::<Result<StringArray>>()?))
}

fn hash(salt: &str, value: &str, length: usize) -> String {
    let mut digits = hex::encode(Sha256::new().chain_update(salt).chain_update(value).finalize());
    digits.truncate(length);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_salt_comes_first() {
        assert_eq!(hash("default_salt", "CUST001", 10), "210aeba2eb");
        assert_eq!(hash("s1", "CUST001", 10), "2a522cf710");
        assert_eq!(hash("s", "x", 64).len(), 64);
    }
}
