//! What storage costs, to tell what a plan saves.

use serde::{Deserialize, Serialize};

use super::StorageClass;

const BYTES_PER_GIB: f64 = (1_u64 << 30) as f64;

/// The price of a GiB for a month, class by class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoragePrices {
    /// Of `STANDARD`.
    pub standard: f64,
    /// Of `STANDARD_IA`.
    pub standard_ia: f64,
    /// Of `GLACIER`.
    pub glacier: f64,
    /// Of `DEEP_ARCHIVE`.
    pub deep_archive: f64,
}

impl Default for StoragePrices {
    /// Those that S3 lists for `us-east-1`, in US dollars.
    fn default() -> Self {
        Self { standard: 0.023, standard_ia: 0.0125, glacier: 0.0036, deep_archive: 0.000_99 }
    }
}

impl StoragePrices {
    /// What so many bytes cost in a month.
    pub fn monthly(&self, class: StorageClass, size_bytes: u64) -> f64 {
        let price = match class {
            StorageClass::Standard => self.standard,
            StorageClass::StandardIa => self.standard_ia,
            StorageClass::Glacier => self.glacier,
            StorageClass::DeepArchive => self.deep_archive,
        };
        size_bytes as f64 / BYTES_PER_GIB * price
    }

    /// What is saved in a month where they move from one class to another, or are gone.
    pub fn saved(&self, from: StorageClass, to: Option<StorageClass>, size_bytes: u64) -> f64 {
        self.monthly(from, size_bytes) - to.map_or(0.0, |to| self.monthly(to, size_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_the_difference_of_the_prices() {
        let prices = StoragePrices::default();
        let gib = 1 << 30;
        assert!((prices.saved(StorageClass::Standard, None, gib) - 0.023).abs() < 1e-12);
        let moved = prices.saved(StorageClass::Standard, Some(StorageClass::Glacier), 10 * gib);
        assert!((moved - 0.194).abs() < 1e-12, "{moved}");
    }
}
