//! GGUF files against transformers on the dequantised weights: tiny random models in `tests/it/golden/gguf`.

use std::path::{Path, PathBuf};

use touchmark::engine::{Decoder, Dtype, Source};

use super::families::{Case, TOLERANCE};

/// Greatest accepted |Δlogit| of quantised models: inputs of a product are rounded to 16 bits under a scale for 32 of
/// them.
const QUANTISED: f64 = 2e-3;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/gguf")
}

/// Files with a reference beside them.
fn models() -> Vec<(String, PathBuf)> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut models: Vec<(String, PathBuf)> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "gguf"))
        .filter(|path| path.with_extension("json").exists())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    models.sort();
    models
}

#[test]
fn gguf_files_agree_with_transformers() {
    println!("{:<16}{:>10}{:>10}{:>14}", "file", "prefill", "cached", "dequantised");
    let models = models();
    assert!(models.len() >= 18, "only {} files", models.len());
    let mut faults = Vec::new();
    for (name, path) in models {
        let case = Case::read(&name, &folder(), &format!("{name}.json"));
        let load = |dtype| {
            Decoder::load(&Source::Gguf(&path), dtype)
                .unwrap_or_else(|error| panic!("{name}: {error:?}"))
        };
        let mut model = load(Dtype::Auto);
        let (prefill, cached) = (case.prefill(&mut model), case.batched(&mut model));
        let widened = case.prefill(&mut load(Dtype::F32));
        println!("{name:<16}{prefill:>10.1e}{cached:>10.1e}{widened:>14.1e}");
        let floats = ["-f32", "-f16", "-bf16"].iter().any(|end| name.ends_with(end));
        let tolerance = if floats { TOLERANCE } else { QUANTISED };
        if prefill > tolerance || cached > tolerance || widened > TOLERANCE {
            faults.push(name);
        }
    }
    assert!(faults.is_empty(), "off: {faults:?}");
}
