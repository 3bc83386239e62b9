//! Policies: who may ask for what, what is marked, and that a change of them loses no request.

use serde_json::json;

use super::{Server, api_key, story};
use crate::cli::Home;

/// A home with a default profile, whose key is the same each time.
fn ready() -> Home {
    let home = Home::new();
    home.profile("default", "kgw", &[]);
    home
}

#[test]
fn each_mode_marks_as_it_says() {
    let home = ready();
    let modes = ["off", "opt-in", "default", "required"];
    let keys = modes.map(|mode| api_key(&home, mode, &["--watermark-mode", mode]));
    let server = Server::start(&home, &["--api-key-file", "keys.toml"]);
    let nothing = json!({});
    let on = json!({"watermarking": true});
    let off = json!({"watermark": {"enabled": false}});
    // What is asked for: nothing, a mark, no mark. What comes: marked, unmarked, refused.
    let expected =
        [["no", "400", "no"], ["no", "yes", "no"], ["yes", "yes", "no"], ["yes", "yes", "400"]];
    for (key, expected) in keys.iter().zip(expected) {
        for (wish, expected) in [&nothing, &on, &off].into_iter().zip(expected) {
            let reply = server.with_key(key).story(30, wish.clone());
            let got = match reply.status {
                200 if reply.json()["watermark"]["applied"] == true => "yes",
                200 => "no",
                _ => "400",
            };
            assert_eq!(got, expected, "{wish}: {}", reply.text);
        }
    }
    assert_eq!(server.with_key("tmk-unknown").story(5, json!({})).fault(401), "");
    assert_eq!(server.anybody().story(5, json!({})).fault(401), "");
    // Metrics and policies are for those who may.
    server.with_key(&keys[0]).get("/metrics").fault(403);
    server.with_key(&keys[0]).post("/admin/reload", &json!({})).fault(403);
}

#[test]
fn nothing_unmarked_is_given_where_a_mark_is_required() {
    let home = ready();
    home.profile("gumbel", "gumbel", &[]);
    let key = api_key(&home, "acme", &["--watermark-mode", "required"]);
    let server = Server::start(
        &home,
        &["--api-key-file", "keys.toml", "--profile", "gumbel", "--on-unmarkable", "pass"],
    );
    let asking = server.with_key(&key);
    assert_eq!(asking.story(30, json!({"temperature": 0})).fault(400), "temperature");
    assert_eq!(asking.story(30, json!({"top_k": 1})).fault(400), "temperature");
    assert_eq!(asking.story(4, json!({})).fault(400), "max_tokens");
    assert_eq!(
        asking.story(30, json!({"watermark": {"profile": "other"}})).fault(400),
        "watermark.profile"
    );
    // An answer that ends before its first mark is held back, also in a stream.
    let short = json!({"stop": [" ", "a", "e", "i", "o", "t"]});
    assert_eq!(asking.story(30, short.clone()).status, 422);
    let chunks = asking.stream("/v1/completions", &story(30, short));
    assert_eq!(chunks.len(), 1, "{chunks:?}");
    assert_eq!(chunks[0]["error"]["code"], "insufficient_evidence");
    let marked = asking.story(30, json!({})).ok();
    assert!(marked["watermark"]["tokens_marked"].as_u64().unwrap() >= 20);
}

#[test]
fn what_cannot_be_marked_is_given_unless_a_mark_was_asked_for() {
    let home = ready();
    home.profile("gumbel", "gumbel", &[]);
    let server = Server::start(&home, &["--profile", "gumbel"]);
    let greedy = |more: serde_json::Value| {
        let mut body = story(30, json!({"temperature": 0}));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.post("/v1/completions", &body)
    };
    let given = greedy(json!({}));
    assert_eq!(given.header("x-watermark"), "none; reason=greedy");
    assert_eq!(given.ok()["watermark"]["applied"], false);
    assert_eq!(greedy(json!({"watermarking": true})).fault(400), "temperature");
    let short = server.anybody().story(2, json!({})).ok();
    assert_eq!(short["watermark"]["reason"], "short");
}

#[test]
fn a_text_names_the_account_whose_tenant_marked_it() {
    let home = ready();
    let names: Vec<String> = (0..20).map(|number| format!("account-{number}")).collect();
    let keys: Vec<String> =
        names.iter().map(|name| api_key(&home, name, &["--tenant", name])).collect();
    let analyst = api_key(&home, "auditor", &["--role", "analyst"]);
    let server = Server::start(&home, &["--api-key-file", "keys.toml"]);
    for at in [3, 17] {
        let text =
            server.with_key(&keys[at]).story(300, json!({})).ok()["choices"][0]["text"].clone();
        let found =
            server.with_key(&analyst).post("/v1/watermark/detect", &json!({ "text": text })).ok();
        assert_eq!(found["verdict"], "detected", "{found}");
        let rows = found["rows"].as_array().unwrap();
        let detected: Vec<_> = rows.iter().filter(|row| row["verdict"] == "detected").collect();
        assert_eq!(detected.len(), 1);
        assert!(detected[0]["key_id"].as_str().unwrap().ends_with(&format!("/{}", names[at])));
        // 20 tenants and the profile's own key.
        assert!(
            detected[0]["family"].as_str().unwrap().contains("21"),
            "{}",
            detected[0]["family"]
        );
        // An account that may only ask for answers sees the verdict alone.
        let public =
            server.with_key(&keys[0]).post("/v1/watermark/detect", &json!({ "text": text })).ok();
        assert_eq!(public["verdict"], "detected");
        assert!(public.get("rows").is_none_or(serde_json::Value::is_null), "{public}");
    }
    server.with_key(&analyst).story(5, json!({})).fault(403);
}

#[test]
fn exemptions_say_why() {
    let home = ready();
    let key = api_key(&home, "acme", &[]);
    let file = std::fs::read_to_string(home.path("keys.toml")).unwrap();
    let exempt =
        "\n[[exempt]]\nreason = \"code is not prose\"\nsystem_contains = \"programming\"\n";
    home.write("keys.toml", file + exempt);
    let server = Server::start(&home, &["--api-key-file", "keys.toml"]);
    let ask = |system: &str| {
        let body = json!({
            "model": "scribe-16m-chat", "max_tokens": 20,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": "Write a line."}],
        });
        server.with_key(&key).post("/v1/chat/completions", &body).ok()["watermark"]["reason"]
            .clone()
    };
    assert_eq!(ask("You are a programming assistant."), "exempt: code is not prose");
    assert_eq!(ask("You are a poet."), serde_json::Value::Null);
}

#[test]
fn limits_are_kept() {
    let home = ready();
    let key = api_key(&home, "small", &[]);
    let file = std::fs::read_to_string(home.path("keys.toml")).unwrap();
    home.write(
        "keys.toml",
        file + "limits = { requests_per_minute = 3, max_n = 1, max_top_logprobs = 0 }\n",
    );
    let server = Server::start(&home, &["--api-key-file", "keys.toml"]);
    let asking = server.with_key(&key);
    assert_eq!(asking.story(5, json!({"n": 2})).fault(400), "n");
    assert_eq!(asking.story(5, json!({"logprobs": 1})).fault(400), "logprobs");
    for _ in 0..3 {
        asking.story(5, json!({})).ok();
    }
    let refused = asking.story(5, json!({}));
    refused.fault(429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
}

/// A page that somebody looks at may lead a name of its own to this machine.
#[test]
fn without_keys_only_this_machine_is_answered_under_its_own_name() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let ask = |host: &str| {
        let request =
            server.agent.get(format!("{}/v1/models", server.address)).header("host", host);
        super::reply(request.call().unwrap()).status
    };
    assert_eq!((ask("localhost:8080"), ask("evil.example:8080")), (200, 403));
}

#[cfg(unix)]
#[test]
fn policies_change_without_losing_a_request() {
    let home = ready();
    let first = api_key(&home, "first", &["--role", "generate,admin"]);
    let server = Server::start(&home, &["--api-key-file", "keys.toml"]);
    let long = std::thread::scope(|scope| {
        let asking = server.with_key(&first);
        let long = scope.spawn(move || asking.stream("/v1/completions", &story(600, json!({}))));
        std::thread::sleep(std::time::Duration::from_millis(100));
        let second = api_key(&home, "second", &[]);
        assert_eq!(server.with_key(&second).story(5, json!({})).status, 401);
        server.signal("HUP");
        let known = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            server.with_key(&second).story(5, json!({})).status == 200
        });
        assert!(known, "SIGHUP loads the new key");
        // The profile is retired for another: the next answers carry that one.
        home.ok(&["profile", "new", "next"]);
        let file = std::fs::read_to_string(home.path("keys.toml")).unwrap();
        let both = "detect_profiles = [\"default\"]\n[defaults]\nprofiles = [\"next\"]\n";
        home.write("keys.toml", format!("{both}{file}"));
        let loaded = server.with_key(&first).post("/admin/reload", &json!({})).ok();
        assert_eq!(loaded["accounts"], 2);
        assert_eq!(
            server.with_key(&second).story(20, json!({})).ok()["watermark"]["profile"],
            "next"
        );
        let looked_for = server.with_key(&first).get("/v1/watermark/profiles").ok();
        let looked_for = looked_for["data"].as_array().unwrap().iter();
        let looked_for: Vec<_> = looked_for.map(|it| it["id"].as_str().unwrap()).collect();
        assert_eq!(looked_for, ["default", "next"]);
        // What cannot be used changes nothing.
        let file = std::fs::read_to_string(home.path("keys.toml")).unwrap();
        home.write("keys.toml", format!("{file}\nwatermarks = 1\n"));
        server.with_key(&first).post("/admin/reload", &json!({})).fault(409);
        assert_eq!(server.with_key(&second).story(5, json!({})).status, 200);
        long.join().unwrap()
    });
    let last = long.last().unwrap();
    assert_eq!(last["watermark"]["profile"], "default", "{last}");
    assert_eq!(last["choices"][0]["finish_reason"], "length");
}
