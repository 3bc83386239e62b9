//! The server as clients meet it: the program is started, and asked over HTTP.

mod answers;
mod behaviour;
mod ending;
mod policies;
mod reading;
mod startup;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::Home;

/// A running server. It ends with the value.
struct Server {
    child: Child,
    address: String,
    agent: ureq::Agent,
    key: Option<String>,
}

/// What came back.
struct Reply {
    status: u16,
    headers: ureq::http::HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The error object's field at fault, after a check of the status.
    #[track_caller]
    fn fault(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        let error = &self.json()["error"];
        assert!(error["message"].is_string() && error["type"].is_string(), "{}", self.text);
        error["param"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }
}

impl Server {
    /// Starts the server at a free port, and waits until it is ready.
    fn start(home: &Home, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
        command
            .args(["--json", "serve", "--port", "0", "--cache-memory", "256"])
            .args(arguments)
            .current_dir(home.path("."))
            .env("TOUCHMARK_HOME", home.path("home"))
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(home.path("server.log")).unwrap());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.trim_end().ends_with('}') {
            let read = out.read_line(&mut text).unwrap();
            assert!(read > 0, "{}", std::fs::read_to_string(home.path("server.log")).unwrap());
        }
        let started: Value = serde_json::from_str(&text).unwrap();
        let address = started["address"].as_str().unwrap().to_owned();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(120)))
            .build()
            .into();
        Self { child, address, agent, key: None }
    }

    /// The same server, asked with an API key.
    fn with_key(&self, key: &str) -> Asking<'_> {
        Asking { server: self, key: Some(key.to_owned()) }
    }

    fn anybody(&self) -> Asking<'_> {
        Asking { server: self, key: self.key.clone() }
    }

    fn post(&self, path: &str, body: &Value) -> Reply {
        self.anybody().post(path, body)
    }

    fn get(&self, path: &str) -> Reply {
        self.anybody().get(path)
    }

    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for its own end, and gives the exit code.
    fn ended(&mut self, within: Duration) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < within, "the server did not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// One value of `/metrics`.
    fn metric(&self, line: &str) -> f64 {
        let text = self.get("/metrics").text;
        let found = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0.0, |value| value.trim().parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who asks.
struct Asking<'s> {
    server: &'s Server,
    key: Option<String>,
}

impl Asking<'_> {
    fn headers<T>(&self, mut request: ureq::RequestBuilder<T>) -> ureq::RequestBuilder<T> {
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        request
    }

    fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_text(path, &body.to_string())
    }

    fn post_text(&self, path: &str, body: &str) -> Reply {
        let request = self.server.agent.post(format!("{}{path}", self.server.address));
        let request = self.headers(request).header("content-type", "application/json");
        reply(request.send(body).unwrap())
    }

    fn get(&self, path: &str) -> Reply {
        let request = self.server.agent.get(format!("{}{path}", self.server.address));
        reply(self.headers(request).call().unwrap())
    }

    /// The chunks of a stream, which must end with `[DONE]` unless the last is an error.
    fn stream(&self, path: &str, body: &Value) -> Vec<Value> {
        let mut body = body.clone();
        body["stream"] = json!(true);
        let reply = self.post(path, &body);
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!(reply.header("content-type").starts_with("text/event-stream"));
        let data: Vec<&str> =
            reply.text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let (last, chunks) = data.split_last().unwrap();
        let mut chunks: Vec<Value> =
            chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
        if *last != "[DONE]" {
            let error: Value = serde_json::from_str(last).unwrap();
            assert!(
                error["error"].is_object(),
                "a stream must end with [DONE] or an error: {last}"
            );
            chunks.push(error);
        }
        chunks
    }

    /// A story of so many tokens.
    fn story(&self, tokens: usize, more: Value) -> Reply {
        self.post("/v1/completions", &story(tokens, more))
    }
}

fn story(tokens: usize, more: Value) -> Value {
    let mut body = json!({
        "model": "scribe-16m-chat", "prompt": "The old house stood at the end of the lane, and", "max_tokens": tokens,
        "ignore_eos": true, "temperature": 1.0, "seed": 7,
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn reply(response: ureq::http::Response<ureq::Body>) -> Reply {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut text = String::new();
    response.into_body().into_reader().read_to_string(&mut text).unwrap();
    Reply { status, headers, text }
}

/// A new API key, in the policy file `keys.toml`.
fn api_key(home: &Home, name: &str, more: &[&str]) -> String {
    let made = home.ok(&[&["-q", "api-key", "new", name, "--file", "keys.toml"], more].concat());
    made.trim().to_owned()
}
