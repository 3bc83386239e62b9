//! Tokens a second and the time to the first, with and without a mark, in turns on one server.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{self, Streamed};
use crate::server::Server;

/// One round: so many streams at once, all marked or none.
struct Round {
    tokens_per_second: f64,
    first: Vec<f64>,
}

/// Rounds with and without a mark take turns, and who begins changes.
pub fn measure(server: &Server, streams: usize, tokens: usize, rounds: usize) -> Value {
    let (mut plain, mut marked) = (Vec::new(), Vec::new());
    round(server, "off", streams, tokens, 0);
    for number in 0..rounds {
        let order = if number % 2 == 0 { ["off", "required"] } else { ["required", "off"] };
        for account in order {
            let round = round(server, account, streams, tokens, number + 1);
            if account == "off" { plain.push(round) } else { marked.push(round) }
        }
    }
    let pairs = marked.iter().zip(&plain);
    let ratios = pairs.map(|(marked, plain)| marked.tokens_per_second / plain.tokens_per_second);
    let mut ratios: Vec<f64> = ratios.collect();
    let ratio = quantile(&mut ratios, 0.5);
    json!({
        "streams": streams, "tokens_each": tokens, "rounds": rounds,
        "unmarked": told(&plain), "marked": told(&marked),
        "marked_over_unmarked": { "median": ratio, "least": ratios[0], "most": ratios[ratios.len() - 1] },
    })
}

fn round(server: &Server, account: &str, streams: usize, tokens: usize, seed: usize) -> Round {
    let barrier = Barrier::new(streams);
    let one = |number: usize| {
        let body = json!({
            "model": server.model, "prompt": format!("Chapter {number}. The harbour was"), "max_tokens": tokens,
            "ignore_eos": true, "stream": true, "temperature": 1.0, "seed": seed * 1000 + number,
        });
        let bytes =
            client::request("POST", "/v1/completions", &server.keys[account], &body.to_string());
        barrier.wait();
        let began = Instant::now();
        let response = client::send(server.address, &bytes).unwrap().unwrap();
        assert_eq!(response.status, 200);
        let answer = response.stream(began, || ()).unwrap();
        assert!(answer.done && answer.last["watermark"]["applied"] == (account == "required"));
        (began, answer, Instant::now())
    };
    let one = &one;
    let ended: Vec<(Instant, Streamed, Instant)> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..streams).map(|number| scope.spawn(move || one(number))).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let began = ended.iter().map(|it| it.0).min().unwrap();
    let over = ended.iter().map(|it| it.2).max().unwrap();
    let first = ended.iter().map(|it| it.1.first).map(|it: Duration| it.as_secs_f64()).collect();
    Round { tokens_per_second: (streams * tokens) as f64 / (over - began).as_secs_f64(), first }
}

fn told(rounds: &[Round]) -> Value {
    let mut rates: Vec<f64> = rounds.iter().map(|round| round.tokens_per_second).collect();
    let mut first: Vec<f64> = rounds.iter().flat_map(|round| round.first.clone()).collect();
    json!({
        "tokens_per_second": quantile(&mut rates, 0.5),
        "seconds_to_first_token": { "median": quantile(&mut first, 0.5), "p95": quantile(&mut first, 0.95) },
    })
}

/// Sorts, and takes the value at a share of the way, between two where it falls between them.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() - 1) as f64 * share;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    below + (above - below) * place.fract()
}
