//! A small HTTP client, to see which server a connection reaches.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a client waits for a connection or an answer before it gives up.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks for the server's name.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n";
/// The same, and the server is to close the connection.
pub(crate) const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
/// Where an answer tells how long its body is.
const LENGTH: &str = "Content-Length: ";

/// Opens a TCP connection that gives up rather than hang, from the network of the calling thread.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Asks once, over a connection of its own.
pub fn fetch(address: SocketAddr) -> io::Result<String> {
    Session::open(address)?.ask()
}

/// A connection that many requests are made over.
#[derive(Debug)]
pub struct Session {
    stream: BufReader<TcpStream>,
}

impl Session {
    /// Opens a connection, from the network of the calling thread.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: BufReader::new(connect(address)?) })
    }

    /// The client's address and port.
    pub fn client(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().local_addr()
    }

    /// The connection itself, whose reads now wait for as long as it takes.
    pub fn into_stream(self) -> io::Result<TcpStream> {
        let stream = self.stream.into_inner();
        stream.set_read_timeout(None)?;
        Ok(stream)
    }

    /// Requests `/` and returns the body of the answer, which is the server's name.
    pub fn ask(&mut self) -> io::Result<String> {
        self.stream.get_mut().write_all(REQUEST)?;
        let mut body = vec![0; self.content_length()?];
        self.stream.read_exact(&mut body)?;
        let body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(body.trim_end().to_owned())
    }

    /// Reads the head of an answer and returns the length of its body.
    fn content_length(&mut self) -> io::Result<usize> {
        let mut length = None;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                return length.ok_or_else(|| io::Error::other("an answer without a length"));
            }
            if let Some(value) = line.strip_prefix(LENGTH) {
                length = Some(value.parse().map_err(io::Error::other)?);
            }
        }
    }
}

/// The body of an answer, once all of it is there.
pub(crate) fn body(answer: &[u8]) -> io::Result<Option<String>> {
    let text = str::from_utf8(answer).map_err(io::Error::other)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let length = head.lines().find_map(|line| line.strip_prefix(LENGTH));
    let length: usize = length
        .ok_or_else(|| io::Error::other("an answer without a length"))?
        .parse()
        .map_err(io::Error::other)?;
    Ok(body.get(..length).map(|body| body.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_there_when_all_of_it_is() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfenn\n";
        assert_eq!(body(answer).ok(), Some(Some("fenn".to_owned())));
        for shorter in 0..answer.len() {
            assert_eq!(body(&answer[..shorter]).ok(), Some(None), "{shorter} bytes");
        }
        assert!(body(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
