//! `touchmark profile import`: another engine's configuration becomes a profile and a key.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use touchmark::detect::DEFAULT_ENTROPY;
use touchmark::profile::Profile;
use touchmark::profile::import::{
    DrawnOn, Imported, MOST_BYTES, Note, Options, SynthIdHash, VocabularySize, read,
};
use touchmark::store::Store;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::Tokenize;
use zeroize::Zeroizing;

use crate::args::{self, Global, ProfileImport};
use crate::assemble::{self, NewKey, NewProfile};
use crate::models::{self, TokenizerSource};
use crate::output;

pub fn run(global: &Global, store: &Store, args: &ProfileImport) -> anyhow::Result<Profile> {
    let found = configuration(args).with_context(|| args.file.display().to_string())?;
    let tokenizer = tokenizer(global, args, found.vocabulary)?;
    let id = args.name.clone().unwrap_or_else(|| args.tool.name().to_owned());
    let key_id = args.key_id.as_ref().map(|id| id.parse()).transpose()?;
    let made = NewProfile {
        id,
        scheme: found.spec,
        repeats: found.repeats,
        key: NewKey::Given(found.key, key_id),
    };
    let profile = assemble::new_profile(store, made, &tokenizer)?;
    say(global, &found.notes);
    Ok(profile)
}

fn configuration(args: &ProfileImport) -> anyhow::Result<Imported> {
    let options = Options {
        hash: args.hash.map(|hash| match hash {
            args::SynthIdHash::Table => SynthIdHash::Table,
            args::SynthIdHash::Iv => SynthIdHash::Iv,
        }),
        ngram_len: args.ngram_len,
        device: args.device.map(|device| match device {
            args::DrawnOn::Cpu => DrawnOn::Cpu,
            args::DrawnOn::Cuda => DrawnOn::Cuda,
        }),
    };
    let bytes = contents(&args.file)?;
    // The error would hold the bytes.
    let Ok(text) = std::str::from_utf8(&bytes) else { bail!("the file is not UTF-8 text") };
    Ok(read(args.tool, text, options)?)
}

/// A file that may hold a key, in a buffer that is wiped.
fn contents(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path).context("cannot be read")?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        bail!("not a file");
    }
    warn_if_loose(path, &metadata);
    // One byte more than may be there, so that the reader refuses what is longer; the buffer never grows.
    let most = MOST_BYTES as u64 + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len().min(most) as usize + 1));
    file.take(most).read_to_end(&mut bytes).context("cannot be read")?;
    Ok(bytes)
}

/// A key that others can read is no secret, but the tools' own files often are so.
#[cfg(unix)]
fn warn_if_loose(path: &Path, metadata: &std::fs::Metadata) {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.display();
        output::warn(&format!(
            "{path} may hold a key and can be read by other users (mode {mode:o}); run: chmod 600 {path}"
        ));
    }
}

#[cfg(not(unix))]
fn warn_if_loose(_: &Path, _: &std::fs::Metadata) {}

fn tokenizer(
    global: &Global,
    args: &ProfileImport,
    said: VocabularySize,
) -> anyhow::Result<TokenizerSource> {
    let (file, name, width) =
        models::tokenizer_and_width(global, &args.tokenizer, args.revision.as_deref())?;
    let tokenizer = HfTokenizer::from_bytes(&file)
        .with_context(|| format!("{} cannot be used", args.tokenizer.display()))?;
    let asked = match &args.model {
        Some(model) => Some(width_of(global, model, &tokenizer)?),
        None => args.vocab_size,
    };
    let vocab_size = match (said, asked) {
        (VocabularySize::Given(said), Some(asked)) if said != asked => {
            bail!("the configuration says that V is {said}, but {asked} was given")
        }
        (VocabularySize::Given(said), _) => said,
        (_, Some(asked)) => asked,
        (VocabularySize::Logits, None) => own_size(args, &tokenizer, width)?,
        (VocabularySize::Tokenizer, None) => entries(&tokenizer)?,
    };
    let own = tokenizer.vocab_size();
    if own > vocab_size as usize {
        bail!(
            "the tokenizer has {own} ids, but V is {vocab_size}: they do not belong together; check --tokenizer and \
             --model or --vocab-size"
        );
    }
    Ok(TokenizerSource { file, vocab_size, name, entropy: DEFAULT_ENTROPY })
}

/// V of the model that wrote, if the tokenizer is its own.
fn width_of(global: &Global, model: &Path, tokenizer: &HfTokenizer) -> anyhow::Result<u32> {
    let (width, file) = models::width_and_tokenizer(global, model)?;
    if let Some(file) = file {
        let theirs = HfTokenizer::from_bytes(&file)?;
        let ids = 0..tokenizer.vocab_size().max(theirs.vocab_size()) as u32;
        let other = ids.into_iter().find(|&id| tokenizer.token(id) != theirs.token(id));
        if let Some(id) = other {
            bail!(
                "the tokenizer is not that of {}: id {id} means other text there; give the model's own with --tokenizer",
                model.display()
            );
        }
    }
    Ok(width)
}

/// The width of the tokenizer's model, or the tokenizer's own size once its user has said that the logits are as wide.
fn own_size(
    args: &ProfileImport,
    tokenizer: &HfTokenizer,
    width: Option<anyhow::Result<u32>>,
) -> anyhow::Result<u32> {
    let width = width.transpose()?;
    let own = u32::try_from(tokenizer.vocab_size())?;
    match (width, args.vocab_size_of_tokenizer) {
        (None, true) => Ok(own),
        (Some(width), false) => Ok(width),
        (Some(width), true) if width == own => Ok(own),
        (Some(width), true) => bail!(
            "--vocab-size-of-tokenizer says that the logits are {own} wide, but {} has {width} in its configuration",
            args.tokenizer.display()
        ),
        (None, false) => bail!(
            "the configuration does not say how wide the model's logits are, and lists are drawn over that width. It is \
             often more than the tokenizer's {own} ids, because heads are padded (151,936 against 151,643 for Qwen 2.5); \
             with the wrong width every mark is missed. Give the model with --model, or its vocab_size with \
             --vocab-size, or say --vocab-size-of-tokenizer if its logits are exactly as wide as the tokenizer"
        ),
    }
}

/// The number of entries, which is what `len(tokenizer.get_vocab())` gives a tool.
fn entries(tokenizer: &HfTokenizer) -> anyhow::Result<u32> {
    let (entries, own) = (tokenizer.entries(), tokenizer.vocab_size());
    if entries != own {
        bail!(
            "the tokenizer has {entries} entries with ids up to {own}, so the size that the tool took is not certain; give \
             it with --vocab-size"
        );
    }
    Ok(u32::try_from(own)?)
}

fn say(global: &Global, notes: &[Note]) {
    for note in notes {
        match note {
            Note::NotKept(_) | Note::WidthWithoutEffect => {
                output::note(global.quiet, &note.to_string());
            }
            _ => output::warn(&note.to_string()),
        }
    }
}
