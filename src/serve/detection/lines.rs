//! Lines of a body as it arrives, of bounded length.

use axum::body::Bytes;
use futures::{Stream, StreamExt};

use crate::serve::error::ApiError;

/// What bounds a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineLimits {
    /// Bytes of a line.
    pub line: usize,
    /// Lines in all.
    pub lines: u64,
    /// Bytes in all.
    pub bytes: u64,
}

/// A line by its number, from 1, and its bytes without the end; or why there is none. Lines of blanks are passed over.
pub(super) type Line = (u64, Result<Vec<u8>, ApiError>);

/// Reads lines from chunks. It holds one chunk and one line.
pub(super) struct Lines<S> {
    chunks: S,
    limits: LineLimits,
    chunk: Bytes,
    line: Vec<u8>,
    is_overlong: bool,
    number: u64,
    bytes: u64,
    ended: bool,
}

impl<S, E> Lines<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    pub fn new(chunks: S, limits: LineLimits) -> Self {
        Self {
            chunks,
            limits,
            chunk: Bytes::new(),
            line: Vec::new(),
            is_overlong: false,
            number: 0,
            bytes: 0,
            ended: false,
        }
    }

    /// The next line; none after the last, after a limit, or where the body broke off.
    pub async fn next(&mut self) -> Option<Line> {
        while !self.ended {
            if let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') {
                let rest = self.chunk.split_off(end + 1);
                let part = std::mem::replace(&mut self.chunk, rest);
                self.take(part.get(..end).unwrap_or_default());
                if let Some(line) = self.finish() {
                    return Some(line);
                }
                continue;
            }
            let part = std::mem::take(&mut self.chunk);
            self.take(&part);
            match self.chunks.next().await {
                Some(Ok(chunk)) => {
                    self.bytes += chunk.len() as u64;
                    self.chunk = chunk;
                }
                Some(Err(_)) => return self.stop(ApiError::invalid("the batch broke off here")),
                None => {
                    self.ended = true;
                    return if self.line.is_empty() && !self.is_overlong {
                        None
                    } else {
                        self.finish()
                    };
                }
            }
            if self.bytes > self.limits.bytes {
                let most = self.limits.bytes;
                return self.stop(ApiError::too_large(format!(
                    "the batch has more than {most} bytes; lines from here on are not read: send them as another batch"
                )));
            }
        }
        None
    }

    fn take(&mut self, part: &[u8]) {
        self.is_overlong |= self.line.len() + part.len() > self.limits.line;
        if self.is_overlong {
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
    }

    /// The line that has ended, unless it is blank.
    fn finish(&mut self) -> Option<Line> {
        self.number += 1;
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_overlong) {
            let most = self.limits.line;
            let message = format!("the line has more than {most} bytes; send its text in parts");
            return self.counted(Err(ApiError::too_large(message)));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        self.counted(Ok(line))
    }

    fn counted(&mut self, line: Result<Vec<u8>, ApiError>) -> Option<Line> {
        if self.number <= self.limits.lines {
            return Some((self.number, line));
        }
        let most = self.limits.lines;
        self.number -= 1;
        self.stop(ApiError::too_large(format!(
            "the batch has more than {most} lines; those from here on are not read: send them as another batch"
        )))
    }

    fn stop(&mut self, error: ApiError) -> Option<Line> {
        self.ended = true;
        self.number += 1;
        Some((self.number, Err(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    fn read(chunks: &[&str], limits: LineLimits) -> Vec<(u64, Result<String, u16>)> {
        let chunks: Vec<Result<Bytes, ()>> = chunks
            .iter()
            .map(|chunk| match *chunk {
                "BREAK" => Err(()),
                chunk => Ok(Bytes::copy_from_slice(chunk.as_bytes())),
            })
            .collect();
        let mut lines = Lines::new(stream::iter(chunks), limits);
        let mut all = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        while let Some((number, line)) = runtime.block_on(lines.next()) {
            let line = line.map(|line| String::from_utf8(line).unwrap());
            all.push((number, line.map_err(|error| error.status.as_u16())));
        }
        all
    }

    const WIDE: LineLimits = LineLimits { line: 10, lines: 100, bytes: 1_000 };

    fn ok(number: u64, line: &str) -> (u64, Result<String, u16>) {
        (number, Ok(line.to_owned()))
    }

    #[test]
    fn lines_are_found_however_they_are_cut() {
        let whole = "one\ntwo\r\n\n  \nfive";
        let expected = [ok(1, "one"), ok(2, "two\r"), ok(5, "five")];
        assert_eq!(read(&[whole], WIDE), expected);
        let bytes: Vec<&str> = whole.split_inclusive(|_| true).collect();
        assert_eq!(read(&bytes, WIDE), expected);
        assert_eq!(read(&["", "one\n", "", "two\n"], WIDE), [ok(1, "one"), ok(2, "two")]);
        assert_eq!(read(&[], WIDE), []);
    }

    #[test]
    fn long_lines_are_passed_over_without_being_held() {
        let long = "x".repeat(9);
        let chunks = [&long, &long, "\nok\n", &long, &long, &long];
        assert_eq!(read(&chunks, WIDE), [(1, Err(413)), ok(2, "ok"), (3, Err(413))]);
        assert_eq!(
            read(&["1234567890\n12345678901\n"], WIDE),
            [ok(1, "1234567890"), (2, Err(413))]
        );
    }

    #[test]
    fn limits_and_breaks_end_the_batch_with_a_word() {
        let limits = LineLimits { lines: 2, ..WIDE };
        assert_eq!(read(&["a\nb\nc\nd\n"], limits), [ok(1, "a"), ok(2, "b"), (3, Err(413))]);
        let limits = LineLimits { bytes: 4, ..WIDE };
        assert_eq!(
            read(&["a\n", "b\n", "c\n", "d\n"], limits),
            [ok(1, "a"), ok(2, "b"), (3, Err(413))]
        );
        assert_eq!(read(&["a\nb", "BREAK", "c\n"], WIDE), [ok(1, "a"), (2, Err(400))]);
    }
}
