//! Models of a hub.

use anyhow::{Context, bail};
use touchmark::hub::{Hub, ModelId, Progress, Revision, Settings};

use super::{Files, Place, Reach, is_gguf};
use crate::args::Global;
use crate::output;

/// What the environment says, and `--offline`.
pub fn settings(global: &Global) -> anyhow::Result<Settings> {
    let mut settings = Settings::from_env()?;
    settings.offline |= global.offline;
    Ok(settings)
}

/// A model by its id.
pub(super) fn place(
    global: &Global,
    name: &str,
    revision: Option<&str>,
    reach: Reach,
) -> anyhow::Result<Place> {
    let id: ModelId = name
        .parse()
        .with_context(|| format!("no folder or .gguf file here is called \"{name}\""))?;
    let revision: Revision = revision.map(str::parse).transpose()?.unwrap_or_default();
    let hub = Hub::new(settings(global)?)?;
    bring(global, &hub, &id, &revision, reach).with_context(|| {
        format!("no folder or .gguf file here is called \"{name}\", and the hub's model of this name cannot be had")
    })
}

fn bring(
    global: &Global,
    hub: &Hub,
    id: &ModelId,
    revision: &Revision,
    reach: Reach,
) -> anyhow::Result<Place> {
    let bar = output::bytes(global.no_progress || global.quiet)?;
    let mut fetched = false;
    let mut progress = |now: Progress<'_>| {
        fetched |= now.done < now.total;
        bar.set_length(now.total);
        bar.set_position(now.done);
        if bar.message() != now.file {
            bar.set_message(now.file.to_owned());
        }
    };
    let found = match reach {
        Reach::Fetch => hub.fetch(id, revision, &mut progress).map(Ok),
        Reach::Describe => hub.fetch_description(id, revision, &mut progress).map(Err),
        Reach::Cache => hub.cached(id, revision).map(Ok),
    };
    bar.finish_and_clear();
    let (path, snapshot) = match found {
        Ok(Ok(snapshot)) => (snapshot.model(), Some(snapshot)),
        Ok(Err(path)) => (path, None),
        Err(error) if reach == Reach::Cache => {
            bail!("{error} (`touchmark model pull {id}`)")
        }
        Err(error) => return Err(error.into()),
    };
    if let (Some(snapshot), true) = (&snapshot, fetched) {
        let (dir, commit) = (snapshot.dir().display(), snapshot.commit());
        output::note(global.quiet, &format!("Fetched {id} at commit {commit} into {dir}"));
    }
    let files = if is_gguf(&path) { Files::Gguf(path) } else { Files::Folder(path) };
    Ok(Place { files, name: id.to_string(), snapshot })
}
