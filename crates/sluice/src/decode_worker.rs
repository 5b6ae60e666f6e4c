//! A process that decodes one file for the server that started it.
//!
//! Invariant: it has its limits before it reads anything.

use std::{
    fs::File,
    io::{stdin, stdout},
    os::fd::AsFd as _,
};

use anyhow::Context as _;
use rlimit::{Resource, setrlimit};
use sluice_ingest::{ADDRESS_SPACE_ARGUMENT, CPU_ARGUMENT, MEMORY_ARGUMENT, serve_decoding};

/// What the process is told on its command line: limits.
#[derive(clap::Args)]
pub(crate) struct DecodeWorkerCommand {
    /// The most address space that the process may take, in bytes
    #[arg(long = ADDRESS_SPACE_ARGUMENT)]
    address_space_bytes: u64,
    /// The most memory of its own that the process may take, in bytes
    #[arg(long = MEMORY_ARGUMENT)]
    memory_bytes: u64,
    /// For how long the process may compute, in seconds
    #[arg(long = CPU_ARGUMENT)]
    cpu_seconds: u64,
}

/// Decode the file that comes on standard input. Must run without other threads, which could do something first.
pub(crate) fn run(command: &DecodeWorkerCommand) -> anyhow::Result<()> {
    // Without the buffers of the standard library, which look for the ends of lines.
    let input = File::from(stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(stdout().as_fd().try_clone_to_owned()?);
    let limits = [
        (Resource::AS, command.address_space_bytes),
        (Resource::DATA, command.memory_bytes),
        (Resource::CPU, command.cpu_seconds),
        (Resource::CORE, 0),
        // Whatever a file makes of the decoder, it opens no file and no socket, and writes into none.
        (Resource::NOFILE, 0),
        (Resource::FSIZE, 0),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, limit, limit).with_context(|| format!("{} cannot be limited", resource.as_name()))?;
    }
    let hung_up = || std::process::exit(0);
    serve_decoding(input, output, hung_up).context("the server cannot be served")
}
