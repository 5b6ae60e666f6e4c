//! How much one evaluation may remember.

/// How much all rules of one evaluation remember together, in bytes.
pub const MAX_STATE_BYTES: usize = 64 << 20;

/// What a remembered number costs, with the room that a growing list keeps.
pub(crate) const NUMBER_BYTES: usize = 16;
/// What a remembered fingerprint costs, with the room that a growing map keeps.
pub(crate) const FINGERPRINT_BYTES: usize = 48;
/// What a remembered value costs beside its text.
pub(crate) const VALUE_BYTES: usize = 96;

/// What is left to be remembered.
#[derive(Debug)]
pub(crate) struct Budget {
    limit_bytes: usize,
    left_bytes: usize,
}

impl Budget {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, left_bytes: limit_bytes }
    }

    /// Take room for something.
    ///
    /// # Errors
    /// That there is none left, in words for the result of a rule.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.left_bytes.checked_sub(bytes);
        let told = || format!("the rules would have to remember more than {} MiB", self.limit_bytes >> 20);
        self.left_bytes = left.ok_or_else(told)?;
        Ok(())
    }
}
