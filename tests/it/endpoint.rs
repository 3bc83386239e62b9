//! The client of endpoints, against a server that behaves well and badly.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use touchmark::endpoint::{ApiKey, Endpoint, Patience, Settings};
use touchmark::lm::{ChatMessage, Completer, CompleterError, Prompt, Request};

/// What the server does with one request.
enum Act {
    /// Answers: status, further headers, body.
    Answer(u16, &'static str, String),
    /// Says more bytes than it sends, and closes.
    Cut(&'static str),
    /// Closes without a word.
    Hang,
    /// Sends nothing.
    Stall,
    /// Sends the head and then one byte now and then.
    Drip,
    /// Sends a body without end.
    Endless,
    /// Sends a head without end.
    EndlessHead,
}

/// A server with a script. Keeps what it was asked: head and body of each request.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    fn with(script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, kept) = (Arc::new(Mutex::new(VecDeque::from(script))), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, kept) = (Arc::clone(&script), Arc::clone(&kept));
                thread::spawn(move || serve(stream.unwrap(), &script, &kept));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().clone()
    }

    fn endpoint(&self, change: impl FnOnce(&mut Settings)) -> Endpoint {
        let mut settings = Settings::new(&self.address);
        settings.model = Some("m".to_owned());
        settings.proxy = false;
        settings.patience = Patience {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_millis(400),
            whole: Duration::from_millis(1500),
            attempts: 3,
            pause: Duration::from_millis(10),
            longest_pause: Duration::from_secs(2),
            body_bytes: 1 << 20,
        };
        change(&mut settings);
        Endpoint::new(settings).unwrap()
    }
}

fn serve(stream: TcpStream, script: &Mutex<VecDeque<Act>>, kept: &Mutex<Vec<(String, String)>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    kept.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
    let act = script.lock().unwrap().pop_front().unwrap_or(Act::Hang);
    // Whoever does not wait for the end of a bad answer leaves; that is no failure of the server.
    let _ = perform(stream, act);
}

fn perform(mut out: TcpStream, act: Act) -> std::io::Result<()> {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    match act {
        Act::Answer(status, headers, body) => write!(
            out,
            "HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        ),
        Act::Cut(body) => write!(out, "{OK}content-length: 5000\r\n\r\n{body}"),
        Act::Hang => Ok(()),
        Act::Stall => {
            thread::sleep(Duration::from_secs(5));
            Ok(())
        }
        Act::Drip => {
            write!(out, "{OK}content-length: 5000\r\n\r\n")?;
            loop {
                out.write_all(b" ")?;
                thread::sleep(Duration::from_millis(50));
            }
        }
        Act::Endless => {
            write!(out, "{OK}\r\n")?;
            loop {
                out.write_all(&[b' '; 4096])?;
            }
        }
        Act::EndlessHead => {
            write!(out, "{OK}")?;
            loop {
                out.write_all(b"x-more: and more\r\n")?;
            }
        }
    }
}

fn ok(body: &str) -> Act {
    Act::Answer(200, "", body.to_owned())
}

const ANSWER: &str = r#"{"model": "m-0613", "choices": [{"text": " blue", "finish_reason": "length"}],
    "usage": {"prompt_tokens": 4, "completion_tokens": 1}}"#;

fn question() -> Request {
    Request {
        prompt: Prompt::Text("The sky is".to_owned()),
        max_tokens: 1,
        temperature: 1.0,
        top_p: 1.0,
        seed: None,
        top_logprobs: None,
    }
}

#[test]
fn answers_come_with_who_gave_them() {
    let head = "server: stand-in\r\nx-model-name: m1\r\nset-cookie: a=b\r\n";
    let server = Server::with(vec![Act::Answer(200, head, ANSWER.to_owned())]);
    let mut endpoint = server.endpoint(|_| {});
    let answer = endpoint.complete(&question()).unwrap();
    assert_eq!((answer.text.as_str(), answer.model.as_deref()), (" blue", Some("m-0613")));
    assert_eq!((answer.prompt_tokens, answer.completion_tokens), (Some(4), Some(1)));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(answer.headers, [header("server", "stand-in"), header("x-model-name", "m1")]);
    let (head, body) = &server.asked()[0];
    assert!(head.starts_with("POST /v1/completions "), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["max_tokens"], &body["temperature"]), (&1.into(), &1.0.into()));
}

#[test]
fn conversations_go_to_their_own_route_and_the_limit_is_renamed_once() {
    let refusal = r#"{"error": {"message": "Unsupported parameter: 'max_tokens'; use 'max_completion_tokens' instead."}}"#;
    let answer = r#"{"choices": [{"message": {"content": "Blue"}}]}"#;
    let server =
        Server::with(vec![Act::Answer(400, "", refusal.to_owned()), ok(answer), ok(answer)]);
    let mut endpoint = server.endpoint(|_| {});
    let message = ChatMessage { role: "user".to_owned(), content: "The sky is".to_owned() };
    let request = Request { prompt: Prompt::Messages(vec![message]), ..question() };
    for _ in 0..2 {
        assert_eq!(endpoint.complete(&request).unwrap().text, "Blue");
    }
    let asked = server.asked();
    assert!(asked.iter().all(|(head, _)| head.starts_with("POST /v1/chat/completions ")));
    let renamed: Vec<_> =
        asked.iter().map(|(_, body)| body.contains("max_completion_tokens")).collect();
    assert_eq!(renamed, [false, true, true]);
}

#[test]
fn what_passes_is_tried_again_and_what_lasts_is_not() {
    let server = Server::with(vec![
        Act::Answer(503, "", String::new()),
        Act::Answer(429, "retry-after: 1\r\n", "slow down".to_owned()),
        ok(ANSWER),
    ]);
    let began = Instant::now();
    assert_eq!(server.endpoint(|_| {}).complete(&question()).unwrap().text, " blue");
    assert!(began.elapsed() >= Duration::from_secs(1), "Retry-After was not kept");

    for status in [400, 401, 403, 404, 422] {
        let server = Server::with(vec![Act::Answer(status, "", r#"{"error": "no"}"#.to_owned())]);
        let error = server.endpoint(|_| {}).complete(&question()).unwrap_err();
        assert!(
            matches!(&error, CompleterError::Refused { status: got, message, .. } if *got == status && message == "no"),
            "{error}"
        );
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn patience_ends() {
    let server = Server::with((0..9).map(|_| Act::Answer(500, "", String::new())).collect());
    let error = server.endpoint(|_| {}).complete(&question()).unwrap_err();
    assert!(matches!(error, CompleterError::Unavailable { attempts: 3, .. }), "{error}");
    assert_eq!(server.asked().len(), 3);
    // Who asks for a longer pause than is allowed is not asked again.
    let server = Server::with(vec![Act::Answer(429, "retry-after: 3600\r\n", String::new())]);
    let began = Instant::now();
    let error = server.endpoint(|_| {}).complete(&question()).unwrap_err();
    assert!(error.to_string().contains("3600"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[test]
fn stalls_drips_and_floods_end() {
    for (act, within) in [
        (Act::Stall, 1000),
        (Act::Drip, 2500),
        (Act::Endless, 1500),
        (Act::EndlessHead, 1500),
        (Act::Hang, 500),
        (Act::Cut(r#"{"choices": ["#), 500),
    ] {
        let server = Server::with(vec![act]);
        let began = Instant::now();
        let mut endpoint = server.endpoint(|settings| settings.patience.attempts = 1);
        assert!(endpoint.complete(&question()).is_err());
        assert!(began.elapsed() < Duration::from_millis(within), "{:?}", began.elapsed());
    }
    let server = Server::with(vec![Act::Endless]);
    let error = server.endpoint(|_| {}).complete(&question()).unwrap_err();
    assert!(matches!(error, CompleterError::Malformed { .. }), "{error}");
}

#[test]
fn garbage_is_told_and_not_taken_for_an_answer() {
    for body in [
        "",
        "<html>Bad gateway</html>",
        "{\"choices\": [",
        "[]",
        "null",
        r#"{"choices": [{"text": 5}]}"#,
        r#"{"choices": [{"text": "a", "logprobs": {"tokens": "a"}}]}"#,
    ] {
        let server = Server::with(vec![ok(body)]);
        let error = server.endpoint(|_| {}).complete(&question()).unwrap_err();
        assert!(matches!(error, CompleterError::Malformed { .. }), "{body}: {error}");
    }
}

/// A key in a file that ends with the value.
fn key(text: &str) -> ApiKey {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    ApiKey::from_file(file.path()).unwrap()
}

#[test]
fn the_key_goes_to_its_own_host_alone_and_is_never_repeated() {
    let elsewhere = Server::with(vec![ok(ANSWER)]);
    let to: &'static str =
        Box::leak(format!("location: {}/v1/completions\r\n", elsewhere.address).into_boxed_str());
    let server = Server::with(vec![Act::Answer(307, to, String::new())]);
    let mut endpoint = server.endpoint(|settings| settings.key = Some(key("sk-secret\n")));
    let error = endpoint.complete(&question()).unwrap_err();
    assert!(matches!(error, CompleterError::Refused { status: 307, .. }), "{error}");
    assert!(elsewhere.asked().is_empty());
    assert!(server.asked()[0].0.contains("Bearer sk-secret"));
    assert!(!format!("{endpoint:?}").contains("secret"));

    let server = Server::with(vec![
        Act::Answer(307, "location: /v2/completions\r\n", String::new()),
        ok(ANSWER),
    ]);
    assert!(server.endpoint(|_| {}).complete(&question()).is_ok());
    assert!(server.asked()[1].0.starts_with("POST /v2/completions "));

    let server = Server::with(vec![Act::Answer(401, "", "wrong key: sk-secret".to_owned())]);
    let mut endpoint = server.endpoint(|settings| settings.key = Some(key("sk-secret")));
    assert!(!endpoint.complete(&question()).unwrap_err().to_string().contains("secret"));
}

#[test]
fn who_it_is_costs_no_tokens() {
    let list = r#"{"data": [{"id": "m", "owned_by": "us", "max_model_len": 1024}, {"id": "n"}]}"#;
    let server = Server::with(vec![Act::Answer(200, "server: stand-in\r\n", list.to_owned())]);
    let about = server.endpoint(|_| {}).about().unwrap();
    let of = |name: &str| about.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str());
    assert_eq!(
        (of("models"), of("owned_by"), of("server")),
        (Some("m, n"), Some("us"), Some("stand-in"))
    );
    assert_eq!(of("max_model_len"), Some("1024"));
    assert!(server.asked()[0].0.starts_with("GET /v1/models "));
    // A gateway that lists nothing can still be asked.
    let server = Server::with(vec![Act::Answer(404, "", String::new())]);
    assert!(server.endpoint(|_| {}).about().is_ok());
}

#[test]
fn the_only_model_needs_no_name() {
    let server = Server::with(vec![ok(r#"{"data": [{"id": "only"}]}"#), ok(ANSWER)]);
    let mut endpoint = server.endpoint(|settings| settings.model = None);
    endpoint.complete(&question()).unwrap();
    assert!(server.asked()[1].1.contains(r#""model":"only""#));
    let server = Server::with(vec![ok(r#"{"data": [{"id": "a"}, {"id": "b"}]}"#)]);
    let mut endpoint = server.endpoint(|settings| settings.model = None);
    assert!(endpoint.complete(&question()).unwrap_err().to_string().contains("a, b"));
}

#[test]
fn questions_keep_their_distance() {
    let server = Server::with((0..3).map(|_| ok(ANSWER)).collect());
    let mut endpoint = server.endpoint(|settings| settings.interval = Duration::from_millis(100));
    let began = Instant::now();
    for _ in 0..3 {
        endpoint.complete(&question()).unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(200));
}
