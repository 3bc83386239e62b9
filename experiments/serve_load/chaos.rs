//! Clients that go away, read slowly, or send what is no request, over all policies; and whether anything of it stays.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{self, Streamed};
use crate::server::{POLICIES, Server};

/// At once.
const WORKERS: u64 = 48;
/// Different questions, each asked under every policy.
const QUESTIONS: u64 = 12;

/// Numbers that follow from a seed (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What was seen.
#[derive(Default)]
struct Seen {
    outcomes: BTreeMap<String, u64>,
    wrong: Vec<Value>,
    /// Receipts that a client was told of.
    receipts: HashSet<String>,
    /// Answers that a client left after it had read some of their text.
    left: HashSet<String>,
}

impl Seen {
    fn count(&mut self, outcome: impl Into<String>) {
        *self.outcomes.entry(outcome.into()).or_default() += 1;
    }
}

/// Answers of a quiet server, by question and policy.
type Quiet = HashMap<(u64, &'static str), String>;

/// So many requests in two halves, with the memory after each.
pub fn run(server: &Server, requests: u64) -> Value {
    let quiet = quiet(server);
    let idle = settled(server);
    let seen = Mutex::new(Seen::default());
    let (began, mut memory) = (Instant::now(), vec![server.resident_kib()]);
    for half in 0..2 {
        let (first, end) = (half * requests / 2, (half + 1) * requests / 2);
        let next = AtomicU64::new(first);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= end {
                            break;
                        }
                        one(server, &quiet, number, &seen);
                    }
                });
            }
        });
        settled(server);
        memory.push(server.resident_kib());
    }
    let seconds = began.elapsed().as_secs_f64();
    let after = settled(server);
    let again = self::quiet(server);
    let seen = seen.into_inner().unwrap();
    json!({
        "requests": requests, "workers": WORKERS, "seconds": seconds, "outcomes": seen.outcomes,
        "wrong_answers": seen.wrong, "quiet_answers_changed": quiet.iter().filter(|(at, text)| again[at] != **text).count(),
        "receipts_told": seen.receipts.len(),
        "receipts_missing": server.missing_receipts(&seen.receipts),
        "answers_left": seen.left.len(),
        "receipts_of_answers_left_missing": server.missing_receipts(&seen.left),
        "resident_kib": { "before": memory[0], "after_half": memory[1], "after_all": memory[2] },
        "slots_before": idle, "slots_after": after,
    })
}

fn question(server: &Server, number: u64, stream: bool) -> Value {
    json!({
        "model": server.model, "prompt": format!("Chapter {number}. The harbour was"), "seed": number, "temperature": 1.0,
        "max_tokens": 4 + 5 * (number % 8), "ignore_eos": true, "stream": stream,
    })
}

/// Every answer, asked for one at a time.
fn quiet(server: &Server) -> Quiet {
    let all = (0..QUESTIONS).flat_map(|number| POLICIES.map(|policy| (number, policy)));
    all.map(|(number, policy)| {
        let body = question(server, number, false).to_string();
        let (status, text) =
            client::ask(server.address, "POST", "/v1/completions", &server.keys[policy], &body)
                .unwrap();
        assert_eq!(status, 200, "{text}");
        ((number, policy), text_of(&text))
    })
    .collect()
}

fn text_of(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["choices"][0]["text"].as_str().unwrap().to_owned()
}

/// One request of some kind.
fn one(server: &Server, quiet: &Quiet, number: u64, seen: &Mutex<Seen>) {
    let mut draws = Draws(number);
    let policy = POLICIES[draws.below(4) as usize];
    let asked = draws.below(QUESTIONS);
    let (kind, outcome) = match draws.below(100) {
        0..30 => ("whole", whole(server, quiet, (asked, policy), seen)),
        30..50 => ("streamed", streamed(server, quiet, (asked, policy), seen, 0)),
        50..55 => {
            ("read slowly", streamed(server, quiet, (asked, policy), seen, 1 + draws.below(40)))
        }
        55..72 => ("stream left", stream_left(server, asked, policy, draws.below(8), seen)),
        72..82 => ("left while waiting", left(server, asked, policy, draws.below(60))),
        _ => ("malformed", malformed(server, policy, &mut draws)),
    };
    let outcome = outcome.unwrap_or_else(|error| format!("connection: {}", error.kind()));
    seen.lock().unwrap().count(format!("{kind}: {outcome}"));
}

fn whole(
    server: &Server,
    quiet: &Quiet,
    at: (u64, &'static str),
    seen: &Mutex<Seen>,
) -> std::io::Result<String> {
    let body = question(server, at.0, false).to_string();
    let (status, text) =
        client::ask(server.address, "POST", "/v1/completions", &server.keys[at.1], &body)?;
    if status == 200 {
        let answer: Value = serde_json::from_str(&text).map_err(std::io::Error::other)?;
        compare(quiet, at, &text_of(&text), &answer, seen);
    }
    Ok(status.to_string())
}

fn streamed(
    server: &Server,
    quiet: &Quiet,
    at: (u64, &'static str),
    seen: &Mutex<Seen>,
    pause: u64,
) -> std::io::Result<String> {
    let body = question(server, at.0, true).to_string();
    let bytes = client::request("POST", "/v1/completions", &server.keys[at.1], &body);
    let Some(response) = client::send(server.address, &bytes)? else {
        return Ok("closed".to_owned());
    };
    let status = response.status;
    if status == 200 {
        let pause = Duration::from_millis(pause);
        let Streamed { text, done, last, .. } =
            response.stream(Instant::now(), || std::thread::sleep(pause))?;
        if !done {
            return Ok("broken off".to_owned());
        }
        compare(quiet, at, &text, &last, seen);
    }
    Ok(status.to_string())
}

fn compare(quiet: &Quiet, at: (u64, &'static str), text: &str, answer: &Value, seen: &Mutex<Seen>) {
    let mut seen = seen.lock().unwrap();
    let mark = answer["watermark"]["applied"] == (at.1 == "default" || at.1 == "required");
    if text != quiet[&at] || !mark {
        seen.wrong.push(json!({"question": at.0, "policy": at.1, "expected": quiet[&at], "got": text, "mark": answer["watermark"]}));
    }
    let receipts = answer["receipts"].as_array().into_iter().flatten();
    seen.receipts.extend(receipts.filter_map(|name| name.as_str().map(str::to_owned)));
}

/// Goes away after some events.
fn stream_left(
    server: &Server,
    asked: u64,
    policy: &str,
    after: u64,
    seen: &Mutex<Seen>,
) -> std::io::Result<String> {
    let mut body = question(server, asked, true);
    body["max_tokens"] = 200.into();
    let bytes = client::request("POST", "/v1/completions", &server.keys[policy], &body.to_string());
    let Some(mut response) = client::send(server.address, &bytes)? else {
        return Ok("closed".to_owned());
    };
    for _ in 0..after {
        let Some(event) = response.event()? else { break };
        let event: Value = serde_json::from_str(&event).map_err(std::io::Error::other)?;
        let has_text = event["choices"][0]["text"].as_str().is_some_and(|text| !text.is_empty());
        if let Some(answer) = event["id"].as_str().filter(|_| has_text) {
            seen.lock().unwrap().left.insert(answer.to_owned());
        }
    }
    Ok(response.status.to_string())
}

/// Goes away before an answer.
fn left(server: &Server, asked: u64, policy: &str, millis: u64) -> std::io::Result<String> {
    let mut body = question(server, asked, false);
    body["max_tokens"] = 200.into();
    let bytes = client::request("POST", "/v1/completions", &server.keys[policy], &body.to_string());
    let mut stream = TcpStream::connect(server.address)?;
    stream.write_all(&bytes)?;
    std::thread::sleep(Duration::from_millis(millis));
    stream.shutdown(Shutdown::Both)?;
    Ok("left".to_owned())
}

/// What is no request, or none that can be answered.
fn malformed(server: &Server, policy: &str, draws: &mut Draws) -> std::io::Result<String> {
    let key = &server.keys[policy];
    let json = |body: &str| client::request("POST", "/v1/completions", key, body);
    let noise = |length: u64, draws: &mut Draws| {
        (0..length).map(|_| draws.next() as u8).collect::<Vec<u8>>()
    };
    let good = question(server, 1, false).to_string();
    let bytes = match draws.below(10) {
        0 => noise(300, draws),
        1 => json("{\"prompt\": \"a\", \"max_tokens\": "),
        2 => json("{\"prompt\": {\"a\": 1}}"),
        3 => json(&good.replace("\"temperature\":1.0", "\"temperature\":\"hot\"")),
        4 => json(&format!("{{\"prompt\": {}", "[".repeat(50_000))),
        5 => client::request("POST", "/v1/completions", "tmk-absent", &good),
        6 => client::request("BREW", "/v1/completions", key, &good),
        7 => [json(&good)[..80].to_vec(), noise(100, draws)].concat(),
        8 => {
            // Promises more than comes.
            let mut bytes = json(&good);
            bytes.truncate(bytes.len() - 10);
            let mut stream = TcpStream::connect(server.address)?;
            stream.write_all(&bytes)?;
            stream.shutdown(Shutdown::Both)?;
            return Ok("left".to_owned());
        }
        _ => {
            let filler = "x-filler: ".to_owned() + &"a".repeat(4_000) + "\r\n";
            let head = format!("GET /health HTTP/1.1\r\nhost: a\r\n{}\r\n", filler.repeat(200));
            head.into_bytes()
        }
    };
    // Bytes that are no head may leave a server waiting for more; it must end that itself, but not while this run waits.
    let mut stream = TcpStream::connect(server.address)?;
    let _ = stream.write_all(&bytes);
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer)?;
    let head = String::from_utf8_lossy(&answer);
    Ok(head.split(' ').nth(1).map_or_else(|| "closed".to_owned(), str::to_owned))
}

/// Waits until nothing runs or waits, and tells what the server still has open.
fn settled(server: &Server) -> Value {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let metrics = server.metrics();
        let of = |name: &str| metrics.get(name).copied();
        let [running, waiting] = ["touchmark_sequences_running", "touchmark_queue_depth"].map(of);
        // The request for these numbers is in flight itself.
        let in_flight = of("http_requests_in_flight");
        if (running, waiting, in_flight) == (Some(0.0), Some(0.0), Some(1.0)) {
            return json!({ "running": running, "waiting": waiting, "in_flight_besides": 0 });
        }
        if Instant::now() > end {
            return json!({ "running": running, "waiting": waiting, "in_flight_besides": in_flight.map(|it| it - 1.0), "stuck": true });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
