//! What the real S3 client makes of a server's answers: which of them are an outage.

use std::{net::SocketAddr, sync::Arc};

use object_store::{Error, ObjectStore, ObjectStoreExt, path::Path};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{S3Settings, S3Timeouts, StorageError, StorageSettings, is_outage, stores::open};

/// A server on a port of its own that reads a request and gives this answer, again and again.
async fn server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = vec![0; 16 * 1024];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    address
}

fn bucket(address: SocketAddr) -> Arc<dyn ObjectStore> {
    let s3 = S3Settings {
        endpoint: Some(format!("http://{address}")),
        access_key_id: Some("id".into()),
        secret_access_key: Some("secret".into()),
        allow_http: true,
        timeouts: S3Timeouts { retries: 0, ..S3Timeouts::default() },
        ..S3Settings::default()
    };
    open("s3://lake", &StorageSettings { s3, ..StorageSettings::default() }).unwrap().root
}

async fn failure_of(answer: &'static str) -> Error {
    bucket(server(answer).await).get_range(&Path::from("a"), 0..1).await.unwrap_err()
}

#[tokio::test]
async fn a_server_that_fails_is_away() {
    for answer in [
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "no HTTP at all\r\n\r\n",
        "",
    ] {
        let error = failure_of(answer).await;
        assert!(is_outage(&error), "{answer:?}: {error:?}");
        assert!(matches!(error.into(), StorageError::Unavailable { .. }), "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_is_not_away() {
    for answer in [
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 416 Range Not Satisfiable\r\ncontent-length: 0\r\n\r\n",
    ] {
        let error = failure_of(answer).await;
        assert!(!is_outage(&error), "{answer:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_an_outage() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let store = bucket(listener.local_addr().unwrap());
    drop(listener);
    let error = store.head(&Path::from("a")).await.unwrap_err();
    assert!(is_outage(&error), "{error:?}");
}
