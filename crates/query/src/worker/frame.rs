//! How messages and rows are told apart in the pipes: a kind, a length, and so many bytes.
//!
//! Invariant: no more is read into memory than the longest frame, whatever length is announced.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::stats::Scanned;

/// The longest frame, in bytes.
pub(crate) const MAX_FRAME_BYTES: usize = 64 << 20;
/// The longest Arrow data in one frame, in bytes.
pub(crate) const MAX_ROWS_BYTES: usize = MAX_FRAME_BYTES - SCANNED_BYTES;
/// The numbers before the Arrow data.
const SCANNED_BYTES: usize = 16;
const HEADER_BYTES: usize = 5;
const MESSAGE: u8 = 0;
const ROWS: u8 = 1;

type Header = [u8; HEADER_BYTES];

/// What comes from a worker.
#[derive(Debug)]
pub(crate) enum Frame {
    /// JSON.
    Message(Vec<u8>),
    /// A piece of an Arrow stream, and what was read so far.
    Rows(Scanned, Vec<u8>),
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn header(kind: u8, length: usize) -> io::Result<Header> {
    let length = u32::try_from(length).ok().filter(|length| *length as usize <= MAX_FRAME_BYTES);
    let [a, b, c, d] = length.ok_or_else(|| invalid("a frame is too long to be sent"))?.to_le_bytes();
    Ok([kind, a, b, c, d])
}

fn announced([kind, a, b, c, d]: Header) -> io::Result<(u8, usize)> {
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > MAX_FRAME_BYTES { Err(invalid("a frame is announced as too long")) } else { Ok((kind, length)) }
}

fn whole(bytes: Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    if bytes.len() == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// The value of a message.
pub(crate) fn decode<T: DeserializeOwned>(message: &[u8]) -> io::Result<T> {
    serde_json::from_slice(message).map_err(|_| invalid("a message cannot be read"))
}

/// Write a message and wait.
pub(crate) fn write_message(out: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    out.write_all(&header(MESSAGE, bytes.len())?)?;
    out.write_all(&bytes)?;
    out.flush()
}

/// Write a piece of an Arrow stream and wait.
pub(crate) fn write_rows(out: &mut impl Write, scanned: Scanned, ipc: &[u8]) -> io::Result<()> {
    out.write_all(&header(ROWS, SCANNED_BYTES + ipc.len())?)?;
    out.write_all(&scanned.files.to_le_bytes())?;
    out.write_all(&scanned.bytes.to_le_bytes())?;
    out.write_all(ipc)?;
    out.flush()
}

/// Wait for a message.
pub(crate) fn read_message<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<T> {
    let mut header = Header::default();
    input.read_exact(&mut header)?;
    let (MESSAGE, length) = announced(header)? else { return Err(invalid("a frame is no message")) };
    let mut bytes = Vec::new();
    input.take(length as u64).read_to_end(&mut bytes)?;
    decode(&whole(bytes, length)?)
}

/// Send a message.
pub(crate) async fn send_message(out: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    out.write_all(&header(MESSAGE, bytes.len())?).await?;
    out.write_all(&bytes).await?;
    out.flush().await
}

/// Receive a frame.
pub(crate) async fn receive(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let mut header = Header::default();
    input.read_exact(&mut header).await?;
    match announced(header)? {
        (MESSAGE, length) => Ok(Frame::Message(receive_bytes(input, length).await?)),
        (ROWS, length) if length >= SCANNED_BYTES => {
            let scanned = Scanned { files: input.read_u64_le().await?, bytes: input.read_u64_le().await? };
            Ok(Frame::Rows(scanned, receive_bytes(input, length - SCANNED_BYTES).await?))
        }
        _ => Err(invalid("a frame is of no known kind")),
    }
}

async fn receive_bytes(input: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    input.take(length as u64).read_to_end(&mut bytes).await?;
    whole(bytes, length)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_received() {
        let mut pipe = Vec::new();
        write_message(&mut pipe, &"ready").unwrap();
        write_rows(&mut pipe, Scanned { files: 2, bytes: u64::MAX }, b"arrow").unwrap();
        let mut input = pipe.as_slice();
        assert!(matches!(receive(&mut input).await.unwrap(), Frame::Message(bytes) if bytes == b"\"ready\""));
        let Frame::Rows(scanned, ipc) = receive(&mut input).await.unwrap() else { panic!("no rows came") };
        assert_eq!((scanned.files, scanned.bytes, ipc.as_slice()), (2, u64::MAX, b"arrow".as_slice()));
        assert_eq!(receive(&mut input).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[rstest]
    #[case::unknown_kind(&[7, 0, 0, 0, 0])]
    #[case::too_long(&[0, 255, 255, 255, 255])]
    #[case::too_short_for_rows(&[1, 15, 0, 0, 0, 1, 2, 3])]
    #[case::cut_in_the_header(&[0, 1])]
    #[case::cut_in_the_bytes(&[0, 9, 0, 0, 0, 1])]
    #[tokio::test]
    async fn what_is_no_frame_is_refused(#[case] mut bytes: &[u8]) {
        assert!(receive(&mut bytes).await.is_err());
    }

    #[rstest]
    #[case::rows(&[1, 0, 0, 0, 0])]
    #[case::not_json(&[0, 1, 0, 0, 0, b'x'])]
    #[case::cut(&[0, 2, 0, 0, 0, b'1'])]
    fn what_is_no_message_is_refused(#[case] mut bytes: &[u8]) {
        assert!(read_message::<u64>(&mut bytes).is_err());
    }

    #[test]
    fn a_frame_beyond_the_limit_is_not_written() {
        assert!(write_rows(&mut io::sink(), Scanned::default(), &vec![0; MAX_ROWS_BYTES]).is_ok());
        assert!(write_rows(&mut io::sink(), Scanned::default(), &vec![0; MAX_ROWS_BYTES + 1]).is_err());
    }
}
