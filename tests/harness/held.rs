//! A body that stops in its middle until the test lets it go on.

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::sync::oneshot;

/// The other end of a [`held_body`]. Letting go of it without [`Holder::release`] breaks the body off.
pub struct Holder {
    reached: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

/// A body of these two halves, and what decides when the second one comes.
pub fn held_body(first: &'static [u8], second: &'static [u8]) -> (Body, Holder) {
    let (reaching, reached) = oneshot::channel();
    let (release, released) = oneshot::channel();
    let rest = stream::once(async move {
        // The first half was taken, so the server is in the middle of the body. Nobody may want to know.
        let _ = reaching.send(());
        match released.await {
            Ok(()) => Ok(Bytes::from_static(second)),
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        }
    });
    let pieces = stream::iter([Ok(Bytes::from_static(first))]).chain(rest);
    (Body::from_stream(pieces), Holder { reached, release })
}

impl Holder {
    /// Wait until the server has taken the first half and asks for more.
    pub async fn reached(&mut self) {
        (&mut self.reached).await.expect("the server reads the body");
    }

    /// Let the second half go.
    pub fn release(self) {
        self.release.send(()).expect("the server still reads the body");
    }
}
