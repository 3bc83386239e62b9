//! `attribute` as a user runs it.

use serde_json::{Value, json};

use super::cli::Home;
use super::cli_calibrate::{jsonl, marked, paragraphs};
use super::report::stands_alone;
use super::scripted::endpoint;

fn tested(home: &Home, arguments: &[&str]) -> Value {
    let (code, out, err) = home.run(&[&["attribute", "run", "--json"], arguments].concat());
    assert_eq!(code, 0, "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

fn refused(home: &Home, arguments: &[&str], parts: &[&str]) {
    home.refused(&[&["attribute", "run"], arguments].concat(), parts);
}

fn home() -> Home {
    let home = Home::new();
    home.profile("own", "kgw", &[]);
    home.write("human.jsonl", jsonl(&paragraphs(60)));
    home
}

/// Beginnings that differ by their numbers, in `prompts.jsonl`.
fn prompts(home: &Home, count: usize) {
    let prompt = |n: usize| json!({"id": n.to_string(), "prompt": format!("Chapter {n}. It was")});
    let lines = (0..count).map(|n| prompt(n).to_string() + "\n");
    home.write("prompts.jsonl", lines.collect::<String>());
}

fn reasons(found: &Value) -> String {
    found["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason.as_str().unwrap().to_owned() + "\n")
        .collect()
}

/// The bundled chat model was trained further from the bundled one, on nothing that is marked.
#[test]
fn reading_shows_nothing_of_a_model_that_saw_no_mark() {
    let home = home();
    let open =
        ["--texts", "human.jsonl", "--profile", "own", "--max-tokens", "1500", "--top", "32"];
    let found = tested(
        &home,
        &[&open[..], &["--suspect", "bundled-chat", "--base", "bundled", "-o", "found.json"]]
            .concat(),
    );
    assert_eq!(
        (&found["verdict"], &found["setting"]),
        (&json!("not_shown"), &json!("open")),
        "{found}"
    );
    assert!(found["log10_p"].as_f64().unwrap() > -3.0, "{found}");
    assert_eq!(found["decoys"]["count"], 999);
    assert_eq!(found["controls"][0]["name"], "base alone");
    assert_eq!(found["beside"].as_array().unwrap().len(), 2);
    assert!(found["primary"]["pairs"].as_u64().unwrap() > 10_000, "{found}");
    let written: Value =
        serde_json::from_slice(&std::fs::read(home.path("found.json")).unwrap()).unwrap();
    assert_eq!(written["primary"], found["primary"]);
    // The same numbers again, whatever the threads.
    let again = tested(
        &home,
        &[&open[..], &["--suspect", "bundled-chat", "--base", "bundled", "--threads", "1"]]
            .concat(),
    );
    assert_eq!((&again["primary"], &again["log10_p"]), (&found["primary"], &found["log10_p"]));

    let same = tested(&home, &[&open[..], &["--suspect", "bundled", "--base", "bundled"]].concat());
    assert_eq!(same["verdict"], "inconclusive");
    assert!(reasons(&same).contains("exactly what the base does"), "{same}");
}

/// A reading goes on from what was read before.
#[test]
fn reading_goes_on_from_a_checkpoint() {
    let home = home();
    let open =
        ["attribute", "run", "--json", "--texts", "human.jsonl", "--profile", "own", "--top", "16"];
    let models = ["--suspect", "bundled-chat", "--base", "bundled"];
    let read = |more: &[&str]| home.run(&[&open[..], &models, &["--piece", "128"], more].concat());
    let result = |(code, out, err): (i32, String, String)| -> Value {
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).unwrap()
    };
    let whole = result(read(&["--max-tokens", "1500"]));
    // The first six pieces.
    let part = result(read(&["--max-tokens", "768", "--checkpoint", "kept"]));
    assert_eq!(part["counts"]["texts"], 6, "{part}");
    let further = read(&["--max-tokens", "1500", "--checkpoint", "kept"]);
    assert!(further.2.contains("6 of 12 texts were read before"), "{}", further.2);
    let further = result(further);
    for field in ["primary", "beside", "controls", "counts", "log10_p"] {
        assert_eq!(whole[field], further[field], "{field}");
    }
    // Never mixed with another run, nor with a file that is none.
    let refused = |more: &[&str], parts: &[&str]| {
        let (code, _, err) = read(more);
        assert!(code == 2 && parts.iter().all(|part| err.contains(part)), "{err}");
    };
    refused(&["--max-tokens", "300", "--checkpoint", "kept"], &["is of another run"]);
    std::fs::write(home.path("kept/suspect.cbor"), "x").unwrap();
    refused(&["--max-tokens", "1500", "--checkpoint", "kept"], &["suspect.cbor", "no checkpoint"]);
}

/// A tokenizer of these parts of a text, which `split` cuts.
fn tokenizer_of(parts: impl Iterator<Item = String>, split: Value) -> String {
    let parts: std::collections::BTreeSet<String> =
        parts.chain(["[UNK]".to_owned(), "a".to_owned()]).collect();
    let vocab: serde_json::Map<_, _> =
        (0..).zip(parts).map(|(id, part): (u32, _)| (part, id.into())).collect();
    json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": split,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}
    })
    .to_string()
}

/// A suspect that cuts texts otherwise than the mark is read where both have a boundary, if that is often enough.
#[test]
fn another_tokenizer_is_read_where_it_has_boundaries() {
    let home = home();
    let human = paragraphs(60);
    let words = human.iter().flat_map(|text| text.split_whitespace().map(str::to_owned));
    home.write("words.json", tokenizer_of(words, json!({"type": "WhitespaceSplit"})));
    let letters = human.iter().flat_map(|text| text.chars().map(String::from));
    let each = json!({"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": false});
    home.write("letters.json", tokenizer_of(letters, each));
    let own = |name: &str, file: &str| {
        home.profile(name, "kgw", &["--tokenizer", file, "--vocab-size", "4096"]);
    };
    own("words", "words.json");
    own("letters", "letters.json");
    let open = [
        "--texts",
        "human.jsonl",
        "--max-tokens",
        "1500",
        "--top",
        "32",
        "--suspect",
        "bundled-chat",
        "--base",
        "bundled",
    ];
    let found = tested(&home, &[&open[..], &["--profile", "words"]].concat());
    assert_eq!(found["verdict"], "not_shown", "{found}");
    assert!(found["counts"]["coverage"].as_f64().unwrap() > 0.8, "{found}");
    assert!(found["warnings"].to_string().contains("another tokenizer"), "{found}");
    assert!(found["primary"]["pairs"].as_u64().unwrap() > 1_000, "{found}");
    refused(
        &home,
        &[&open[..], &["--profile", "letters"]].concat(),
        &["of the mark's token boundaries", "50 %"],
    );
}

/// Log-probabilities are weighed where they are asked for, and their lack is said.
#[test]
fn likeliest_tokens_are_weighed() {
    let home = home();
    prompts(&home, 6);
    let ask = |suspect: &str| {
        tested(
            &home,
            &[
                "--profile",
                "own",
                "--prompts",
                "prompts.jsonl",
                "--top-logprobs",
                "8",
                "--answer-tokens",
                "80",
                "--suspect",
                suspect,
            ],
        )
    };
    let found = ask("bundled");
    assert_eq!(
        (&found["verdict"], &found["primary"]["statistic"]),
        (&json!("not_shown"), &json!("likely-speech")),
        "{found}"
    );
    assert_eq!(found["beside"][0]["statistic"], "speech");
    // Several likely tokens at each place, of which one is said.
    let pairs = |measured: &Value| measured["pairs"].as_u64().unwrap();
    assert!(pairs(&found["primary"]) > 3 * pairs(&found["beside"][0]), "{found}");
    let silent = endpoint(|_, _| said("A text without log-probabilities.", "m"));
    let found = ask(&silent);
    assert_eq!(found["verdict"], "inconclusive", "{found}");
    assert!(found["warnings"].to_string().contains("6 of 6 answers came without"), "{found}");
}

#[test]
fn plans_follow_what_was_measured() {
    let home = home();
    let planned = |more: &[&str]| -> Value {
        serde_json::from_str(&home.ok(&[&["attribute", "plan", "--json"], more].concat())).unwrap()
    };
    let tokens = |planned: &Value| planned["tokens"].as_u64().unwrap();
    let (more, less) = (planned(&["--share", "1"]), planned(&["--share", "0.5"]));
    assert!(tokens(&more) < tokens(&less), "{more} {less}");
    let asked = planned(&[
        "--share",
        "1",
        "--closed",
        "--price-in",
        "0.5",
        "--price-out",
        "2",
        "--accounts",
        "20",
    ]);
    let requests = tokens(&asked).div_ceil(248);
    assert_eq!(asked["requests"], requests);
    let cost = requests as f64 * (32.0 * 0.5 + 248.0 * 2.0) / 1e6;
    assert!((asked["cost"].as_f64().unwrap() - cost).abs() < 1e-9, "{asked}");
    let hopeless = planned(&["--share", "0.00001"]);
    assert_eq!(hopeless["tokens"], Value::Null);
    assert!(home.ok(&["attribute", "plan", "--share", "0.00001"]).contains("no number is enough"));

    home.write("own.jsonl", jsonl(&marked(&home, "own", 20, "150")));
    tested(&home, &["--profile", "own", "--outputs", "own.jsonl", "-o", "pilot.json"]);
    let own = ["--closed", "--pilot", "pilot.json", "--pilot-share", "1"];
    let (all, tenth) = (
        planned(&[&["--share", "1"], &own[..]].concat()),
        planned(&[&["--share", "0.1"], &own[..]].concat()),
    );
    assert!(tokens(&tenth) >= 50 * tokens(&all), "{all} {tenth}");
    let plan = |more: &[&str], parts: &[&str]| {
        home.refused(&[&["attribute", "plan"], more].concat(), parts)
    };
    plan(&["--share", "0"], &["--share is 0"]);
    plan(&["--share", "0.5", "--fpr", "7"], &["--fpr is 7"]);
    plan(
        &["--share", "0.5", "--pilot", "pilot.json", "--pilot-share", "1"],
        &["the other setting"],
    );
    plan(
        &["--share", "0.5", "--pilot", "own.jsonl", "--pilot-share", "1"],
        &["own.jsonl is no result"],
    );
}

#[test]
fn marked_texts_need_a_control() {
    let home = home();
    home.write("marked.jsonl", jsonl(&marked(&home, "own", 8, "150")));
    let open = [
        "--texts",
        "marked.jsonl",
        "--profile",
        "own",
        "--max-tokens",
        "1000",
        "--top",
        "64",
        "--suspect",
        "bundled-chat",
        "--base",
        "bundled",
    ];
    let unsaid = tested(&home, &open);
    assert_eq!(unsaid["verdict"], "inconclusive");
    assert!(reasons(&unsaid).contains("carry the mark"), "{unsaid}");
    let said = tested(&home, &[&open[..], &["--marked"]].concat());
    assert!(reasons(&said).contains("no --control model"), "{said}");
    assert!(said["null"].as_str().unwrap().contains("marked"), "{said}");
}

#[test]
fn answers_made_elsewhere_are_weighed() {
    let home = home();
    let human = paragraphs(60);
    let own = marked(&home, "own", 30, "150");
    home.write("own.jsonl", jsonl(&own));
    home.write("mixed.jsonl", jsonl(&[&human[..40], &own[..8]].concat()));
    let closed = |more: &[&str]| tested(&home, &[&["--profile", "own"], more].concat());

    // Whose answers carry the mark throughout has it from us, in one way or another.
    let all = closed(&["--outputs", "own.jsonl"]);
    assert_eq!((&all["verdict"], &all["setting"]), (&json!("shown"), &json!("closed")), "{all}");
    assert_eq!(all["primary"]["exact"], true);
    let none = closed(&["--outputs", "human.jsonl"]);
    assert_eq!(none["verdict"], "not_shown", "{none}");
    // Some answers that are ours word for word are quotations, not training.
    let some = closed(&["--outputs", "mixed.jsonl"]);
    assert_eq!(some["verdict"], "inconclusive", "{some}");
    assert!(reasons(&some).contains("less than half of the answers"), "{some}");
    let without = closed(&["--outputs", "mixed.jsonl", "--ours", "own.jsonl"]);
    assert_eq!(without["verdict"], "not_shown", "{without}");
    assert!(without["counts"]["quoted"].as_u64().unwrap() > 800, "{without}");

    // Who may stop early pays for it, and stops.
    let early = closed(&["--outputs", "own.jsonl", "--stop-early"]);
    assert_eq!(early["verdict"], "shown", "{early}");
    assert!(early["family"].as_str().unwrap().contains("2 looks"), "{early}");
    assert!(early["counts"]["tokens"].as_u64() < all["counts"]["tokens"].as_u64(), "{early}");
    // Controls that carry the mark, and keys that came later, leave nothing to be said.
    let own = ["--outputs", "own.jsonl"];
    let clean = closed(
        &[&own[..], &["--control-outputs", "human.jsonl", "--suspect-made", "2026-02-01"]].concat(),
    );
    assert_eq!(
        (&clean["verdict"], &clean["suspect_made"]),
        (&json!("shown"), &json!("2026-02-01"))
    );
    assert_eq!(clean["controls"][0]["name"], "human.jsonl");
    let unclean = closed(&[&own[..], &["--control-outputs", "own.jsonl"]].concat());
    assert!(reasons(&unclean).contains("is not clean"), "{unclean}");
    let late = closed(&[&own[..], &["--suspect-made", "2025-12-31"]].concat());
    assert_eq!(late["verdict"], "inconclusive", "{late}");
    assert!(reasons(&late).contains("before the key was committed"), "{late}");

    let (code, ..) = home.run(&[
        "attribute",
        "run",
        "--outputs",
        "own.jsonl",
        "--profile",
        "own",
        "--fail-on",
        "shown",
    ]);
    assert_eq!(code, 1);
    // For people.
    let said = home.ok(&["attribute", "run", "--outputs", "human.jsonl", "--profile", "own"]);
    assert!(said.starts_with("NOT SHOWN") && said.contains("committed 2026-01-01"), "{said}");
}

/// Of ten tenants' keys the one that marked the answers is named.
#[test]
fn the_account_is_named() {
    let home = home();
    prompts(&home, 16);
    home.ok(&[
        "generate",
        "--profile",
        "own",
        "--tenant",
        "t7",
        "--prompts",
        "prompts.jsonl",
        "-o",
        "t7.jsonl",
        "--max-tokens",
        "120",
        "--ignore-eos",
        "--seed",
        "4",
    ]);
    home.write("tenants.txt", (0..10).map(|n| format!("t{n}\n")).collect::<String>());
    let found =
        tested(&home, &["--outputs", "t7.jsonl", "--profile", "own", "--tenants", "tenants.txt"]);
    assert_eq!(found["verdict"], "shown", "{found}");
    assert!(found["family"].as_str().unwrap().contains("10 accounts"), "{found}");
    let accounts = found["accounts"].as_array().unwrap();
    assert_eq!((accounts.len(), &accounts[0]["name"]), (10, &json!("t7")));
    assert!(
        accounts.iter().all(|account| (account["verdict"] == "shown") == (account["name"] == "t7")),
        "{found}"
    );
}

fn said(text: &str, model: &str) -> (u16, Value) {
    (
        200,
        json!({"id": "x", "object": "text_completion", "model": model, "choices": [{"index": 0, "text": text, "finish_reason": "length"}], "usage": {"prompt_tokens": 4, "completion_tokens": 150, "total_tokens": 154}}),
    )
}

#[test]
fn endpoints_that_misbehave_are_never_shown() {
    let home = home();
    let own = marked(&home, "own", 24, "150");
    let human = paragraphs(60);
    prompts(&home, 24);
    let ask = |address: &str, more: &[&str]| {
        tested(
            &home,
            &[
                &[
                    "--profile",
                    "own",
                    "--prompts",
                    "prompts.jsonl",
                    "--suspect",
                    address,
                    "--attempts",
                    "3",
                ],
                more,
            ]
            .concat(),
        )
    };
    // As a witness: what a faithful one gives.
    let texts = own.clone();
    let faithful = endpoint(move |n, _| said(&texts[n % 24], "m"));
    let found = ask(&faithful, &["--transcript", "kept.jsonl", "--max-requests", "10"]);
    assert_eq!(found["verdict"], "shown", "{found}");
    assert_eq!(found["counts"]["answers"], 10);
    assert!(found["warnings"].to_string().contains("ended before the tokens"), "{found}");
    // The same command goes on where it ended.
    let found = ask(&faithful, &["--transcript", "kept.jsonl"]);
    assert_eq!(found["counts"]["answers"], 24, "{found}");
    let other = endpoint(|_, _| said("x", "m"));
    let asked = ["--profile", "own", "--prompts", "prompts.jsonl", "--suspect"];
    refused(
        &home,
        &[&asked[..], &[&other, "--transcript", "kept.jsonl"]].concat(),
        &["holds answers of"],
    );

    let texts = own.clone();
    let changing = endpoint(move |n, _| said(&texts[n % 24], if n < 12 { "m" } else { "m-2" }));
    let found = ask(&changing, &[]);
    assert_eq!(found["verdict"], "inconclusive");
    assert!(reasons(&found).contains("m, m-2"), "{found}");

    let texts = human.clone();
    let limited = endpoint(move |n, _| {
        if n % 3 == 0 {
            (429, json!({"error": {"message": "slow down"}}))
        } else {
            said(&texts[n % 60], "m")
        }
    });
    let found = ask(&limited, &[]);
    assert_eq!(
        (&found["verdict"], &found["counts"]["answers"]),
        (&json!("not_shown"), &json!(24)),
        "{found}"
    );

    let refusing = endpoint(move |n, _| {
        if n < 5 {
            said("I cannot help with that.", "m")
        } else {
            (403, json!({"error": {"message": "no"}}))
        }
    });
    let found = ask(&refusing, &[]);
    assert_eq!(found["verdict"], "not_shown", "{found}");
    assert!(found["warnings"].to_string().contains("asking ended early"), "{found}");

    let quoting: Vec<String> = human[..20].iter().chain(&own[..4]).cloned().collect();
    let quoting = endpoint(move |n, _| said(&quoting[n % 24], "m"));
    let found = ask(&quoting, &[]);
    assert_ne!(found["verdict"], "shown", "{found}");

    let silent = endpoint(|_, _| said("", "m"));
    let found = ask(&silent, &[]);
    assert_eq!(found["verdict"], "inconclusive", "{found}");
    let closed = endpoint(|_, _| (401, json!({"error": {"message": "who are you"}})));
    refused(&home, &[&asked[..], &[&closed]].concat(), &["no answer", "401"]);
}

const HOSTILE: &str = "</title></style><img src=x onerror='a()'>\"&\u{202e}";

/// A page of what the program wrote, and of the same with hostile text wherever foreign text goes.
#[test]
fn results_become_a_page_that_needs_nothing_else() {
    let home = home();
    let mut found =
        tested(&home, &["--outputs", "human.jsonl", "--profile", "own", "-o", "found.json"]);
    for field in ["suspect", "base", "family", "null"] {
        found[field] = HOSTILE.into();
    }
    for field in ["profile", "scheme", "prf", "key_id", "key_created"] {
        found["mark"][field] = HOSTILE.into();
    }
    let mut control = found["primary"].clone();
    control["name"] = HOSTILE.into();
    found["controls"] = json!([control]);
    found["counts"] = json!({HOSTILE: HOSTILE});
    found["reasons"] = json!([HOSTILE]);
    found["warnings"] = json!([HOSTILE]);
    found["accounts"] = json!([{
        "name": HOSTILE, "log10_p": -9.0, "log10_p_corrected": -8.0, "z": 6.0, "verdict": "inconclusive"
    }]);
    found["verdict"] = "inconclusive".into();
    home.write("hostile.json", found.to_string());
    let run = |arguments: &[&str]| {
        let mut command = home.command(&[&["attribute", "report"], arguments].concat());
        let output = command.env("SOURCE_DATE_EPOCH", "1000000000").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };

    let one = run(&["found.json"]);
    stands_alone(&one);
    assert!(one.contains("on 9 September 2001 (UTC)") && one.contains("NOT SHOWN is no proof"));
    assert!(one.contains("What gave") || one.contains("what gave"), "{one}");
    assert_eq!(one.matches("<svg").count(), 2);
    assert_eq!(run(&["found.json", "-o", "page.html"]), "");
    assert_eq!(std::fs::read_to_string(home.path("page.html")).unwrap(), one);

    let both = run(&["found.json", "hostile.json"]);
    stands_alone(&both);
    assert!(both.contains("2 tests; none shows training") && both.contains("href=\"#s2\""));
    assert!(!both.contains("<img") && !both.contains("a()'>") && !both.contains('\u{202e}'));
    assert!(both.matches("&lt;/title&gt;").count() >= 16, "{both}");

    // The harness shows it beside what it measures, with a line-up.
    let row = json!({
        "suspect": HOSTILE, "truth": "related", "stratum": HOSTILE, "test": "weights", "verdict": "related", "log10_p": -9.0
    });
    home.write("lineup.jsonl", format!("{row}\n"));
    let plan = "texts = 1\nlengths = [20]\nhuman = \"human.jsonl\"\nlineup = \"lineup.jsonl\"\nattributions = [\"hostile.json\"]\n\
                [[scheme]]\nname = \"kgw\"\nspec = { scheme = \"kgw\" }\n";
    home.write("plan.toml", plan);
    home.ok(&["bench", "run", "plan.toml", "-o", "out"]);
    home.ok(&["bench", "report", "out", "-o", "bench.html", "--tables", "out"]);
    let page = std::fs::read_to_string(home.path("bench.html")).unwrap();
    stands_alone(&page);
    for part in ["1 of 1", "weights", "−9.0", "INCONCLUSIVE", "Copies of models"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<img"), "{page}");
    for table in ["lineup", "attribution"] {
        let table = std::fs::read_to_string(home.path(&format!("out/{table}.csv"))).unwrap();
        assert!(table.lines().count() > 1, "{table}");
    }
    home.write("plan.toml", plan.replace("lineup.jsonl", "plan.toml"));
    home.refused(&["bench", "run", "plan.toml", "-o", "out"], &["plan.toml", "line-up"]);
    let (truth, p) = ("\"truth\":\"related\"", "-9.0");
    let impossible = row.to_string().replace(truth, "\"truth\":\"independent\"").replace(p, "9.0");
    home.write("lineup.jsonl", format!("{impossible}\n"));
    home.write("plan.toml", plan);
    home.refused(&["bench", "run", "plan.toml", "-o", "out"], &["lineup.jsonl"]);
}

#[test]
fn what_is_no_result_makes_no_page() {
    let home = Home::new();
    let report = |more: &[&str], parts: &[&str]| {
        home.refused(&[&["attribute", "report", "-o", "page.html"], more].concat(), parts)
    };
    home.write("rows.jsonl", "{\"id\": \"a\"}\n{\"id\": \"b\"}\n");
    home.write("newer.json", "{\"schema\": 2}");
    home.write("half.json", "{\"schema\": 1, \"setting\": \"open\"");
    home.write("page.html", "as it was");
    report(&[], &["RESULT.json"]);
    report(&["missing.json"], &["cannot read missing.json"]);
    report(&["rows.jsonl"], &["rows.jsonl is no result of `touchmark attribute run -o`", "schema"]);
    report(&["newer.json"], &["newer.json has schema 2", "knows schema 1"]);
    report(&["half.json"], &["half.json is no result", "EOF"]);
    report(&["page.html"], &["page.html would be written over"]);
    assert_eq!(std::fs::read_to_string(home.path("page.html")).unwrap(), "as it was");
}

#[test]
fn bad_input_is_refused() {
    let home = home();
    let run = |more: &[&str], parts: &[&str]| refused(&home, more, parts);
    run(&["--suspect", "bundled"], &["--texts", "--prompts", "--outputs"]);
    run(&["--outputs", "human.jsonl", "--profile", "none"], &["no profile \"none\""]);
    run(&["--outputs", "missing.jsonl", "--profile", "own"], &["missing.jsonl"]);
    run(&["--outputs", "human.jsonl", "--profile", "own", "--decoys", "10"], &["999"]);
    run(&["--outputs", "human.jsonl", "--profile", "own", "--fpr", "2"], &["between 0 and 1"]);
    run(
        &["--suspect", "http://127.0.0.1:9", "--texts", "human.jsonl", "--profile", "own"],
        &["--prompts"],
    );
    home.write("empty.jsonl", "");
    run(&["--outputs", "empty.jsonl", "--profile", "own"], &["holds no answer"]);
    home.write("bad.jsonl", "{\"question\": 1}\n");
    run(
        &["--suspect", "bundled", "--prompts", "bad.jsonl", "--profile", "own"],
        &["line 1", "`prompt`"],
    );
    home.write("short.jsonl", "{\"text\": \"a\"}\n");
    run(
        &["--suspect", "bundled", "--texts", "short.jsonl", "--profile", "own"],
        &["give longer ones"],
    );
    home.profile("walk", "kuditipudi", &[]);
    run(&["--outputs", "human.jsonl", "--profile", "walk"], &["cannot be tested", "kgw"]);
}
