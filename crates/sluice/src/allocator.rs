//! Options of the allocator, which it reads before anything of a program runs.

use std::{env, os::unix::process::CommandExt as _, process::Command};

/// No huge pages: thousands of columns, each with a little memory of its own that is hardly touched, would take a
/// multiple of it. Whoever wants them sets the variable.
const OPTION: (&str, &str) = ("MIMALLOC_ALLOW_THP", "0");

/// Begin this process anew where the option was not set. Where that is not possible it goes on, and takes more memory.
pub(crate) fn set_options() {
    let (name, value) = OPTION;
    if env::var_os(name).is_some() {
        return;
    }
    let (Ok(program), mut arguments) = (env::current_exe(), env::args_os()) else { return };
    let called = arguments.next().unwrap_or_else(|| program.clone().into_os_string());
    // Comes back only with why it could not.
    let _ = Command::new(&program).arg0(called).args(arguments).env(name, value).exec();
}
