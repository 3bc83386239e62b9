//! `fingerprint derive`: copies of a model made without training.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;
use touchmark::engine::tensors::{self, Stored};
use touchmark::fingerprint::derive;
use touchmark::lm::{TensorInfo, TensorSource};

use crate::args::{
    Global,
    fingerprint::{CopyDtype, Derive},
};
use crate::models::{self, Files, Place, Reach};
use crate::output::{self, Exit};
use crate::whole_file::WholeFile;

/// Files of a model that a copy keeps as they are, where they are there.
const KEPT: [&str; 11] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
];

/// How a copy was made: `derived.json`.
#[derive(Serialize)]
struct Derived {
    schema: u32,
    made_by: String,
    /// What the model was called.
    from: String,
    how: Vec<String>,
    seed: u64,
    dtype: &'static str,
    parameters: u64,
}

pub fn run(global: &Global, args: &Derive) -> anyhow::Result<Exit> {
    let place = models::locate(global, Some(&args.model), None, Reach::Fetch)?;
    let source = open(&place)?;
    let mut merged =
        |name: &str| -> Result<Box<dyn TensorSource>, Box<dyn std::error::Error + Send + Sync>> {
            let place = models::locate(global, Some(Path::new(name)), None, Reach::Fetch)?;
            Ok(open(&place)?)
        };
    let copy = derive::derive(source, &args.how, args.seed, &mut merged)?;
    new_folder(&args.output)?;
    copy_files(&place, &args.output)?;
    write_config(&*copy, args)?;
    write_weights(global, &*copy, args)?;
    let derived = Derived {
        schema: 1,
        made_by: format!("touchmark {}", env!("CARGO_PKG_VERSION")),
        from: place.name.clone(),
        how: args.how.iter().map(ToString::to_string).collect(),
        seed: args.seed,
        dtype: dtype(args.dtype),
        parameters: elements(&*copy),
    };
    write(&args.output.join("derived.json"), &serde_json::to_vec_pretty(&derived)?)?;
    if global.json {
        output::json(&derived)?;
    } else {
        let how = derived.how.join(", ");
        let out = args.output.display();
        writeln!(anstream::stdout(), "{out}: {} with {how}", place.name)?;
    }
    Ok(Exit::Done)
}

/// The tensors of a model that copies can be made of.
fn open(place: &Place) -> anyhow::Result<Box<dyn TensorSource>> {
    match &place.files {
        #[cfg(bundled_models)]
        Files::Bundled => {
            use crate::commands::bundled;
            Ok(tensors::from_bytes(bundled::CONFIG, bundled::WEIGHTS)?)
        }
        #[cfg(not(bundled_models))]
        Files::Bundled => bail!("this build has no bundled model; name a model's folder"),
        Files::Gguf(path) => bail!(
            "{} is a GGUF file, and copies are written as safetensors with the names of transformers; give the \
             folder of a model in safetensors format",
            path.display()
        ),
        Files::Folder(folder) => tensors::open(folder)
            .with_context(|| format!("cannot read the model in {}", folder.display())),
    }
}

fn new_folder(folder: &Path) -> anyhow::Result<()> {
    let failed = || format!("cannot make the folder {}", folder.display());
    if folder.exists() && std::fs::read_dir(folder).with_context(failed)?.next().is_some() {
        bail!("{} is there and not empty; name a new folder", folder.display());
    }
    std::fs::create_dir_all(folder).with_context(failed)
}

fn copy_files(place: &Place, to: &Path) -> anyhow::Result<()> {
    let from = match &place.files {
        Files::Folder(folder) => folder,
        #[cfg(bundled_models)]
        Files::Bundled => {
            let source = crate::commands::bundled::tokenizer_source();
            return write(&to.join("tokenizer.json"), &source.file);
        }
        _ => return Ok(()),
    };
    for name in KEPT {
        let file = from.join(name);
        if file.is_file() {
            let failed = || format!("cannot copy {}", file.display());
            std::fs::copy(&file, to.join(name)).with_context(failed)?;
        }
    }
    Ok(())
}

fn write_config(copy: &dyn TensorSource, args: &Derive) -> anyhow::Result<()> {
    let Some(mut config) = copy.config().cloned() else { return Ok(()) };
    let dtype = match args.dtype {
        CopyDtype::F32 => "float32",
        CopyDtype::Bf16 => "bfloat16",
    };
    for field in ["torch_dtype", "dtype"] {
        if let Some(value) = config.get_mut(field) {
            *value = Value::from(dtype);
        }
    }
    write(&args.output.join("config.json"), &serde_json::to_vec_pretty(&config)?)
}

fn write_weights(global: &Global, copy: &dyn TensorSource, args: &Derive) -> anyhow::Result<()> {
    let path: PathBuf = args.output.join("model.safetensors");
    let stored = match args.dtype {
        CopyDtype::F32 => Stored::F32,
        CopyDtype::Bf16 => Stored::Bf16,
    };
    let bar = output::progress(global.no_progress, Some(elements(copy)), "weights")?;
    let file = WholeFile::create(&path)?;
    let done = &mut |count: usize| bar.inc(count as u64);
    let file = tensors::write_safetensors(copy, file, stored, &[("format", "pt")], done)
        .with_context(|| format!("cannot write {}", path.display()))?;
    bar.finish_and_clear();
    file.finish()
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn elements(source: &dyn TensorSource) -> u64 {
    source.tensors().iter().map(|info: &TensorInfo| info.len() as u64).sum()
}

fn dtype(dtype: CopyDtype) -> &'static str {
    match dtype {
        CopyDtype::F32 => "F32",
        CopyDtype::Bf16 => "BF16",
    }
}
