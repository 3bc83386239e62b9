//! Holds the layer table: which module may import which, and where heavy crates may appear.
//!
//! import cannot hide.

#![allow(clippy::unwrap_used, reason = "in tests a panic is the failure report")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// module → modules it may import. Order is the layers', lowest first.
const TABLE: &[(&str, &[&str])] = &[
    ("tokens", &[]),
    ("keys", &[]),
    ("stats", &[]),
    ("gguf", &[]),
    ("normalise", &[]),
    ("payload", &[]),
    ("prf", &["keys", "tokens"]),
    ("sampling", &["tokens"]),
    ("lm", &["tokens"]),
    ("schemes", &["payload", "prf", "sampling", "tokens"]),
    ("watermark", &["schemes", "prf", "keys", "tokens", "sampling"]),
    ("profile", &["schemes", "prf", "keys", "tokens", "watermark"]),
    ("generate", &["watermark", "schemes", "sampling", "lm", "tokens"]),
    ("detect", &["watermark", "profile", "schemes", "prf", "sampling", "stats", "keys", "tokens"]),
    ("provenance", &["keys", "normalise", "stats", "tokens"]),
    (
        "attribution",
        &["detect", "watermark", "schemes", "prf", "sampling", "lm", "stats", "keys", "tokens"],
    ),
    ("fingerprint", &["keys", "lm", "normalise", "provenance", "stats", "tokens"]),
    ("attack", &["lm", "sampling", "tokens"]),
    (
        "bench",
        &[
            "attack",
            "attribution",
            "detect",
            "fingerprint",
            "generate",
            "lm",
            "normalise",
            "prf",
            "sampling",
            "schemes",
            "stats",
            "tokens",
            "watermark",
            "keys",
        ],
    ),
    ("tokenizer", &["gguf", "tokens"]),
    ("endpoint", &["lm"]),
    ("corpus", &["tokens"]),
    ("cluster", &["corpus", "detect", "keys", "profile"]),
    ("engine", &["gguf", "lm", "tokens"]),
    ("hub", &[]),
    ("store", &["keys", "profile", "provenance", "tokens"]),
    (
        "serve",
        &[
            "detect",
            "generate",
            "keys",
            "lm",
            "normalise",
            "profile",
            "provenance",
            "sampling",
            "schemes",
            "stats",
            "tokens",
            "watermark",
        ],
    ),
    ("report", &["attribution", "bench", "detect", "fingerprint", "stats"]),
    ("manual", &[]),
];

/// external crate → modules of the library that may name it.
const GUARDED: &[(&str, &[&str])] = &[
    ("anyhow", &[]),
    ("arc_swap", &["serve"]),
    ("axum", &["serve"]),
    ("axum_server", &["serve"]),
    ("base64", &["provenance"]),
    (
        "blake3",
        &[
            "bench",
            "prf",
            "keys",
            "tokens",
            "provenance",
            "fingerprint",
            "serve",
            "store",
            "cluster",
        ],
    ),
    ("async_trait", &["cluster"]),
    ("ballista", &["cluster"]),
    ("ballista_core", &["cluster"]),
    ("ballista_executor", &["cluster"]),
    ("ballista_scheduler", &["cluster"]),
    ("candle_core", &["engine"]),
    ("candle_nn", &["engine"]),
    ("half", &["engine"]),
    ("safetensors", &["engine"]),
    ("saphyr_parser", &["profile"]),
    ("arrow_array", &["corpus"]),
    ("arrow_buffer", &["corpus"]),
    ("arrow_ipc", &["corpus"]),
    ("arrow_json", &["corpus"]),
    ("arrow_schema", &["corpus"]),
    ("clap", &[]),
    ("csv_core", &["corpus"]),
    ("datafusion", &["cluster"]),
    ("datafusion_proto", &["cluster"]),
    ("ed25519_dalek", &["provenance"]),
    ("etcetera", &["store"]),
    ("flate2", &["corpus"]),
    ("futures", &["cluster", "serve"]),
    ("getrandom", &["fingerprint", "keys", "provenance", "serve"]),
    ("globset", &["corpus"]),
    ("hyper_util", &["serve"]),
    ("ignore", &["corpus"]),
    ("log", &[]),
    ("minijinja", &["tokenizer"]),
    ("parquet", &["corpus"]),
    ("plotters", &["report"]),
    ("prometheus_client", &["serve"]),
    ("rand_chacha", &["fingerprint", "prf", "sampling"]),
    ("rusqlite", &["store"]),
    ("rustls", &["serve"]),
    ("statrs", &["stats"]),
    ("sha1", &["hub"]),
    ("sha2", &["fingerprint", "hub", "prf", "report"]),
    ("sysinfo", &[]),
    ("tempfile", &["hub", "store"]),
    ("tokenizers", &["tokenizer"]),
    ("tokio", &["cluster", "serve"]),
    ("tokio_io_timeout", &["serve"]),
    ("tower_http", &["serve"]),
    ("unicode_normalization", &["normalise", "provenance"]),
    ("ureq", &["endpoint", "hub"]),
    ("url", &["cluster"]),
    ("utoipa", &["serve"]),
    ("zstd", &["corpus"]),
];

/// Paths of the standard library that only adapters may name: files and sockets.
const ADAPTERS_ONLY: &[&str] = &["fs", "net", "process"];
const ADAPTERS: &[&str] =
    &["tokenizer", "cluster", "corpus", "endpoint", "engine", "hub", "serve", "store"];

#[test]
fn every_module_keeps_to_its_layer() {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for (module, path) in sources() {
        seen.insert(module.clone());
        let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("{}: module `{module}` is not in the table", path.display()));
            continue;
        };
        for used in paths_in(&path) {
            faults.extend(
                fault(&module, allowed, &used).map(|why| format!("{}: {why}", path.display())),
            );
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen.len() >= 12, "the walk over src/ found only {seen:?}");
}

#[test]
fn planted_faults_are_found() {
    let schemes = &["prf", "sampling", "tokens"];
    let used = |code: &str| paths_of(&syn::parse_file(code).unwrap(), "schemes", 1);
    for (code, bad) in [
        ("use crate::keys::Key;", true),
        ("use crate::{prf::Draw, keys};", true),
        ("fn f() { let _ = crate::stats::LogP::ONE; }", true),
        ("use super::super::keys::Key;", true),
        ("use candle_core::Tensor;", true),
        ("fn f(half: f32) -> f32 { half }", false),
        ("fn f() { std::fs::read(\"x\"); }", true),
        ("use crate::prf::Draw; use super::Scheme; mod tests { use super::*; }", false),
    ] {
        let faults: Vec<_> =
            used(code).iter().filter_map(|path| fault("schemes", schemes, path)).collect();
        assert_eq!(!faults.is_empty(), bad, "{code}: {faults:?}");
    }
}

/// What is wrong with a path used in a module.
fn fault(module: &str, allowed: &[&str], path: &[String]) -> Option<String> {
    let first = path.first()?.as_str();
    if first == "crate" {
        let used = path.get(1)?;
        let known = used == module
            || allowed.contains(&used.as_str())
            || !TABLE.iter().any(|(name, _)| name == used);
        return (!known).then(|| format!("`{module}` may not import `{used}`"));
    }
    // A path of one part is a local name, not a crate.
    let guarded = GUARDED.iter().find(|(name, _)| *name == first && path.len() > 1);
    if let Some((_, homes)) = guarded {
        return (!homes.contains(&module))
            .then(|| format!("`{module}` may not name the crate `{first}`"));
    }
    let system =
        first == "std" && path.get(1).is_some_and(|part| ADAPTERS_ONLY.contains(&part.as_str()));
    (system && !ADAPTERS.contains(&module))
        .then(|| format!("`{module}` may not use `{}`", path.join("::")))
}

/// Every file of the library with the top-level module it belongs to; the binary is a crate of its own.
fn sources() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let inside = path.strip_prefix(&root).unwrap();
            if path.is_dir() {
                if inside != Path::new("bin") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && inside != Path::new("lib.rs")
            {
                let module = inside.components().next().unwrap().as_os_str().to_str().unwrap();
                found.push((module.trim_end_matches(".rs").to_owned(), path.clone()));
            }
        }
    }
    found
}

fn paths_in(file: &Path) -> Vec<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let inside = file.strip_prefix(root).unwrap();
    let module = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned();
    // How many modules deep the file is: `super` from `a.rs` or `a/mod.rs` is the crate.
    let depth = inside.components().count() - usize::from(inside.ends_with("mod.rs"));
    paths_of(&syn::parse_file(&std::fs::read_to_string(file).unwrap()).unwrap(), &module, depth)
}

/// All paths in a file, `super` chains resolved as far as they leave its top-level module.
fn paths_of(file: &syn::File, module: &str, depth: usize) -> Vec<Vec<String>> {
    let mut collector = Collector { depth, found: Vec::new() };
    collector.visit_file(file);
    collector.found.into_iter().map(|(depth, path)| resolve(depth, module, path)).collect()
}

fn resolve(depth: usize, module: &str, path: Vec<String>) -> Vec<String> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    if ups == 0 {
        return path;
    }
    let rest = path.into_iter().skip(ups);
    if ups >= depth {
        std::iter::once("crate".to_owned()).chain(rest).collect()
    } else {
        ["crate".to_owned(), module.to_owned()].into_iter().chain(rest).collect()
    }
}

struct Collector {
    depth: usize,
    found: Vec<(usize, Vec<String>)>,
}

impl Collector {
    fn tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |part: &syn::Ident| [prefix, &[part.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.found.push((self.depth, with(&name.ident))),
            syn::UseTree::Rename(rename) => self.found.push((self.depth, with(&rename.ident))),
            syn::UseTree::Glob(_) => self.found.push((self.depth, prefix.to_vec())),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(prefix, item))
            }
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.found
            .push((self.depth, path.segments.iter().map(|part| part.ident.to_string()).collect()));
        syn::visit::visit_path(self, path);
    }

    /// A module written inside a file is one deeper; test modules may use what they like of the crate, but not more
    /// crates.
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("cfg"))
            && item.ident == "tests"
        {
            return;
        }
        self.depth += 1;
        syn::visit::visit_item_mod(self, item);
        self.depth -= 1;
    }
}
