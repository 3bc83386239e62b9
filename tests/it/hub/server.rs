//! A hub on this machine: the part of the protocol that fetching a model uses, and every way in which it can fail.
//!
//! Large files are redirected to a second port, as the hub redirects to its storage. `tests/it/hub/peer.rs` shows that
//! `huggingface_hub` takes it for a hub.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A file of the repository.
#[derive(Clone, Debug)]
pub struct HubFile {
    pub name: String,
    pub content: Vec<u8>,
    /// Kept in large-file storage: hashed with SHA-256 and redirected.
    pub large: bool,
}

impl HubFile {
    pub fn git(&self) -> String {
        let mut sha1 = Sha1::new();
        sha1.update(format!("blob {}\0", self.content.len()));
        sha1.update(&self.content);
        hex(&sha1.finalize())
    }

    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.content))
    }

    /// The hash by which the hub names the file.
    pub fn etag(&self) -> String {
        if self.large { self.sha256() } else { self.git() }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What goes wrong with one answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Another status, with headers.
    Status(u16, Vec<(&'static str, &'static str)>),
    /// The connection is closed after so many bytes of the body.
    Cut(usize),
    /// Nothing more is sent after so many bytes of the body.
    Stall(usize),
    /// Nothing is sent at all.
    Silence,
    /// One byte of the body is another.
    Altered,
    /// The body is longer than stated, without a stated length.
    Longer,
    /// The whole file, whatever range was asked for.
    NoRange,
    /// A range from the file's beginning, whatever range was asked for.
    OtherRange,
    /// This body, with status 200.
    Body(String),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub storage: bool,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    id: String,
    files: Vec<HubFile>,
    /// Whether the listing states sizes and hashes when asked to; some mirrors do not.
    plain: bool,
    faults: Mutex<Vec<(String, Fault, usize)>>,
    seen: Mutex<Vec<Seen>>,
    storage: String,
    stopped: AtomicBool,
}

/// A hub that serves one model until it is dropped.
pub struct Server {
    pub endpoint: String,
    state: Arc<State>,
}

impl Server {
    pub fn of(id: &str, files: Vec<HubFile>) -> Self {
        Self::start(id, files, false)
    }

    /// A mirror whose listing has names only.
    pub fn plain(id: &str, files: Vec<HubFile>) -> Self {
        Self::start(id, files, true)
    }

    fn start(id: &str, files: Vec<HubFile>, plain: bool) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub, storage) = (listen(), listen());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let endpoint = address(&hub);
        let storage_address = address(&storage);
        let state = Arc::new(State {
            id: id.into(),
            files,
            plain,
            storage: storage_address,
            ..State::default()
        });
        for (listener, is_storage) in [(hub, false), (storage, true)] {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if state.stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    let state = Arc::clone(&state);
                    // A client that hangs up early is no fault of the server.
                    std::thread::spawn(move || drop(serve(&state, stream.unwrap(), is_storage)));
                }
            });
        }
        Self { endpoint, state }
    }

    /// The next `times` requests whose path contains `part` fail so; content faults wait for the body's own request.
    pub fn fail(&self, part: &str, fault: Fault, times: usize) {
        self.state.faults.lock().unwrap().push((part.into(), fault, times));
    }

    /// All requests so far whose path contains `part`.
    pub fn seen(&self, part: &str) -> Vec<Seen> {
        let seen = self.state.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.path.contains(part)).cloned().collect()
    }

    pub fn forget(&self) {
        self.state.seen.lock().unwrap().clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        for address in [&self.endpoint, &self.state.storage] {
            // Wakes the thread that listens.
            let _ = TcpStream::connect(address.trim_start_matches("http://"));
        }
    }
}

fn serve(state: &State, stream: TcpStream, storage: bool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let seen = Seen { storage, method, path, headers };
    state.seen.lock().unwrap().push(seen.clone());
    let reply = state.reply(&seen);
    let fault = state.fault(&seen, &reply);
    send(stream, &seen, reply, fault)
}

/// An answer before anything goes wrong with it.
#[derive(Clone, Default)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Whether the body is a file's content, so that ranges apply.
    content: bool,
}

impl Reply {
    fn json(body: String) -> Self {
        let headers = vec![("Content-Type".into(), "application/json".into())];
        Self { status: 200, headers, body: body.into_bytes(), content: false }
    }

    fn refused(status: u16, code: &str) -> Self {
        Self { status, headers: vec![("X-Error-Code".into(), code.into())], ..Self::default() }
    }
}

impl State {
    fn reply(&self, seen: &Seen) -> Reply {
        let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
        if seen.storage {
            let file = self.files.iter().find(|file| path == format!("/{}", file.sha256()));
            return file.map_or_else(
                || Reply::refused(404, "NoSuchKey"),
                |file| Reply {
                    status: 200,
                    headers: vec![("ETag".into(), "\"of-the-storage\"".into())],
                    body: file.content.clone(),
                    content: true,
                },
            );
        }
        if let Some(rest) = path.strip_prefix("/api/models/") {
            return self.api(rest, query);
        }
        match path.trim_start_matches('/').split_once("/resolve/") {
            Some((id, rest)) if id == self.id => self.resolve(rest),
            // The oldest names, without an organisation, are redirected within the hub.
            Some(("old", rest)) => self.moved(format!("/{}/resolve/{rest}", self.id)),
            _ => Reply::refused(404, "RepoNotFound"),
        }
    }

    fn moved(&self, to: String) -> Reply {
        Reply { status: 307, headers: vec![("Location".into(), to)], ..Reply::default() }
    }

    fn api(&self, rest: &str, query: &str) -> Reply {
        if let Some(rest) = rest.strip_prefix("old/") {
            return self.moved(format!("/api/models/{}/{rest}?{query}", self.id));
        }
        // Without a login the hub does not tell a private model from none.
        let Some(rest) = rest.strip_prefix(&format!("{}/", self.id)) else {
            return Reply::refused(401, "RepoNotFound");
        };
        let (kind, revision) = rest.split_once('/').unwrap_or((rest, ""));
        if !["main", "v1", "refs%2Fpr%2F1", COMMIT].contains(&revision) {
            return Reply::refused(404, "RevisionNotFound");
        }
        if kind == "tree" {
            return Reply::json(self.tree());
        }
        let detailed = !self.plain && query.contains("blobs=true");
        let sibling = |file: &HubFile| {
            let mut it = serde_json::json!({ "rfilename": file.name });
            if detailed {
                it["size"] = file.content.len().into();
                it["blobId"] = file.git().into();
            }
            if detailed && file.large {
                let size = file.content.len();
                it["lfs"] = serde_json::json!({ "sha256": file.sha256(), "size": size, "pointerSize": 130 });
            }
            it
        };
        let siblings: Vec<_> = self.files.iter().map(sibling).collect();
        let listing = serde_json::json!({
            "id": self.id, "modelId": self.id, "private": false, "tags": [], "downloads": 0,
            "sha": COMMIT, "siblings": siblings,
        });
        Reply::json(listing.to_string())
    }

    fn tree(&self) -> String {
        let item = |file: &HubFile| {
            let size = file.content.len();
            let mut it = serde_json::json!({ "type": "file", "path": file.name, "size": size, "oid": file.git() });
            if file.large {
                it["lfs"] =
                    serde_json::json!({ "oid": file.sha256(), "size": size, "pointerSize": 130 });
            }
            it
        };
        serde_json::Value::Array(self.files.iter().map(item).collect()).to_string()
    }

    fn resolve(&self, rest: &str) -> Reply {
        let found = rest.strip_prefix(&format!("{COMMIT}/")).or_else(|| rest.strip_prefix("main/"));
        let Some(name) = found else { return Reply::refused(404, "RevisionNotFound") };
        let Some(file) = self.files.iter().find(|file| file.name == name) else {
            return Reply::refused(404, "EntryNotFound");
        };
        let mut headers = vec![("X-Repo-Commit".to_owned(), COMMIT.to_owned())];
        if !file.large {
            headers.push(("ETag".into(), format!("\"{}\"", file.git())));
            return Reply { status: 200, headers, body: file.content.clone(), content: true };
        }
        headers.push(("X-Linked-Etag".into(), format!("\"{}\"", file.sha256())));
        headers.push(("X-Linked-Size".into(), file.content.len().to_string()));
        let to = format!("{}/{}?X-Signature=SECRET", self.storage, file.sha256());
        headers.push(("Location".into(), to));
        Reply { status: 302, headers, ..Reply::default() }
    }

    /// The fault that applies to an answer, used up.
    fn fault(&self, seen: &Seen, reply: &Reply) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let hit = faults.iter_mut().find(|(part, fault, times)| {
            let of_body = !matches!(fault, Fault::Status(..) | Fault::Silence | Fault::Body(_));
            let named = self.files.iter().find(|file| seen.path.contains(&file.sha256()));
            let path = match named {
                Some(file) if seen.storage => format!("storage/{}", file.name),
                _ => seen.path.clone(),
            };
            *times > 0 && path.contains(part.as_str()) && (!of_body || reply.status == 200)
        })?;
        hit.2 -= 1;
        Some(hit.1.clone())
    }
}

fn send(
    mut stream: TcpStream,
    seen: &Seen,
    mut reply: Reply,
    fault: Option<Fault>,
) -> std::io::Result<()> {
    let asked = seen.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
    let mut from = asked.and_then(|range| range.trim_end_matches('-').parse::<usize>().ok());
    let size = reply.body.len();
    match &fault {
        Some(Fault::Silence) => return silence(stream),
        Some(Fault::Status(status, headers)) => {
            let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            reply = Reply { status: *status, headers: headers.collect(), ..Reply::default() };
        }
        Some(Fault::Body(body)) => reply = Reply::json(body.clone()),
        Some(Fault::Altered) => reply.body[size / 2] ^= 1,
        Some(Fault::Longer) => reply.body.extend_from_slice(b"more"),
        Some(Fault::NoRange) => from = None,
        Some(Fault::OtherRange) => from = from.map(|_| 0),
        _ => {}
    }
    if let Some(from) = from.filter(|_| reply.content && reply.status == 200) {
        if from >= size {
            reply = Reply { status: 416, ..Reply::default() };
        } else {
            reply.status = 206;
            reply.body.drain(..from);
            let range = format!("bytes {from}-{}/{size}", size - 1);
            reply.headers.push(("Content-Range".into(), range));
        }
    }
    let mut head = format!("HTTP/1.1 {} Something\r\nConnection: close\r\n", reply.status);
    if !matches!(fault, Some(Fault::Longer)) {
        head += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if seen.method == "HEAD" {
        return Ok(());
    }
    match fault {
        Some(Fault::Cut(bytes)) => stream.write_all(&reply.body[..bytes.min(reply.body.len())]),
        Some(Fault::Stall(bytes)) => {
            stream.write_all(&reply.body[..bytes.min(reply.body.len())])?;
            silence(stream)
        }
        _ => stream.write_all(&reply.body),
    }
}

/// Keeps a connection open and says nothing, until the other side hangs up.
fn silence(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut byte = [0];
    std::io::Read::read(&mut stream, &mut byte)?;
    Ok(())
}
