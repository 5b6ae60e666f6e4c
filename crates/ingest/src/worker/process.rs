//! One process that decodes, as the server sees it.
//!
//! Invariant: it is dead and buried when what stands for it is dropped.

use std::{
    ffi::OsString,
    io::{self, Read as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    death::Death,
    frame::{Frame, Tag, nonsense},
    message::PROTOCOL,
    settings::WorkerSettings,
};

/// The command of the program that calls [`super::serve_decoding`], and its arguments.
pub const DECODE_COMMAND: &str = "decode-worker";
/// The argument for [`WorkerSettings::address_space_bytes`].
pub const ADDRESS_SPACE_ARGUMENT: &str = "address-space-bytes";
/// The argument for [`WorkerSettings::memory_bytes`].
pub const MEMORY_ARGUMENT: &str = "memory-bytes";
/// The argument for [`WorkerSettings::cpu_seconds`].
pub const CPU_ARGUMENT: &str = "cpu-seconds";

/// This program as it runs, even where its file was replaced since.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Allocators take address space in large pieces ahead of need: under a limit that is space that decoders do not have.
const ENVIRONMENT: [(&str, &str); 2] = [("MIMALLOC_ARENA_RESERVE", "64MiB"), ("MALLOC_ARENA_MAX", "1")];
/// How much is read of what a process says in its agony.
const LAST_WORDS_BYTES: u64 = 4 << 10;

/// How processes that decode are started.
pub(super) struct Program {
    executable: PathBuf,
    arguments: [OsString; 7],
}

impl Program {
    pub(super) fn new(settings: &WorkerSettings) -> io::Result<Self> {
        let executable = match &settings.executable {
            Some(executable) => executable.clone(),
            None if Path::new(THIS_PROGRAM).exists() => THIS_PROGRAM.into(),
            None => std::env::current_exe()?,
        };
        let limit = |name: &str, value: u64| [format!("--{name}").into(), value.to_string().into()];
        let [space, space_bytes] = limit(ADDRESS_SPACE_ARGUMENT, settings.address_space_bytes);
        let [memory, bytes] = limit(MEMORY_ARGUMENT, settings.memory_bytes);
        let [cpu, seconds] = limit(CPU_ARGUMENT, settings.cpu_seconds);
        Ok(Self { executable, arguments: [DECODE_COMMAND.into(), space, space_bytes, memory, bytes, cpu, seconds] })
    }

    /// Start one, and wait until it is ready.
    pub(super) fn start(&self) -> io::Result<Worker> {
        let mut command = Command::new(&self.executable);
        command.arg0("sluice").args(&self.arguments).env_clear().envs(ENVIRONMENT).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: what is typed at the server's terminal is not for it.
        let mut child = command.process_group(0).spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Process(Arc::new(Mutex::new(child)));
        let (Some(input), Some(output), Some(last_words)) = pipes else {
            return Err(nonsense("a process without pipes"));
        };
        let mut worker = Worker { process, input, output, last_words };
        match worker.greeting() {
            Ok(()) => Ok(worker),
            Err(error) => Err(io::Error::new(error.kind(), format!("{error} ({})", worker.end()))),
        }
    }
}

/// A process that waits for a file, or decodes one.
pub(super) struct Worker {
    pub(super) process: Process,
    pub(super) input: ChildStdin,
    pub(super) output: ChildStdout,
    last_words: ChildStderr,
}

impl Worker {
    fn greeting(&mut self) -> io::Result<()> {
        let ready = Frame::read(&mut self.output, 0)?;
        if ready.tag == Tag::Ready && ready.numbers()? == [PROTOCOL] {
            return Ok(());
        }
        Err(nonsense("a process of another version"))
    }

    /// Make sure that it has ended, and say how it did.
    pub(super) fn end(&mut self) -> Death {
        let status = self.process.bury().ok();
        let mut words = Vec::new();
        // What cannot be read was not said.
        let _ = (&mut self.last_words).take(LAST_WORDS_BYTES).read_to_end(&mut words);
        Death { status, words: String::from_utf8_lossy(&words).trim().to_owned() }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Err(error) = self.process.bury() {
            tracing::warn!(%error, "a process that decodes could not be ended");
        }
    }
}

/// The process itself.
#[derive(Clone)]
pub(super) struct Process(Arc<Mutex<Child>>);

impl Process {
    fn lock(&self) -> MutexGuard<'_, Child> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.lock().id()
    }

    /// Make it end.
    pub(super) fn kill(&self) {
        // It may have ended by itself.
        let _ = self.lock().kill();
    }

    /// Whether it has not ended.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.lock().try_wait(), Ok(None))
    }

    fn bury(&self) -> io::Result<ExitStatus> {
        let mut child = self.lock();
        let _ = child.kill();
        child.wait()
    }
}
