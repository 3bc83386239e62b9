//! What a folder's rows were made of, so that rows of two settings never mix.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use touchmark::corpus::DocumentError;
use touchmark::store::Store;

use super::super::reader::Reader;
use crate::args::{self, Filter};
use crate::commands::marks;

const NAME: &str = "manifest.json";
/// Of a manifest that is being written.
const UNFINISHED: &str = ".manifest-";

/// What decides about rows, the sources and how they are dealt. Nothing secret: of a key its name and commitment.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    touchmark_run: u32,
    detector_version: String,
    pub settings: Value,
    pub world_size: u64,
    pub shard_documents: u64,
    sources: Vec<Value>,
}

impl Manifest {
    const VERSION: u32 = 1;

    pub fn new(
        args: &args::Detect,
        store: &Store,
        reader: &Reader,
        sources: &[Result<PathBuf, DocumentError>],
    ) -> anyhow::Result<Self> {
        Ok(Self {
            touchmark_run: Self::VERSION,
            detector_version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: settings(args, store, reader)?,
            world_size: args.runs.world_size,
            shard_documents: args.runs.shard_documents,
            sources: sources.iter().map(source).collect::<anyhow::Result<_>>()?,
        })
    }

    /// Whether parts hold rows, and not documents.
    pub fn has_rows(&self) -> bool {
        self.settings["writes"] == "rows"
    }

    /// Identifies the manifest in parts.
    pub fn digest(&self) -> anyhow::Result<String> {
        Ok(blake3::hash(&serde_json::to_vec(self)?).to_hex().to_string())
    }

    /// Whether a folder has one.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(NAME).is_file()
    }

    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(NAME);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let damaged = || {
            format!(
                "{} is damaged, so that its run cannot go on; put back the file, or give --resume another folder",
                path.display()
            )
        };
        let manifest: Self = serde_json::from_str(&text).with_context(damaged)?;
        if manifest.touchmark_run != Self::VERSION {
            bail!(
                "{} is of version {}, and this program knows version {}; go on with the program that began it",
                path.display(),
                manifest.touchmark_run,
                Self::VERSION
            );
        }
        Ok(manifest)
    }

    /// Writes it to a new folder, or holds it against the one that is there.
    pub fn agree(&self, folder: &Path) -> anyhow::Result<()> {
        let failed = || format!("cannot write to {}", folder.display());
        std::fs::create_dir_all(folder).with_context(failed)?;
        if !Self::is_in(folder) {
            refuse_other_files(folder)?;
            let mut new = tempfile::Builder::new()
                .prefix(UNFINISHED)
                .tempfile_in(folder)
                .with_context(failed)?;
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            new.write_all(&text).with_context(failed)?;
            new.as_file().sync_all().with_context(failed)?;
            match new.persist_noclobber(folder.join(NAME)) {
                Ok(_) => return Ok(()),
                // Another rank was first.
                Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.error).with_context(failed),
            }
        }
        let there = Self::read(folder)?;
        match difference("", &serde_json::to_value(&there)?, &serde_json::to_value(self)?) {
            None => Ok(()),
            Some(difference) => bail!(
                "{} holds another run: {difference}. Run it as it was begun, or give --resume another folder",
                folder.display()
            ),
        }
    }
}

fn refuse_other_files(folder: &Path) -> anyhow::Result<()> {
    let failed = || format!("cannot read {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(failed)? {
        let name = entry.with_context(failed)?.file_name();
        // Another rank may have its manifest there by now.
        if name != NAME
            && !name.to_string_lossy().starts_with(UNFINISHED)
            && !Manifest::is_in(folder)
        {
            bail!(
                "{} holds other files, such as {}; give --resume a folder of its own",
                folder.display(),
                name.display()
            );
        }
    }
    Ok(())
}

/// All that changes what is written of a document. A flag of `detect` that does belongs here.
fn settings(args: &args::Detect, store: &Store, reader: &Reader) -> anyhow::Result<Value> {
    let (inputs, looks) = (&args.inputs, &args.marks.looks);
    let bytes = |path: &PathBuf| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let bayesian = args.bayesian.as_ref().map(bytes).transpose()?;
    let calibration = args.extras.calibration.as_ref().map(bytes).transpose()?;
    let tenants = looks.tenants.as_ref().map(bytes).transpose()?;
    Ok(json!({
        "writes": match args.runs.filter {
            None => "rows",
            Some(Filter::Keep) => "documents, keep",
            Some(Filter::Drop) => "documents, drop",
        },
        "attributes": args.runs.attributes.is_some(),
        "profiles": profiles(store, reader)?,
        "tenants": tenants.map(|bytes| hash(&bytes)),
        "screen": format!("{:?}", looks.screen),
        "top": looks.top,
        "calibration": calibration.map(|bytes| hash(&bytes)),
        "allow_unhealthy": args.extras.allow_unhealthy,
        "decoys": args.extras.decoys,
        "decoy_seed": args.extras.decoy_seed,
        "fpr": args.fpr,
        "normalise": looks.normalise == args::Switch::On,
        "segments": format!("{:?}", looks.segments),
        "model": args.marks.model,
        "revision": args.marks.loading.revision,
        "bayesian": bayesian.map(|bytes| hash(&bytes)),
        "text_field": inputs.text_field,
        "id_field": inputs.id_field,
        "tokens_field": inputs.tokens_field,
        "prompt_field": inputs.prompt_field,
        "max_document": inputs.max_document,
    }))
}

/// With the public part of every key; of tenants that of the key theirs is derived from.
fn profiles(store: &Store, reader: &Reader) -> anyhow::Result<Vec<Value>> {
    let (mut all, mut keys) = (Vec::new(), BTreeMap::new());
    for mark in reader.marks() {
        let (parent, _) = marks::parent(mark.key);
        // Very many tenants share one.
        let key = match keys.entry(parent) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(store.key_info(&parent.parse()?)?),
        };
        let identity = marks::identity_under(key, &mark)?;
        let value = json!({
            "id": identity.profile,
            "hash": identity.profile_blake3,
            "tokenizer": identity.tokenizer,
            "key_id": parent,
            "key_commitment": key.commitment.0,
        });
        if all.last() != Some(&value) {
            all.push(value);
        }
    }
    Ok(all)
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn source(source: &Result<PathBuf, DocumentError>) -> anyhow::Result<Value> {
    let path = match source {
        Ok(path) if path == Path::new("-") => {
            bail!("standard input cannot be read a second time; with --resume, name files")
        }
        Ok(path) => path,
        Err(error) => return Ok(json!({"error": error.to_string()})),
    };
    let shown = path.display().to_string();
    Ok(match path.metadata() {
        Ok(metadata) => {
            let modified =
                metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let modified = modified.map(|since| since.as_nanos().to_string());
            json!({"path": shown, "bytes": metadata.len(), "modified": modified})
        }
        Err(error) => json!({"path": shown, "error": error.to_string()}),
    })
}

/// The first difference, in words.
fn difference(name: &str, there: &Value, now: &Value) -> Option<String> {
    let within =
        |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    match (there, now) {
        (Value::Object(there), Value::Object(now)) => {
            let keys = there.keys().chain(now.keys().filter(|key| !there.contains_key(*key)));
            let mut parts = keys.filter_map(|key| {
                let of =
                    |object: &serde_json::Map<_, _>| object.get(key).cloned().unwrap_or_default();
                difference(&within(key), &of(there), &of(now))
            });
            let first = parts.next()?;
            // Which source or profile it is.
            let which = there.get("path").or_else(|| there.get("id")).and_then(Value::as_str);
            Some(match which {
                Some(which) => format!("{which}: {first}"),
                None => first,
            })
        }
        (Value::Array(there), Value::Array(now)) => {
            let mut pairs = (0..).zip(there.iter().zip(now));
            let differs = |(at, (there, now)): (usize, (&Value, &Value))| {
                difference(&format!("{name}[{at}]"), there, now)
            };
            let length = || format!("{name}: {} then, {} now", there.len(), now.len());
            pairs.find_map(differs).or_else(|| (there.len() != now.len()).then(length))
        }
        _ => (there != now).then(|| format!("{name} was {there} and is {now}")),
    }
}
