//! Other processes, as `/proc` shows them.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// How long something may take that is only a matter of time.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before looking again.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What `/proc` says of a process after its name: its state first, its parent then.
fn stat(process: u32) -> Option<(String, u32)> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// Whether a process runs; one that nobody has buried does not.
pub(crate) fn is_alive(process: u32) -> bool {
    stat(process).is_some_and(|(state, _)| state != "Z" && state != "X")
}

/// The processes that a process has started to decode, and that run.
pub(crate) fn decoders(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    let processes = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let decodes = |process: &u32| {
        fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| line.starts_with(b"sluice\0decode-worker\0"))
    };
    processes
        .filter(|process| stat(*process).is_some_and(|(_, of)| of == parent))
        .filter(|process| decodes(process) && is_alive(*process))
        .collect()
}

/// How much memory a process has, if it is there.
pub(crate) fn resident_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// What a process has open.
pub(crate) fn open_files(process: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    entries.map(|entry| fs::read_link(entry.unwrap().path()).unwrap()).collect()
}

/// A file of `/proc` about a process.
pub(crate) fn about(process: u32, file: &str) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{process}/{file}")).unwrap()).into_owned()
}

/// Send a signal.
pub(crate) fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
}

/// Wait for the first value.
pub(crate) async fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
