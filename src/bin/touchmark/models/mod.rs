//! Models by name: the bundled one, a folder, a GGUF file, or a model of a hub.

use std::path::{Path, PathBuf};

use anyhow::bail;
#[cfg(feature = "hub")]
use touchmark::hub::Snapshot;

use crate::args::Global;

#[cfg(feature = "engine")]
mod completer;
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "engine")]
mod load;
#[cfg(feature = "engine")]
mod neighbours;
#[cfg(feature = "engine")]
mod tensors;
#[cfg(feature = "engine")]
mod text;
mod tokenizers;

#[cfg(feature = "engine")]
pub use completer::open;
#[cfg(feature = "hub")]
pub use hub::settings as hub_settings;
#[cfg(feature = "engine")]
pub use load::{Loading, Model, Templates, file_hash, load, source, weights_hash};
#[cfg(feature = "engine")]
pub use neighbours::neighbours;
#[cfg(feature = "engine")]
pub use tensors::tensors;
#[cfg(feature = "engine")]
pub use text::{Text, check_fits, text};
pub use tokenizers::{
    TokenizerSource, tokenizer_and_width, tokenizer_file, tokenizer_source, width_and_tokenizer,
};

/// What may be read of a model that a hub has.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(any(feature = "engine", feature = "hub")),
    expect(dead_code, reason = "nothing needs weights")
)]
pub enum Reach {
    /// All that is needed to run it; what is missing is fetched.
    Fetch,
    /// Its tokenizer and configuration; what is missing is fetched.
    Describe,
    /// What the cache holds.
    Cache,
}

/// A model's files.
pub struct Place {
    pub files: Files,
    /// What people call it: the id on the hub, or the name of the folder or file.
    pub name: String,
    #[cfg(feature = "hub")]
    pub snapshot: Option<Snapshot>,
}

/// Where a model's files are.
pub enum Files {
    /// In this program.
    Bundled,
    Folder(PathBuf),
    Gguf(PathBuf),
}

impl Files {
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Bundled => None,
            Self::Folder(path) | Self::Gguf(path) => Some(path),
        }
    }
}

impl Place {
    fn local(files: Files) -> Self {
        let named = files.path().and_then(|path| path.canonicalize().ok());
        let name = match (&files, &named) {
            (Files::Bundled, _) => Some("scribe-16m".as_ref()),
            (Files::Folder(_), Some(path)) => path.file_name(),
            (Files::Gguf(_), Some(path)) => path.file_stem(),
            (_, None) => None,
        };
        let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self {
            files,
            name,
            #[cfg(feature = "hub")]
            snapshot: None,
        }
    }

    /// Where the model is, for messages.
    #[cfg(feature = "engine")]
    pub fn display(&self) -> String {
        match self.files.path() {
            Some(path) => path.display().to_string(),
            None => "this program".to_owned(),
        }
    }
}

/// Finds the model of a name: nothing or `bundled`, an existing folder or GGUF file, or an id on a hub.
pub fn locate(
    global: &Global,
    name: Option<&Path>,
    revision: Option<&str>,
    reach: Reach,
) -> anyhow::Result<Place> {
    let files = match name {
        None => Files::Bundled,
        Some(name) if name == Path::new("bundled") => Files::Bundled,
        Some(path) if path.is_dir() => Files::Folder(path.to_owned()),
        Some(path) if path.is_file() && is_gguf(path) => Files::Gguf(path.to_owned()),
        Some(path) if path.is_file() => bail!(
            "{} is neither a folder nor a .gguf file; a model is a folder with config.json, tokenizer.json and \
             safetensors, a GGUF file, or the id of a model on a hub",
            path.display()
        ),
        Some(id) => return on_hub(global, id, revision, reach),
    };
    if revision.is_some() {
        bail!(
            "--revision is for models of a hub, but {} is {}; leave it out",
            name.unwrap_or_else(|| Path::new("the model")).display(),
            if matches!(files, Files::Bundled) { "in this program" } else { "on this disk" }
        );
    }
    Ok(Place::local(files))
}

/// The bundled model that was trained on conversations.
#[cfg(feature = "engine")]
const BUNDLED_CHAT: &str = "bundled-chat";

/// Finds a model that is to be run, as [`locate`] does or by the name `bundled-chat`; says whether it is that one.
#[cfg(feature = "engine")]
pub fn named(
    global: &Global,
    name: &Path,
    revision: Option<&str>,
) -> anyhow::Result<(Place, bool)> {
    let chat = name == Path::new(BUNDLED_CHAT);
    let found = if chat { Path::new("bundled") } else { name };
    let mut place = locate(global, Some(found), revision, Reach::Fetch)?;
    if chat {
        place.name += "-chat";
    }
    Ok((place, chat))
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// A name that no folder or file has.
fn on_hub(
    global: &Global,
    name: &Path,
    revision: Option<&str>,
    reach: Reach,
) -> anyhow::Result<Place> {
    let given = name.display();
    // The hub has some models without an organisation, but such a name is rather a mistyped folder.
    let id = name.to_str().filter(|name| name.contains('/'));
    let id = id.filter(|name| name.contains(':') || !is_gguf(Path::new(name)));
    let Some(id) = id else {
        bail!(
            "\"{given}\" is no folder or .gguf file here, and no id of a model on a hub (org/name or \
             org/name:file.gguf); check the path, or give the id. A folder needs config.json, tokenizer.json and \
             safetensors"
        );
    };
    #[cfg(feature = "hub")]
    return hub::place(global, id, revision, reach);
    #[cfg(not(feature = "hub"))]
    {
        let _ = (global, revision, reach);
        bail!(
            "{id} is no folder or .gguf file here, and this build cannot fetch models: build it with \
             --features hub, or give the folder of a model"
        )
    }
}

#[cfg(not(bundled_models))]
const NO_BUNDLED: &str =
    "this build has no bundled model (build from the repository for one); name a model";
