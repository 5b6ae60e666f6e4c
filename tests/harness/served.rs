//! A lake behind a socket of its own, and what bare sockets say and hear.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use sluice::Server;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

/// A lake that listens at an address.
pub struct ServedLake {
    /// Where it listens.
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    folder: Arc<TempDir>,
}

impl ServedLake {
    pub(crate) fn start(folder: Arc<TempDir>, server: Server) -> Self {
        let port = server.address().expect("the server listens").port();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let stopping = async move { drop(stopped.await) };
            Box::pin(server.serve(stopping)).await.expect("the server ends well");
        });
        Self { address: (Ipv4Addr::LOCALHOST, port).into(), stop, serving, folder }
    }

    /// End the server, and see that it ends well.
    pub async fn stop(self) {
        drop(self.stop);
        self.serving.await.expect("the server ends");
        drop(self.folder);
    }

    /// A connection that has said this.
    pub async fn connect(&self, text: &str) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.expect("the server takes connections");
        connection.write_all(text.as_bytes()).await.expect("the server listens");
        connection
    }

    /// The status and the text of the answer to a request on a connection of its own.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let mut connection = self.connect(&request("GET", path, "")).await;
        read_answer(&mut connection).await.expect("there is an answer")
    }

    /// The same for a JSON body.
    pub async fn post_json(&self, path: &str, body: &str) -> TcpStream {
        self.connect(&request("POST", path, body)).await
    }
}

fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// The status and the text, the other headers included, of the answer that comes over a connection which ends then or
/// tells the length.
///
/// # Errors
/// The connection's; there is no answer where it ends without one.
pub async fn read_answer(connection: &mut TcpStream) -> io::Result<(u16, String)> {
    let mut reader = BufReader::new(connection);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        if reader.read_line(&mut text).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<u64>().ok());
    let mut body = String::new();
    reader.take(length.unwrap_or(u64::MAX)).read_to_string(&mut body).await?;
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, text + &body))
}
