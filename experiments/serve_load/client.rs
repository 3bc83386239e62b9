//! A client of few words: HTTP/1.0, one connection a request, so that a body ends where its connection does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A response whose body is still to be read.
pub struct Response {
    pub status: u16,
    body: BufReader<TcpStream>,
}

/// A stream, read to its end.
pub struct Streamed {
    pub text: String,
    /// From request to the first piece of text.
    pub first: Duration,
    /// Whether the end was told.
    pub done: bool,
    /// What the last chunk says of the mark, and which receipts it names.
    pub last: Value,
}

/// Bytes of a request with a JSON body.
pub fn request(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Sends bytes and waits for the head of a response; none if the server closes without one.
pub fn send(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Option<Response>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // A server that refuses early may close before all is sent.
    let _ = stream.write_all(bytes);
    let mut body = BufReader::new(stream);
    let mut line = String::new();
    if body.read_line(&mut line).unwrap_or(0) == 0 {
        return Ok(None);
    }
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    while line.trim_end() != "" {
        line.clear();
        body.read_line(&mut line)?;
    }
    Ok(Some(Response { status, body }))
}

/// Asks and waits for the whole answer.
pub fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    key: &str,
    body: &str,
) -> std::io::Result<(u16, String)> {
    let bytes = request(method, path, key, body);
    let response = send(address, &bytes)?;
    let response = response.ok_or_else(|| std::io::Error::other("closed without a response"))?;
    let status = response.status;
    Ok((status, response.text()?))
}

impl Response {
    /// The body.
    pub fn text(mut self) -> std::io::Result<String> {
        let mut text = String::new();
        self.body.read_to_string(&mut text)?;
        Ok(text)
    }

    /// The next event; none at the end.
    pub fn event(&mut self) -> std::io::Result<Option<String>> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.body.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Ok(Some(data.trim_end().to_owned()));
            }
        }
    }

    /// All events, waiting after each as long as told.
    pub fn stream(mut self, began: Instant, pause: impl Fn()) -> std::io::Result<Streamed> {
        let mut all =
            Streamed { text: String::new(), first: Duration::ZERO, done: false, last: Value::Null };
        while let Some(data) = self.event()? {
            if data == "[DONE]" {
                all.done = true;
                continue;
            }
            all.last = serde_json::from_str(&data).map_err(std::io::Error::other)?;
            let piece = all.last["choices"][0]["text"].as_str().unwrap_or_default();
            if !piece.is_empty() && all.text.is_empty() {
                all.first = began.elapsed();
            }
            all.text += piece;
            pause();
        }
        Ok(all)
    }
}
