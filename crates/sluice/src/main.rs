//! The entry of the `sluice` binary.

use std::process::ExitCode;

use clap::Parser as _;

/// Gives memory back to the system sooner than the default allocator, and is faster for many small batches.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match sluice::Cli::parse().start() {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a failed command")]
fn report(error: &anyhow::Error) {
    eprintln!("sluice: {error:#}");
}
