//! Ends: told to stop, killed, and clients that go away.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Server, story};
use crate::cli::Home;

#[test]
fn told_to_stop_it_finishes_what_it_began() {
    let home = Home::new();
    let mut server = Server::start(&home, &["--shutdown-grace", "60s", "--receipts", "body"]);
    let streams: Vec<Vec<Value>> = thread::scope(|scope| {
        let asked: Vec<_> = (0..6)
            .map(|seed| {
                let asking = server.anybody();
                scope.spawn(move || {
                    asking.stream("/v1/completions", &story(400, json!({"seed": seed})))
                })
            })
            .collect();
        while server.metric("touchmark_sequences_running") < 6.0 {
            thread::sleep(Duration::from_millis(5));
        }
        server.signal("TERM");
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    for chunks in &streams {
        let last = chunks.last().unwrap();
        assert_eq!(last["choices"][0]["finish_reason"], "length", "{last}");
        assert_eq!(last["receipts"].as_array().unwrap().len(), 1);
    }
    assert_eq!(server.ended(Duration::from_secs(60)), Some(0));
    home.ok(&["receipt", "verify"]);
}

#[test]
fn what_is_not_finished_in_time_is_ended_with_a_reason() {
    let home = Home::new();
    let mut server = Server::start(&home, &["--shutdown-grace", "500ms", "--receipts", "body"]);
    let (agent, address) = (server.agent.clone(), server.address.clone());
    // More answers than can be finished in half a second.
    let asked: Vec<_> = (0..24)
        .map(|seed| {
            let (agent, address) = (agent.clone(), address.clone());
            thread::spawn(move || {
                let body = story(900, json!({"seed": seed, "stream": true}));
                let request = agent.post(format!("{address}/v1/completions"));
                let response =
                    request.header("content-type", "application/json").send(&body.to_string());
                let mut text = String::new();
                let _ = response.unwrap().into_body().into_reader().read_to_string(&mut text);
                text
            })
        })
        .collect();
    while server.metric("touchmark_sequences_running") < 24.0 {
        thread::sleep(Duration::from_millis(5));
    }
    server.signal("TERM");
    let texts: Vec<String> = asked.into_iter().map(|asked| asked.join().unwrap()).collect();
    let done = texts.iter().filter(|text| text.contains("[DONE]")).count();
    assert_eq!(done, texts.len());
    assert!(texts.iter().any(|text| text.contains("\"finish_reason\":\"abort\"")));
    assert_eq!(server.ended(Duration::from_secs(20)), Some(0));
    home.ok(&["receipt", "verify"]);
}

#[test]
fn clients_that_go_away_leave_nothing_behind() {
    let home = Home::new();
    let server = Server::start(&home, &["--max-running", "4"]);
    let address = server.address.trim_start_matches("http://").to_owned();
    for number in 0..30 {
        let mut stream = TcpStream::connect(&address).unwrap();
        let body = story(900, json!({"seed": number, "stream": number % 2 == 0})).to_string();
        write!(stream, "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        if number % 3 == 0 {
            let mut begun = [0; 40];
            let _ = stream.set_read_timeout(Some(Duration::from_millis(300)));
            let _ = stream.read(&mut begun);
        }
    }
    let idle = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(20));
        let busy =
            server.metric("touchmark_sequences_running") + server.metric("touchmark_queue_depth");
        busy == 0.0
    });
    assert!(idle, "sequences of clients that went away still run");
    assert!(server.metric("touchmark_requests_cancelled_total") >= 1.0);
    server.anybody().story(10, json!({})).ok();
}

/// 20 times killed while it answers: every receipt that a client was told of is there, and the ledger is whole.
#[test]
fn killed_it_loses_no_receipt_that_was_told() {
    let home = Home::new();
    home.ok(&["profile", "new", "default"]);
    let told: Mutex<Vec<String>> = Mutex::new(Vec::new());
    for round in 0..20_u64 {
        let mut server = Server::start(&home, &["--receipts", "body"]);
        thread::scope(|scope| {
            for client in 0..4_u64 {
                let (agent, address, told) = (server.agent.clone(), server.address.clone(), &told);
                scope.spawn(move || {
                    for number in 0.. {
                        let body = story(6, json!({"seed": 1000 * client + number}));
                        let request = agent.post(format!("{address}/v1/completions"));
                        let request = request.header("content-type", "application/json");
                        let Ok(response) = request.send(&body.to_string()) else { return };
                        let Ok(text) = response.into_body().read_to_string() else { return };
                        let Ok(answer) = serde_json::from_str::<Value>(&text) else { return };
                        let Some(receipts) = answer["receipts"].as_array() else { return };
                        let names = receipts.iter().map(|name| name.as_str().unwrap().to_owned());
                        told.lock().unwrap().extend(names);
                    }
                });
            }
            thread::sleep(Duration::from_millis(40 + 37 * (round * 7 % 11)));
            server.child.kill().unwrap();
            server.child.wait().unwrap();
        });
    }
    home.ok(&["receipt", "verify"]);
    let told = told.into_inner().unwrap();
    assert!(told.len() >= 40, "only {} answers came before the kills", told.len());
    let listed = home.ok(&["--json", "receipt", "list", "--limit", "1000000"]);
    for name in &told {
        assert!(listed.contains(name.as_str()), "the receipt of {name} is lost");
    }
}
