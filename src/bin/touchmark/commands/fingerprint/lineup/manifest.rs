//! Who stands in a line-up.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use touchmark::fingerprint::lineup::Truth;

/// A line-up as it is written down. Paths are relative to the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The model that weights are compared with.
    pub reference: Option<PathBuf>,
    /// Plans that each suspect is asked: files, or folders of bundles.
    #[serde(default)]
    pub plans: Vec<PathBuf>,
    /// The suspects.
    #[serde(rename = "suspect")]
    pub suspects: Vec<Suspect>,
}

/// One of them.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspect {
    /// Folder, GGUF file, or address of an endpoint.
    pub model: String,
    /// What is true of it.
    pub truth: Truth,
    /// What kind it is.
    pub stratum: String,
}

impl Manifest {
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut manifest =
            if path.is_dir() { Self::of_folder(path)? } else { Self::of_file(path)? };
        let folder =
            if path.is_dir() { path } else { path.parent().unwrap_or_else(|| Path::new("")) };
        manifest.reference = manifest.reference.map(|reference| folder.join(reference));
        for plan in &mut manifest.plans {
            *plan = folder.join(&*plan);
        }
        for suspect in &mut manifest.suspects {
            if !suspect.is_endpoint() {
                suspect.model = folder.join(&suspect.model).display().to_string();
            }
        }
        manifest.check(path)?;
        Ok(manifest)
    }

    fn of_file(path: &Path) -> anyhow::Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a line-up", path.display()))
    }

    /// `related/*` and `independent/*`. A kind is what a name begins with, up to the first dot: `int4.group32` is of kind `int4`.
    fn of_folder(folder: &Path) -> anyhow::Result<Self> {
        let mut suspects = Vec::new();
        for (name, truth) in [("related", Truth::Related), ("independent", Truth::Independent)] {
            let Ok(entries) = fs::read_dir(folder.join(name)) else { continue };
            let mut found = entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<std::io::Result<Vec<String>>>()
                .with_context(|| format!("cannot read {}", folder.display()))?;
            found.sort();
            suspects.extend(found.into_iter().filter(|model| !model.starts_with('.')).map(
                |model| Suspect {
                    stratum: model.split('.').next().unwrap_or(&model).to_owned(),
                    model: format!("{name}/{model}"),
                    truth,
                },
            ));
        }
        Ok(Self { reference: None, plans: Vec::new(), suspects })
    }

    fn check(&self, path: &Path) -> anyhow::Result<()> {
        if self.suspects.is_empty() {
            bail!(
                "{} names no suspects: a manifest has [[suspect]] tables, a folder has folders `related` and `independent`",
                path.display()
            );
        }
        let mut models: Vec<&str> =
            self.suspects.iter().map(|suspect| suspect.model.as_str()).collect();
        models.sort_unstable();
        match models.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => bail!("{} stands in the line-up twice", pair[0]),
            None => Ok(()),
        }
    }
}

impl Suspect {
    pub fn is_endpoint(&self) -> bool {
        self.model.starts_with("http://") || self.model.starts_with("https://")
    }
}
