//! Other processes, as `/proc` shows them.

use std::{fs, process::Command, time::Duration};

use tokio::time::{Instant, sleep};

/// How long something may take that is only a matter of time.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `/proc` says of a process after its name: its state first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Whether a process runs; one that nobody has buried does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z" && fields[0] != "X")
}

/// The processes for queries that a process has started and that run.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| stat(*pid).is_some_and(|fields| fields[1] == parent.to_string()) && is_alive(*pid);
    // The server has processes that decode files, too.
    let is_worker =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("query-worker"));
    pids.filter(is_child).filter(is_worker).collect()
}

/// How long a process has computed, in ticks of a hundredth of a second.
pub(crate) fn ticks(pid: u32) -> u64 {
    stat(pid).map_or(0, |fields| fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
}

/// A file of `/proc` about a process.
pub(crate) fn about(pid: u32, file: &str) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}")).unwrap()).into_owned()
}

/// Send a signal.
pub(crate) fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

/// Wait for the first value, and say how long that took.
pub(crate) async fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> (T, Duration) {
    let started = Instant::now();
    loop {
        if let Some(value) = found() {
            return (value, started.elapsed());
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(10)).await;
    }
}
