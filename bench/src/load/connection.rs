//! One HTTP/1.1 connection that sends bytes and finds the end of the answer.

use std::{net::SocketAddr, ops::Range};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Headers of an answer, at most.
const HEADERS: usize = 32;

/// A connection that is kept open.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// An answer; its body lies in the connection until the next exchange.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: u16,
    body: Range<usize>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 8 << 10], filled: 0 })
    }

    /// Sends a request and reads its answer, which must say its length.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Response> {
        self.stream.write_all(request).await?;
        self.filled = 0;
        loop {
            if let Some((status, body)) = head(&self.buffer[..self.filled])?
                && body.end <= self.filled
            {
                return Ok(Response { status, body });
            }
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
            ensure!(read > 0, "the connection was closed before the answer was complete");
            self.filled += read;
        }
    }

    /// The body of the last answer.
    #[must_use]
    pub(crate) fn body(&self, response: &Response) -> &[u8] {
        &self.buffer[response.body.clone()]
    }
}

/// The status, and where the body is, once the head is complete.
fn head(bytes: &[u8]) -> anyhow::Result<Option<(u16, Range<usize>)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = response.parse(bytes)? else { return Ok(None) };
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map_or(Ok("0"), |header| std::str::from_utf8(header.value))?.parse()?;
    Ok(Some((response.code.context("a status")?, start..start + length)))
}
