//! A random walk over one table: `table-walk FOLDER SEED PROCESS STEPS`.
//!
//! Several of these walk on one table at once. Each says on standard output, in a line of JSON a step, which version it
//! made and how: whoever plays the steps in the order of the versions gets the table's rows.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a walk that cannot go on is the failure of the test")]

mod random;
mod rows;
mod steps;

use std::path::PathBuf;

use random::Random;
use steps::Walk;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, seed, process, count] = arguments.try_into().unwrap();
    let (seed, process, count): (u64, u64, u64) =
        (seed.parse().unwrap(), process.parse().unwrap(), count.parse().unwrap());
    let mut walk = Walk::open(&PathBuf::from(folder), process, Random::new(seed * 1000 + process)).await;
    for _ in 0..count {
        println!("{}", walk.step().await);
    }
}
