//! What a worker says before it dies, and what that means for its query.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{QueryError, engine::STACK_BYTES};

/// How much of a worker's last words is kept, in bytes.
const KEPT_BYTES: usize = 4096;
/// The signals of a process that went beyond its stack.
const SIGBUS: i32 = 7;
const SIGSEGV: i32 = 11;
/// The signal by which the system ends a process when memory is short.
const SIGKILL: i32 = 9;

/// Read to the end, so that the writer never waits, and keep the last of it.
pub(crate) async fn read(mut from: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut piece) = (Vec::new(), [0; 1024]);
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        kept.extend_from_slice(&piece[..length]);
        if kept.len() > 2 * KEPT_BYTES {
            kept.drain(..kept.len() - KEPT_BYTES);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Why a query has no answer whose worker died, by itself, with these last words.
pub(crate) fn verdict(status: Option<ExitStatus>, words: &str) -> QueryError {
    let signal = status.and_then(|status| status.signal());
    if words.contains("memory allocation of") || signal == Some(SIGKILL) {
        QueryError::MemoryExceeded
    } else if words.contains("overflowed its stack") || matches!(signal, Some(SIGSEGV | SIGBUS)) {
        QueryError::TooComplex { what: "bytes of stack", limit: STACK_BYTES as u64 }
    } else {
        QueryError::fault(format!("the worker of the query ended: {status:?}"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use sluice_domain::Failure;

    use super::*;

    #[rstest]
    #[case(6, "memory allocation of 80 bytes failed", "query-memory-exceeded")]
    #[case(9, "", "query-memory-exceeded")]
    #[case(6, "\nthread 'query' has overflowed its stack\nfatal runtime error", "query-too-complex")]
    #[case(11, "", "query-too-complex")]
    #[case(15, "", "query-failed")]
    #[case(256, "sluice: the zones cannot be opened", "query-failed")]
    fn a_death_is_told_by_its_signal_and_its_words(#[case] status: i32, #[case] words: &str, #[case] code: &str) {
        assert_eq!(verdict(Some(ExitStatus::from_raw(status)), words).code(), code);
    }

    #[tokio::test]
    async fn only_the_last_words_are_kept() {
        let long = format!("{}the end", "x".repeat(1 << 20));
        let kept = read(long.as_bytes()).await;
        assert!(kept.ends_with("the end") && kept.len() <= 2 * KEPT_BYTES);
    }
}
