//! Questions about texts over HTTP: who is told what, how much, and how often.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{self, Next};
use serde_json::{Value, json};
use touchmark::detect::{Row, Segment, Shown, Verdict};
use touchmark::profile::Profile;
use touchmark::serve::detection::{
    Detection, DetectionSettings, Examine, ExamineError, Finding, ProfileInfo, Question, router,
};
use touchmark::serve::{Caller, Network, Role, page};
use touchmark::watermark::Evidence;

const PROFILE: &str = r#"
schema = 1
id = "house-style"
key_id = "k-0123456789ab"
prf = "touchmark-v1"
repeats = "score-once"
created = "2026-11-21T08:00:00Z"
[scheme]
scheme = "kgw"
gamma = 0.25
delta = 2.0
context_width = 2
[tokenizer]
hash = "386e9b0003f3c57b71eafb80d97a7a2968c93622bfd7c36e97c7b76ddf2e6363"
vocab_size = 8192
name = "toy"
"#;

/// A mark that anybody can see: words that begin with `mk`. Twenty are enough.
struct Plain {
    profile: Profile,
    read: AtomicUsize,
}

impl Plain {
    fn new() -> Arc<Self> {
        Arc::new(Self { profile: Profile::parse(PROFILE).unwrap(), read: AtomicUsize::new(0) })
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::SeqCst)
    }
}

impl Examine for Plain {
    fn examine(&self, question: &Question) -> Result<Finding, ExamineError> {
        let words: Vec<&str> = question.text.split_whitespace().collect();
        if words.len() < question.min_tokens {
            return Ok(Finding { tokens: words.len(), rows: Vec::new(), shown: Vec::new() });
        }
        if question.text.contains("FAIL") {
            return Err(ExamineError::Failed("SECRET cause".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(if question.text.contains("SLOW") {
            300
        } else {
            0
        }));
        self.read.fetch_add(1, Ordering::SeqCst);
        let marked = words.iter().filter(|word| word.starts_with("mk")).count();
        let verdict = match (marked, words.len()) {
            (20.., _) => Verdict::Detected,
            (_, 150..) => Verdict::NotDetected,
            _ => Verdict::InsufficientEvidence,
        };
        let row = Row {
            verdict,
            log10_p: -(marked as f64) - 2.0,
            log10_p_corrected: -(marked as f64),
            score: marked as f64 / words.len() as f64,
            tokens_total: words.len(),
            tokens_scored: words.len() - 3,
            threshold_log10_p: -20.0,
            more_tokens: (verdict == Verdict::InsufficientEvidence)
                .then_some(153 - words.len() as u64),
            segments: vec![Segment {
                start: 1,
                end: 5,
                byte_start: None,
                byte_end: None,
                log10_p: -20.5,
                start_between: (1, 1),
                end_between: (5, 5),
            }],
            family: "1 test".to_owned(),
            warnings: vec!["a warning".to_owned()],
            ..Row::error(question.id.clone(), "request".to_owned(), 0, &self.profile, Vec::new())
        };
        let other = Row { key_id: "k-other".to_owned(), log10_p_corrected: 0.0, ..row.clone() };
        let shown = question.explain.then(|| shown(&question.text));
        let shown = shown.into_iter().cycle().take(if question.explain { 2 } else { 0 }).collect();
        Ok(Finding { tokens: words.len(), rows: vec![other, row], shown })
    }

    fn profiles(&self) -> Vec<ProfileInfo> {
        vec![ProfileInfo::of(&self.profile)]
    }

    fn threshold_log10_p(&self) -> f64 {
        -20.0
    }
}

fn shown(text: &str) -> Shown {
    let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    let bytes: Vec<_> =
        text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect();
    let evidence = Evidence {
        positions: (0..bytes.len() as u32).collect(),
        values: text.split_whitespace().map(|word| f64::from(word.starts_with("mk"))).collect(),
        total: bytes.len(),
        ..Evidence::default()
    };
    Shown::new(text.to_owned(), &bytes, &evidence, [0.5, 2.0, f64::INFINITY])
}

/// A server on a port of its own; who asks is said in a header.
struct Server {
    address: SocketAddr,
    detector: Arc<Plain>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn new(settings: DetectionSettings) -> Self {
        let detector = Plain::new();
        let detection = Detection::new(Arc::clone(&detector) as Arc<dyn Examine>, settings);
        let routes = router(Arc::new(detection.unwrap())).layer(middleware::from_fn(caller));
        let routes = routes.merge(page::router());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let _entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        runtime.spawn(async move { axum::serve(listener, routes).await });
        drop(_entered);
        Self { address, detector, _runtime: runtime }
    }

    /// Status, `Retry-After` and body of an answer.
    fn post(&self, path: &str, who: &str, body: &str) -> (u16, Option<u64>, String) {
        let kind =
            if path.ends_with("batch") { "application/x-ndjson" } else { "application/json" };
        self.send("POST", path, who, kind, body)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        who: &str,
        kind: &str,
        body: &str,
    ) -> (u16, Option<u64>, String) {
        let mut stream = self.connect();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Who: {who}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        );
        // A server that refuses a body need not read it.
        let _ = stream.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat());
        let (status, headers) = head_of(&mut stream);
        let retry =
            headers.iter().find_map(|line| line.strip_prefix("retry-after: ")?.parse().ok());
        let chunked = headers.iter().any(|line| line == "transfer-encoding: chunked");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        let body = if chunked { unchunked(&rest) } else { rest };
        (status, retry, String::from_utf8(body).unwrap())
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        BufReader::new(stream)
    }

    fn ask(&self, who: &str, text: &str) -> Value {
        let (status, _, body) = self.post("/detect", who, &json!({"text": text}).to_string());
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn head_of(stream: &mut BufReader<TcpStream>) -> (u16, Vec<String>) {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_lowercase());
    }
    let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    (status, lines)
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
    }
    body
}

async fn caller(mut request: Request, next: Next) -> axum::response::Response {
    let who = request.headers().get("x-who").map(|who| who.to_str().unwrap().to_owned());
    let network = |address: &str| Network::of(address.parse().unwrap());
    match who.as_deref() {
        Some("analyst") => {
            let account = Some("ann".to_owned());
            request.extensions_mut().insert(Caller {
                role: Role::Analyst,
                account,
                network: network("10.0.0.1"),
            });
        }
        Some("") | None => {}
        Some(address) => {
            request.extensions_mut().insert(Caller {
                role: Role::Public,
                account: None,
                network: network(address),
            });
        }
    }
    next.run(request).await
}

/// Words by a seed, so many of them marked, from a place on.
fn text(words: usize, seed: u64, marked: std::ops::Range<usize>) -> Vec<String> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 33
    };
    let mut word =
        |at: usize| format!("{}{}", if marked.contains(&at) { "mk" } else { "w" }, next() % 2_000);
    (0..words).map(&mut word).collect()
}

const PUBLIC: &str = "203.0.113.7";

/// All names of fields, and whether they hold numbers.
fn fields(value: &Value, into: &mut Vec<(String, bool)>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            into.push((name.clone(), value.is_number()));
            fields(value, into);
        }),
        Value::Array(values) => values.iter().for_each(|value| fields(value, into)),
        _ => {}
    }
}

#[test]
fn the_public_sees_verdicts_and_no_evidence() {
    let server = Server::new(DetectionSettings::default());
    let expected = [
        (text(300, 1, 50..90), "detected", true),
        (text(300, 2, 0..0), "not_detected", false),
        (text(120, 3, 0..3), "insufficient_evidence", false),
        (text(60, 4, 0..60), "insufficient_evidence", false),
    ];
    for (words, verdict, is_marked) in expected {
        let answer = server.ask(PUBLIC, &words.join(" "));
        assert_eq!(
            (&answer["verdict"], &answer["is_watermarked"]),
            (&json!(verdict), &json!(is_marked))
        );
        assert_eq!(answer["num_tokens"], words.len());
        assert_eq!((&answer["score"], &answer["p_value"]), (&Value::Null, &Value::Null));
        let mut all = Vec::new();
        fields(&answer, &mut all);
        let numbers: Vec<&str> =
            all.iter().filter(|(_, number)| *number).map(|(name, _)| name.as_str()).collect();
        assert!(
            numbers
                .iter()
                .all(|name| ["num_tokens", "num_scored_tokens", "needed_tokens"].contains(name)),
            "{numbers:?}"
        );
        let known = [
            "is_watermarked",
            "verdict",
            "num_scored_tokens",
            "num_tokens",
            "needed_tokens",
            "reason",
            "score",
            "p_value",
        ];
        assert!(all.iter().all(|(name, _)| known.contains(&name.as_str())), "{all:?}");
        assert_eq!(answer["num_scored_tokens"].as_u64().unwrap() % 10, 0);
    }
    // Of a text that is too short no mark was read.
    assert_eq!(server.detector.read(), 3);
    let short = server.ask(PUBLIC, &text(60, 4, 0..60).join(" "));
    assert_eq!((&short["needed_tokens"], &short["reason"]), (&json!(100), &json!("too_short")));
    let little = server.ask(PUBLIC, &text(130, 5, 0..3).join(" "));
    assert_eq!((&little["needed_tokens"], little.get("reason")), (&json!(150), None));
}

#[test]
fn analysts_see_the_rows_and_the_tokens() {
    let server = Server::new(DetectionSettings::default());
    let words = text(300, 1, 50..90).join("  ");
    let body = json!({"text": words, "explain": true, "id": "letter"}).to_string();
    let (status, _, body) = server.post("/v1/watermark/detect", "analyst", &body);
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let question = Question {
        id: "letter".to_owned(),
        text: words.clone(),
        prompt: None,
        explain: false,
        min_tokens: 0,
    };
    let rows = Plain::new().examine(&question).unwrap().rows;
    assert_eq!(answer["rows"], serde_json::to_value(&rows).unwrap());
    // Told of is the row that speaks most.
    assert_eq!(answer["key_id"], "k-0123456789ab");
    assert_eq!((&answer["log10_p"], &answer["log10_p_corrected"]), (&json!(-42.0), &json!(-40.0)));
    assert_eq!((&answer["p_value"], &answer["num_scored_tokens"]), (&json!(1e-40), &json!(297)));
    assert_eq!(answer["warnings"], json!(["a warning"]));
    assert_eq!(answer["segments"], serde_json::to_value(&rows[1].segments).unwrap());
    let pieces = answer["evidence"]["pieces"].as_array().unwrap();
    let whole: String = pieces.iter().map(|piece| piece["text"].as_str().unwrap()).collect();
    assert_eq!(whole, words);
    let marked = pieces.iter().filter(|piece| piece["level"] == 1).count();
    assert_eq!((marked, &answer["evidence"]["steps"][2]), (40, &Value::Null));
    // Of short texts too, however often they ask.
    for _ in 0..3 {
        let answer = server.ask("analyst", "mk1 mk2 w3");
        assert_eq!(
            (&answer["verdict"], &answer["log10_p_corrected"]),
            (&json!("insufficient_evidence"), &json!(-2.0))
        );
        assert!(answer.get("evidence").is_none());
    }
    assert_eq!(server.detector.read(), 4);
}

#[test]
fn small_edits_teach_nothing_and_accuse_nobody() {
    let server = Server::new(DetectionSettings::default());
    let read = || server.detector.read();
    // Marked words are taken out one at a time. Where the answer turns is up to the server's secret; but of 24 shingles in a row,
    // those that 22 words in a row are in, at least six are fingerprints, and five may be missing.
    let mut words = text(300, 1, 100..130);
    assert_eq!(server.ask(PUBLIC, &words.join(" "))["verdict"], "detected");
    let mut seen = Vec::new();
    for at in 100..122 {
        words[at] = format!("w{at}");
        let answer = server.ask(&format!("203.0.113.{at}"), &words.join(" "));
        seen.push((answer["verdict"].clone(), answer["reason"].clone()));
    }
    assert_eq!(read(), 1, "no edit was examined");
    let detected = (json!("detected"), json!("same_as_earlier"));
    let alike = (json!("insufficient_evidence"), json!("like_earlier"));
    assert!(seen.iter().all(|answer| *answer == detected || *answer == alike), "{seen:?}");
    assert_eq!(seen.last(), Some(&alike));
    // Somebody asks about another's text with a marked passage put into it, inside or behind.
    for (number, at) in [(1, 200), (2, 400)] {
        let innocent = text(400, 20 + number, 0..0);
        let mut poisoned = innocent.clone();
        poisoned.splice(at..at, text(30, 30 + number, 0..30));
        assert_eq!(server.ask("203.0.113.200", &poisoned.join(" "))["verdict"], "detected");
        let answer = server.ask(PUBLIC, &innocent.join(" "));
        assert_eq!(
            (&answer["is_watermarked"], &answer["reason"]),
            (&json!(false), &json!("like_earlier"))
        );
        assert_eq!(server.ask("analyst", &innocent.join(" "))["verdict"], "not_detected");
    }
    // Or with the mark taken out: no verdict, rather than that of the other text.
    let marked = text(300, 40, 100..140);
    let mut cleaned = marked.clone();
    for word in &mut cleaned[100..140] {
        *word = word.replace("mk", "c");
    }
    assert_eq!(server.ask("203.0.113.200", &cleaned.join(" "))["verdict"], "not_detected");
    assert_eq!(server.ask(PUBLIC, &marked.join(" "))["reason"], "like_earlier");
    // What was too short keeps no longer text from being read.
    let essay = text(400, 50, 0..0);
    assert_eq!(server.ask(PUBLIC, &essay[..90].join(" "))["reason"], "too_short");
    assert_eq!(server.ask(PUBLIC, &essay.join(" "))["verdict"], "not_detected");
}

#[test]
fn of_like_texts_at_the_same_time_one_is_examined() {
    let server =
        Arc::new(Server::new(DetectionSettings { workers: 4, ..DetectionSettings::default() }));
    let words = text(300, 1, 100..130);
    let ask = |number: usize| {
        let (server, mut words) = (Arc::clone(&server), words.clone());
        words[100 + number] = "SLOW".to_owned();
        let body = json!({"text": words.join(" ")}).to_string();
        std::thread::spawn(move || server.post("/detect", &format!("203.0.113.{number}"), &body))
    };
    let asking: Vec<_> = (0..6).map(ask).collect();
    let answers: Vec<_> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
    assert_eq!(server.detector.read(), 1);
    assert!(answers.iter().filter(|answer| answer.0 == 429).all(|answer| answer.1 == Some(1)));
    assert!(answers.iter().any(|answer| answer.0 == 200));
}

#[test]
fn budgets_end_and_are_each_clients_own() {
    let server = Server::new(DetectionSettings { texts_a_day: 3, ..DetectionSettings::default() });
    let ask = |who: &str, seed: u64| {
        let body = json!({"text": text(150, seed, 0..0).join(" ")}).to_string();
        server.post("/v1/watermark/detect", who, &body)
    };
    assert!((0..3).all(|seed| ask("2001:db8:1:2::1", seed).0 == 200));
    let (status, retry, body) = ask("2001:db8:1:2:ffff::9", 4);
    assert_eq!(status, 429, "of the same network");
    assert!((1..=86_400).contains(&retry.unwrap()));
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(error["error"]["code"], "rate_limit_exceeded");
    assert_eq!(ask("2001:db8:1:3::1", 5).0, 200);
    assert!((0..10).all(|seed| ask("analyst", seed).0 == 200));
    let server =
        Server::new(DetectionSettings { tokens_a_day: 200, ..DetectionSettings::default() });
    let ask = |seed| {
        server
            .post("/detect", PUBLIC, &json!({"text": text(150, seed, 0..0).join(" ")}).to_string())
            .0
    };
    assert_eq!([ask(1), ask(2), ask(3)], [200, 200, 429]);
}

#[test]
fn without_retention_every_text_is_examined() {
    let settings = DetectionSettings { no_retention: true, ..DetectionSettings::default() };
    let server = Server::new(settings);
    let words = text(300, 1, 100..130).join(" ");
    for _ in 0..3 {
        assert!(server.ask(PUBLIC, &words).get("reason").is_none());
    }
    assert_eq!(server.detector.read(), 3);
    let (_, _, body) = server.send("GET", "/v1/watermark/profiles", PUBLIC, "text/plain", "");
    let list: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(list["public"]["near_duplicates"], false);
    assert!(list["public"]["missing"].as_str().unwrap().contains("examined anew"));
    let profile = &list["data"][0];
    assert_eq!((&profile["id"], &profile["scheme"]), (&json!("house-style"), &json!("kgw")));
    let parameters = &profile["parameters"];
    assert_eq!((&parameters["gamma"], &parameters["context_width"]), (&json!(0.25), &json!(2)));
    assert!(parameters.get("scheme").is_none() && !body.contains("\"key\""));
}

#[test]
fn faults_are_openais_error_object_and_say_nothing_of_the_text() {
    let settings = DetectionSettings { text_bytes: 2_000, ..DetectionSettings::default() };
    let server = Server::new(settings);
    let long = json!({"text": "SECRET ".repeat(400)}).to_string();
    let huge = json!({"text": "SECRET ".repeat(40_000)}).to_string();
    let failing =
        json!({"text": format!("FAIL SECRET {}", text(120, 1, 0..0).join(" "))}).to_string();
    for (who, kind, body, status, param) in [
        (PUBLIC, "application/json", "{", 400, Value::Null),
        (
            PUBLIC,
            "application/json",
            r#"{"text": "a", "watermark_key": "SECRET"}"#,
            400,
            json!("watermark_key"),
        ),
        (PUBLIC, "application/json", r#"{"text": "a", "explain": true}"#, 403, json!("explain")),
        (PUBLIC, "text/plain", r#"{"text": "a"}"#, 415, Value::Null),
        (PUBLIC, "application/json", &long, 413, json!("text")),
        (PUBLIC, "application/json", &huge, 413, Value::Null),
        ("analyst", "application/json; charset=utf-8", &failing, 500, Value::Null),
        // Without a layer that says who asks.
        ("", "application/json", r#"{"text": "a"}"#, 500, Value::Null),
    ] {
        let (got, _, answer) = server.send("POST", "/detect", who, kind, body);
        assert_eq!(got, status, "{answer}");
        assert!(!answer.contains("SECRET"), "{answer}");
        let error: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(error["error"]["param"], param, "{answer}");
        assert!(error["error"]["message"].is_string() && error["error"]["type"].is_string());
    }
    assert_eq!(server.send("GET", "/detect", PUBLIC, "application/json", "").0, 405);
}

fn rows(body: &str) -> Vec<Value> {
    body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_batch_keeps_its_order_and_outlives_its_faults() {
    let settings = DetectionSettings { text_bytes: 4_000, ..DetectionSettings::default() };
    let server = Server::new(settings);
    let line = |seed: u64, id: &str| {
        json!({"text": text(160, seed, 0..30).join(" "), "id": id}).to_string()
    };
    let slow = json!({"text": format!("SLOW {}", text(160, 90, 0..30).join(" "))}).to_string();
    let long = json!({"text": "a ".repeat(100_000)}).to_string();
    let body = [
        &slow,
        &line(2, "b"),
        "",
        "{bad",
        "\u{1}",
        &line(6, "c"),
        &long,
        r#"{"text": "a", "x": 1, "id": "d"}"#,
        &line(9, "e"),
    ]
    .join("\r\n");
    let (status, _, answer) = server.post("/v1/watermark/detect/batch", "analyst", &body);
    assert_eq!(status, 200);
    let rows = rows(&answer);
    let lines: Vec<u64> = rows.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 2, 4, 5, 6, 7, 8, 9]);
    let of = |line: u64| rows.iter().find(|row| row["line"] == line).unwrap();
    assert!([1, 2, 6, 9].iter().all(|line| of(*line)["verdict"] == "detected"));
    assert_eq!((&of(6)["id"], &of(9)["rows"][1]["id"]), (&json!("c"), &json!("e")));
    assert!([4, 5, 7, 8].iter().all(|line| of(*line)["error"]["message"].is_string()));
    assert_eq!(of(8)["error"]["param"], "x");
    // The public's lines are paid for, one by one.
    let settings = DetectionSettings { texts_a_day: 2, ..DetectionSettings::default() };
    let server = Server::new(settings);
    let body = [line(1, "a"), line(2, "b"), line(3, "c")].join("\n");
    let answer = server.post("/v1/watermark/detect/batch", PUBLIC, &body).2;
    let codes: Vec<Value> =
        self::rows(&answer).iter().map(|row| row["error"]["code"].clone()).collect();
    assert_eq!(codes, [Value::Null, Value::Null, json!("rate_limit_exceeded")]);
    assert!(!answer.contains("log10_p"));
}

#[test]
fn a_batch_answers_while_it_is_written_and_gives_its_place_back() {
    let server = Server::new(DetectionSettings { batches: 1, ..DetectionSettings::default() });
    let open = || {
        let mut stream = server.connect();
        write!(stream.get_mut(), "POST /v1/watermark/detect/batch HTTP/1.1\r\nHost: x\r\nX-Who: analyst\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        stream
    };
    let mut stream = open();
    assert_eq!(head_of(&mut stream).0, 200);
    for number in 1..=20_u64 {
        let line = format!("{}\n", json!({"text": "mk1 w2", "id": number.to_string()}));
        // Byte by byte at first.
        let size = if number < 3 { 1 } else { line.len() };
        for part in line.as_bytes().chunks(size) {
            let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
            stream.get_mut().write_all(&chunk).unwrap();
        }
        let mut told = String::new();
        while !told.starts_with('{') {
            told.clear();
            assert!(stream.read_line(&mut told).unwrap() > 0, "the stream ended");
        }
        let row: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&row["line"], &row["id"]), (&json!(number), &json!(number.to_string())));
    }
    // There is one place, and the client goes away without a word.
    let busy = server.post("/v1/watermark/detect/batch", "analyst", "{}\n");
    assert_eq!((busy.0, busy.1), (429, Some(10)));
    drop(stream);
    let free = || server.post("/v1/watermark/detect/batch", "analyst", "{}\n").0 == 200;
    assert!((0..100).any(|_| free() || {
        std::thread::sleep(Duration::from_millis(20));
        false
    }));
}

#[test]
fn a_long_batch_comes_to_its_end() {
    let server = Arc::new(Server::new(DetectionSettings {
        batch_lines: 20_000,
        ..DetectionSettings::default()
    }));
    let mut stream = server.connect();
    let mut writing = stream.get_ref().try_clone().unwrap();
    let line = format!("{}\n", json!({"text": "mk1 w2"}));
    let body = line.repeat(20_010);
    let writer = std::thread::spawn(move || {
        write!(writing, "POST /v1/watermark/detect/batch HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Who: analyst\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
        // The last lines are beyond the limit and need not be read.
        let _ = writing.write_all(body.as_bytes());
    });
    assert_eq!(head_of(&mut stream).0, 200);
    let mut body = Vec::new();
    let _ = stream.read_to_end(&mut body);
    writer.join().unwrap();
    let rows = rows(std::str::from_utf8(&unchunked(&body)).unwrap());
    assert_eq!(rows.len(), 20_001);
    assert!((1..).zip(&rows).all(|(line, row)| row["line"] == line));
    assert!(rows[20_000]["error"]["message"].as_str().unwrap().contains("20000 lines"));
}

#[test]
fn pages_carry_nothing_foreign() {
    let server = Server::new(DetectionSettings::default());
    let mut files = Vec::new();
    for path in ["/", "/assets/page.css", "/assets/page.js", "/assets/icon.svg"] {
        let mut stream = server.connect();
        write!(stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let (status, headers) = head_of(&mut stream);
        assert_eq!(status, 200, "{path}");
        let header = |name: &str| {
            let prefix = format!("{name}: ");
            headers
                .iter()
                .find_map(|line| line.strip_prefix(&prefix))
                .unwrap_or_default()
                .to_owned()
        };
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        let mut body = String::new();
        stream.read_to_string(&mut body).unwrap();
        files.push(body);
    }
    // What the policy would keep from working.
    let page = &files[0];
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains("onclick"));
    assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/assets/").count());
    for file in &files {
        let foreign = file.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http://") && !foreign.contains("https://"));
    }
    assert!(!files[2].contains("innerHTML") && !files[2].contains("localStorage"));
}

#[test]
fn the_reference_is_made_of_the_document_and_nothing_becomes_markup() {
    let document = json!({
        "info": {"title": "An <interface>", "version": "1", "description": "One.\n\nTwo & more."},
        "paths": {"/v1/x/{id}": {"post": {
            "summary": "Do `<b>it</b>`",
            "parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}, "description": "A name"}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
            "responses": {"200": {"description": "Done", "content": {"application/json": {"schema": {"type": "array", "items": {"type": "integer"}}}}}}
        }}},
        "components": {"schemas": {"Thing": {
            "description": "A thing", "type": "object", "required": ["a"],
            "properties": {"a": {"type": "string"}, "b": {"oneOf": [{"type": "null"}, {"enum": ["x", "y"]}], "description": "Either"}}
        }}}
    });
    let html = page::docs(&document);
    assert!(!html.contains("<b>") && !html.contains("<interface>") && !html.contains("<script"));
    for part in [
        "<title>An &lt;interface&gt;: HTTP interface</title>",
        "<p>Two &amp; more.</p>",
        "<code>POST /v1/x/{id}</code>",
        "<p>Do <code>&lt;b&gt;it&lt;/b&gt;</code></p>",
        "<a href=\"#schema-Thing\"><code>Thing</code></a>",
        "id=\"schema-Thing\"",
        "list of integer",
        "null or one of <code>x</code>, <code>y</code>, may be missing",
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    assert!(!html.contains("<code>a</code> <span class=\"note\">string, may be missing"));
    assert!(page::docs(&json!({})).ends_with("</html>\n"));
}
