//! A whole server in the test's own process, on a folder of its own, and what tests ask of its answers.
//!
//! Owns how a lake is opened, called and opened again. Never knows what is right: the tests say that.
//!
//! Invariant: two lakes share nothing, so that tests run side by side.

#![expect(clippy::expect_used, reason = "what the harness cannot do is the failure of the test")]

mod answer;
mod call;
mod held;
mod lake;
mod samples;
mod served;

pub use answer::{Answer, assert_problem};
pub use call::Call;
pub use held::{Holder, held_body};
pub use lake::{ClosedLake, LakeBuilder, TestLake, table_path, uploads_path};
pub use samples::{Encoding, SAMPLE_ROWS, binary_file, form_of, sample_file, sample_rows, sha256_of, zip_file};
pub use served::{ServedLake, read_answer};
