//! What only PostgreSQL can show: leases, and databases of any language. Needs `SLUICE_TEST_POSTGRES`.

#[cfg(test)]
mod leases;
