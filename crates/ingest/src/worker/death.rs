//! Why a process that decoded has ended before it had done so.

use std::{fmt, os::unix::process::ExitStatusExt as _, process::ExitStatus};

// Numbers of signals that are the same on every system.
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGILL: i32 = 4;
const SIGABRT: i32 = 6;
const SIGFPE: i32 = 8;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGTERM: i32 = 15;
/// Where the limit of computing is exceeded, on Linux and BSD.
const SIGXCPU: i32 = 24;

/// How a process has ended.
#[derive(Debug)]
pub(super) struct Death {
    /// None where nobody can tell.
    pub(super) status: Option<ExitStatus>,
    /// What it said on standard error.
    pub(super) words: String,
}

impl Death {
    /// Whether somebody asked it to end, which is no fault of its file.
    pub(super) fn was_asked_for(&self) -> bool {
        matches!(self.signal(), Some(SIGHUP | SIGINT | SIGTERM))
    }

    fn signal(&self) -> Option<i32> {
        self.status.and_then(|status| status.signal())
    }
}

impl fmt::Display for Death {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.signal() {
            Some(SIGABRT) if self.words.contains("memory allocation") => "out of memory",
            Some(SIGABRT | SIGSEGV) if self.words.contains("overflowed its stack") => "out of stack",
            Some(SIGABRT) => "aborted",
            Some(SIGKILL) => "killed",
            Some(SIGSEGV) => "invalid access to memory",
            Some(SIGILL | SIGFPE) => "invalid instruction",
            Some(SIGXCPU) => "out of computing time",
            Some(signal) => return write!(formatter, "signal {signal}"),
            None => return self.status.map_or(Ok(()), |status| status.fmt(formatter)),
        };
        formatter.write_str(cause)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(6, "memory allocation of 4 bytes failed", "out of memory", false)]
    #[case(6, "thread 'main' has overflowed its stack", "out of stack", false)]
    #[case(6, "", "aborted", false)]
    #[case(9, "", "killed", false)]
    #[case(11, "", "invalid access to memory", false)]
    #[case(24, "", "out of computing time", false)]
    #[case(7, "", "signal 7", false)]
    #[case(15, "", "signal 15", true)]
    #[case(256, "", "exit status: 1", false)]
    fn a_death_has_a_cause(#[case] status: i32, #[case] words: &str, #[case] cause: &str, #[case] asked_for: bool) {
        let death = Death { status: Some(ExitStatus::from_raw(status)), words: words.into() };
        assert_eq!((death.to_string().as_str(), death.was_asked_for()), (cause, asked_for));
    }
}
