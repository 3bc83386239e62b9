//! What a server refuses to begin with, and that it says why.

use std::net::TcpListener;

use super::api_key;
use crate::cli::Home;

#[test]
fn a_server_that_could_do_harm_does_not_start() {
    let home = Home::new();
    // Nothing is set up, and a file of keys is given: no default key is made behind the operator's back.
    api_key(&home, "acme", &["--watermark-mode", "required"]);
    home.refused(
        &["serve", "--port", "0", "--api-key-file", "keys.toml"],
        &["no profile is named"],
    );
    let detect = ["serve", "--port", "0", "--detect-only", "--api-key-file", "keys.toml"];
    home.refused(&detect, &["--detect-profile"]);
    assert!(!home.path("home/keys").exists());
    home.refused(&["serve", "--port", "0", "--host", "0.0.0.0"], &["nobody would need an API key"]);
    home.ok(&["profile", "new", "default"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    home.refused(&["serve", "--port", &port], &["cannot listen", &port]);
    home.write("config.toml", "[serve]\nwatermark-mod = \"required\"\n");
    home.refused(&["--config", "config.toml", "serve", "--port", "0"], &["watermark-mod"]);
    let file = std::fs::read_to_string(home.path("keys.toml")).unwrap();
    home.write("bad.toml", format!("{file}watermrk = \"off\"\n"));
    restrict(&home, "bad.toml", 0o600);
    home.refused(&["serve", "--port", "0", "--api-key-file", "bad.toml"], &["watermrk"]);
    restrict(&home, "keys.toml", 0o666);
    home.refused(&["serve", "--port", "0", "--api-key-file", "keys.toml"], &["chmod 600"]);
    home.refused(&["serve", "--port", "0", "--cache-memory", "0"], &["--cache-memory"]);
    home.refused(&["serve", "--port", "0", "--queue-timeout", "soon"], &["30s"]);
}

#[test]
fn keys_and_profiles_must_be_there_and_fit() {
    let home = Home::new();
    home.ok(&["profile", "new", "default"]);
    let serve = ["serve", "--port", "0", "--watermark-mode", "required"];
    // A tokenizer that is not the model's.
    let other = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/models/scribe-16m/tokenizer.json"
    ))
    .unwrap();
    home.write("tokenizer.json", other.replacen('{', "{ ", 1));
    home.ok(&["profile", "new", "other", "--tokenizer", "tokenizer.json", "--vocab-size", "8192"]);
    home.refused(&[&serve[..], &["--profile", "other"]].concat(), &["other", "tokenizer"]);
    home.refused(&[&serve[..], &["--profile", "none"]].concat(), &["there is no profile \"none\""]);
    home.refused(&[&serve[..], &["--tokenizer", "missing.json"]].concat(), &["missing.json"]);
    let key = std::fs::read_dir(home.path("home/keys")).unwrap().next().unwrap().unwrap().path();
    let default = home.ok(&["profile", "show", "default"]);
    let id = key.file_stem().unwrap().to_str().unwrap();
    let keys: Vec<_> =
        std::fs::read_dir(home.path("home/keys")).unwrap().map(|it| it.unwrap().path()).collect();
    for key in
        keys.iter().filter(|key| default.contains(key.file_stem().unwrap().to_str().unwrap()))
    {
        restrict_path(key, 0o644);
        home.refused(&serve, &["chmod 600"]);
        std::fs::remove_file(key).unwrap();
        home.refused(&serve, &["there is no key"]);
    }
    assert!(!id.is_empty());
}

fn restrict(home: &Home, name: &str, mode: u32) {
    restrict_path(&home.path(name), mode);
}

fn restrict_path(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;

    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Certificate and key are for this test alone: anybody can read them.
#[test]
fn it_speaks_tls_and_nothing_else_then() {
    use ureq::tls::{Certificate, RootCerts, TlsConfig};

    let home = Home::new();
    home.write("cert.pem", include_str!("cert.pem"));
    home.write("key.pem", include_str!("key.pem"));
    let tls = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let server = super::Server::start(&home, &tls);
    assert!(server.address.starts_with("https://"));
    let root = Certificate::from_pem(include_bytes!("cert.pem")).unwrap();
    let roots = TlsConfig::builder().root_certs(RootCerts::from(vec![root])).build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(roots).build().into();
    let ready = agent.get(format!("{}/ready", server.address)).call().unwrap();
    assert_eq!(ready.status(), 200);
    let plain = server.address.replace("https://", "http://");
    assert!(agent.get(format!("{plain}/ready")).call().is_err());
    drop(server);
    home.write("bad.pem", "nothing");
    let bad = ["serve", "--port", "0", "--tls-cert", "bad.pem", "--tls-key", "key.pem"];
    home.refused(&bad, &["bad.pem"]);
}
