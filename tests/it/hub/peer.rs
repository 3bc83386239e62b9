//! Hugging Face's own client against the test server and against our cache.

use std::process::Command;

use touchmark::hub::Revision;

use super::server::{COMMIT, Server};
use super::{ID, assert_whole, hub, id, tiny};

/// The server is taken for a hub, and each side finds what the other fetched.
#[test]
#[ignore = "needs Python with huggingface_hub: TOUCHMARK_TEST_PYTHON=/path/to/python cargo test --release --test it huggingface_hub -- --ignored"]
fn huggingface_hub_shares_our_cache() {
    let python = std::env::var("TOUCHMARK_TEST_PYTHON").unwrap();
    let (server, folder) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let run = |cache: &str, arguments: &str| {
        let code = format!(
            "from huggingface_hub import snapshot_download as get; \
             print(get('{ID}', cache_dir='{cache}', {arguments}))"
        );
        let output = Command::new(&python)
            .args(["-c", &code])
            .env("HF_ENDPOINT", &server.endpoint)
            .env("HF_HOME", folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let theirs = folder.path().join("theirs");
    let path = run(theirs.to_str().unwrap(), "revision='main'");
    assert!(path.ends_with(COMMIT), "{path}");
    let ours = hub(&server, &theirs);
    let snapshot = ours.cached(&id(), &Revision::default()).unwrap();
    assert_whole(&snapshot, &tiny());
    server.forget();
    ours.fetch(&id(), &Revision::default(), &mut |_| {}).unwrap();
    assert!(server.seen("resolve").is_empty(), "what they fetched was fetched again");

    let cache = folder.path().join("ours");
    let snapshot = hub(&server, &cache).fetch(&id(), &Revision::default(), &mut |_| {}).unwrap();
    server.forget();
    assert!(run(cache.to_str().unwrap(), "local_files_only=True").ends_with(COMMIT));
    assert!(server.seen("").is_empty());
    let path = run(cache.to_str().unwrap(), "allow_patterns=['*.json', '*.safetensors']");
    assert_eq!(path, snapshot.dir().to_str().unwrap());
    assert!(server.seen("resolve").iter().all(|seen| seen.method == "HEAD"));
}
