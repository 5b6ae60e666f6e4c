//! Queries in processes of their own, through the program itself: what they do to their process and what is left of it.

#![expect(clippy::unwrap_used, reason = "what a test's own function cannot do is the failure of the test")]

mod processes;
mod server;

mod hostile;
mod protocol;
mod workers;
