//! A connection's socket, which fails when its client keeps the server waiting.
//!
//! Invariant: while the head of a request is coming, and while an answer is going, there is a deadline.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{ConnectionSettings, activity::Activity, deadline::Deadline};

/// The socket with its deadlines.
#[derive(Debug)]
pub(super) struct Socket<S> {
    inner: S,
    activity: Activity,
    head: Deadline,
    stall: Deadline,
    /// How much the client took since it was waited for, and must take for the wait to begin anew.
    taken_bytes: u64,
    due_bytes: u64,
}

impl<S> Socket<S> {
    pub(super) fn new(inner: S, activity: Activity, settings: &ConnectionSettings) -> Self {
        let mut head = Deadline::new(Duration::from_secs(settings.head_seconds));
        // Who connects has something to say.
        head.begin();
        let stall = Deadline::new(Duration::from_secs(settings.stall_seconds));
        let due_bytes = settings.min_bytes_per_second.saturating_mul(settings.stall_seconds).max(1);
        Self { inner, activity, head, stall, taken_bytes: 0, due_bytes }
    }

    fn took(&mut self, size_bytes: usize) {
        self.taken_bytes = self.taken_bytes.saturating_add(size_bytes as u64);
        if self.taken_bytes >= self.due_bytes {
            self.stall.end();
        }
    }

    /// What a write means that was tried.
    fn written(&mut self, context: &mut Context<'_>, tried: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match tried {
            Poll::Ready(Ok(size_bytes)) => self.took(size_bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if !self.stall.has_begun() {
                    self.taken_bytes = 0;
                    self.stall.begin();
                }
                if self.stall.is_missed(context) {
                    return Poll::Ready(Err(too_slow("the client does not take its answer")));
                }
            }
        }
        tried
    }
}

fn too_slow(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, reason)
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The body of a request has deadlines of its own, where it is read.
        let is_busy = self.activity.is_busy();
        if is_busy {
            self.head.end();
        }
        let before = buffer.filled().len();
        let tried = Pin::new(&mut self.inner).poll_read(context, buffer);
        if tried.is_ready() && !is_busy && buffer.filled().len() > before {
            self.head.begin();
        }
        if tried.is_pending() && self.head.is_missed(context) {
            return Poll::Ready(Err(too_slow("the head of the request did not come in time")));
        }
        tried
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.written(context, tried)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.written(context, tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// Called when nothing is left to write, so that nothing is waited for.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stall.end();
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const WINDOW_BYTES: usize = 1000;

    /// Settings of one second, a socket that takes a kilobyte, and its other end.
    fn socket(activity: &Activity) -> (Socket<DuplexStream>, DuplexStream) {
        let settings = ConnectionSettings {
            head_seconds: 1,
            stall_seconds: 1,
            min_bytes_per_second: WINDOW_BYTES as u64,
            ..ConnectionSettings::default()
        };
        let (server, client) = duplex(WINDOW_BYTES);
        (Socket::new(server, activity.clone(), &settings), client)
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_is_not_waited_for() {
        let (mut socket, mut client) = socket(&Activity::default());
        client.write_all(b"GET ").await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(socket.read(&mut buffer).await.unwrap(), 4);
        let error = socket.read(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn between_requests_the_socket_itself_waits_for_ever() {
        let activity = Activity::default();
        let (mut socket, mut client) = socket(&activity);
        client.write_all(b"GET ").await.unwrap();
        let mut buffer = [0; 4];
        socket.read_exact(&mut buffer).await.unwrap();
        let begun = activity.begin();
        assert!(futures::poll!(Box::pin(socket.read(&mut buffer))).is_pending());
        drop(begun);
        let waited = tokio::time::timeout(Duration::from_millis(1500), socket.read(&mut buffer)).await;
        assert!(waited.is_err(), "{waited:?}");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_given_up() {
        let (mut socket, _client) = socket(&Activity::default());
        let error = socket.write_all(&[0; 2 * WINDOW_BYTES]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_takes_a_byte_now_and_then_is_given_up() {
        let (mut socket, mut client) = socket(&Activity::default());
        let writing = tokio::spawn(async move { socket.write_all(&[0; 2 * WINDOW_BYTES]).await });
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        while !writing.is_finished() {
            pause.tick().await;
            // The end of the stream when the socket is gone.
            let _ = client.read(&mut [0; 1]).await.unwrap();
        }
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_takes_enough_gets_everything() {
        let (mut socket, mut client) = socket(&Activity::default());
        let writing = tokio::spawn(async move {
            socket.write_all(&[0; 6 * WINDOW_BYTES]).await?;
            socket.flush().await
        });
        let mut pause = tokio::time::interval(Duration::from_millis(400));
        let mut taken = 0;
        while taken < 6 * WINDOW_BYTES {
            pause.tick().await;
            taken += client.read(&mut [0; WINDOW_BYTES]).await.unwrap();
        }
        writing.await.unwrap().unwrap();
    }
}
