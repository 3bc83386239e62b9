//! `touchmark doctor`: what this build and this machine have, and what to do about what is missing.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::args::Global;
use crate::assemble;
use crate::machine::{Memory, size};
use crate::output::{self, Exit};

/// Features of the build, and what is missing without them.
const FEATURES: [(&str, bool, &str); 3] = [
    ("engine", cfg!(feature = "engine"), "no model can be run"),
    ("hub", cfg!(feature = "hub"), "models cannot be fetched"),
    ("bundled", cfg!(bundled_models), "there is no bundled model; build from the repository"),
];

#[derive(Serialize)]
struct Report {
    version: &'static str,
    features: Vec<&'static str>,
    /// What products use: of floats, of quantised weights.
    instruction_sets: Option<[&'static str; 2]>,
    threads: usize,
    devices: Vec<String>,
    memory: Memory,
    bundled_model: Option<bool>,
    keyring: Option<Keyring>,
    hub: Option<HubState>,
    /// What keeps the main job from working.
    faults: Vec<String>,
    /// What else is missing.
    hints: Vec<String>,
}

#[derive(Serialize)]
struct Keyring {
    folder: String,
    /// Of the folder of keys, octal; nothing where it does not exist or the system has none.
    mode: Option<String>,
    keys: usize,
    profiles: usize,
}

#[derive(Serialize)]
struct HubState {
    endpoint: String,
    cache: String,
    /// Bytes; nothing where the cache has too many files to be counted fast.
    cached: Option<u64>,
    /// Where the access token comes from.
    token: Option<&'static str>,
    offline: bool,
}

pub fn run(global: &Global) -> anyhow::Result<Exit> {
    let report = Report::new(global);
    if global.json {
        output::json(&report)?;
    } else {
        report.show()?;
    }
    Ok(if report.faults.is_empty() { Exit::Done } else { Exit::Nothing })
}

impl Report {
    fn new(global: &Global) -> Self {
        let (mut faults, mut hints) = (Vec::new(), Vec::new());
        for (name, there, what) in FEATURES {
            if !there {
                hints.push(format!("built without `{name}`: {what}"));
            }
        }
        let bundled_model = bundled(global)
            .map(|loads| loads.map_err(|error| faults.push(output::causes(&error))).is_ok());
        let keyring = keyring(global).map_err(|error| faults.push(output::causes(&error))).ok();
        if let Some(Keyring { keys: 0, .. }) = keyring {
            hints.push(
                "no key yet: the first `generate` makes one, or `touchmark key new`".to_owned(),
            );
        }
        let hub = hub(global, &mut hints);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            features: FEATURES
                .iter()
                .filter(|feature| feature.1)
                .map(|feature| feature.0)
                .collect(),
            instruction_sets: instruction_sets(&mut hints),
            threads: threads(global),
            devices: devices(),
            memory: Memory::now(),
            bundled_model,
            keyring,
            hub,
            faults,
            hints,
        }
    }

    fn show(&self) -> anyhow::Result<()> {
        let mut lines = vec![
            ("version", format!("{}, with {}", self.version, self.features.join(", "))),
            ("computes on", self.devices.join(", ")),
            ("threads", self.threads.to_string()),
            (
                "memory",
                format!("{} available of {}", size(self.memory.available), size(self.memory.total)),
            ),
        ];
        if let Some([floats, quantised]) = self.instruction_sets {
            lines.insert(2, ("kernels", format!("{floats}; quantised {quantised}")));
        }
        if let Some(loads) = self.bundled_model {
            lines.push((
                "bundled",
                if loads { "scribe-16m runs" } else { "does not run" }.to_owned(),
            ));
        }
        if let Some(keyring) = &self.keyring {
            let mode =
                keyring.mode.as_ref().map_or_else(String::new, |mode| format!(", mode {mode}"));
            let Keyring { folder, keys, profiles, .. } = keyring;
            lines.push(("keys", format!("{folder}: {keys} keys{mode}, {profiles} profiles")));
        }
        lines.extend(self.hub.iter().flat_map(HubState::lines));
        let mut out = anstream::stdout();
        for (name, value) in lines {
            writeln!(out, "{name:<12} {value}")?;
        }
        self.hints.iter().for_each(|hint| output::note(false, hint));
        self.faults.iter().for_each(|fault| output::warn(fault));
        if self.faults.is_empty() {
            writeln!(
                out,
                "ready        {}",
                if cfg!(feature = "engine") { "to mark and to detect" } else { "to detect" }
            )?;
        }
        Ok(())
    }
}

impl HubState {
    fn lines(&self) -> [(&'static str, String); 3] {
        let cached = self.cached.map_or_else(String::new, |bytes| format!(", {}", size(bytes)));
        let offline = if self.offline { ", offline" } else { "" };
        [
            ("hub", format!("{}{offline}", self.endpoint)),
            ("hub cache", format!("{}{cached}", self.cache)),
            ("hub token", self.token.map_or_else(|| "none".into(), |from| format!("from {from}"))),
        ]
    }
}

/// Whether the bundled model loads and takes a step.
#[cfg(bundled_models)]
fn bundled(global: &Global) -> Option<anyhow::Result<()>> {
    use touchmark::lm::{Chunk, Want};

    use crate::models::{self, Loading, Reach};

    let check = || {
        let place = models::locate(global, None, None, Reach::Cache)?;
        let mut model = models::load(global, &place, Loading::default())?;
        let seq = model.lm.open()?;
        let work = [Chunk { seq, ids: &[0], want: Want::Last }];
        let mut finite = false;
        model.lm.step(&work, &mut |_: usize, _: usize, logits: &[f32]| {
            finite = logits.iter().all(|logit| logit.is_finite());
        })?;
        anyhow::ensure!(finite, "the bundled model gives no numbers; build the program again");
        Ok(())
    };
    Some(check())
}

#[cfg(not(bundled_models))]
fn bundled(_: &Global) -> Option<anyhow::Result<()>> {
    None
}

fn keyring(global: &Global) -> anyhow::Result<Keyring> {
    let store = assemble::store(global)?;
    let (keys, profiles) = (store.keys()?.len(), store.profiles()?.len());
    let mode = mode(&store.home().join("keys"));
    Ok(Keyring { folder: store.home().display().to_string(), mode, keys, profiles })
}

#[cfg(unix)]
fn mode(folder: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;

    let mode = std::fs::metadata(folder).ok()?.permissions().mode();
    Some(format!("{:o}", mode & 0o777))
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<String> {
    None
}

#[cfg(feature = "engine")]
const GIB: f64 = 1_073_741_824.0;

/// The devices that answer.
#[cfg(feature = "engine")]
fn devices() -> Vec<String> {
    let describe = |seen: touchmark::engine::DeviceInfo| {
        let memory = seen.memory.map(|bytes| format!(", {:.0} GiB", bytes as f64 / GIB));
        format!("{} ({}{})", seen.device, seen.name, memory.unwrap_or_default())
    };
    touchmark::engine::devices().into_iter().map(describe).collect()
}

#[cfg(not(feature = "engine"))]
fn devices() -> Vec<String> {
    Vec::new()
}

#[cfg(feature = "engine")]
fn instruction_sets(hints: &mut Vec<String>) -> Option<[&'static str; 2]> {
    let (floats, quantised) = touchmark::engine::instruction_sets();
    if floats == "portable" {
        hints.push(
            "this processor has no vector instructions that the engine knows; it will be slow"
                .to_owned(),
        );
    }
    Some([floats, quantised])
}

#[cfg(not(feature = "engine"))]
fn instruction_sets(_: &mut Vec<String>) -> Option<[&'static str; 2]> {
    None
}

#[cfg(feature = "engine")]
fn threads(global: &Global) -> usize {
    global.threads.unwrap_or_else(touchmark::engine::threads)
}

#[cfg(not(feature = "engine"))]
fn threads(_: &Global) -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(feature = "hub")]
fn hub(global: &Global, hints: &mut Vec<String>) -> Option<HubState> {
    let settings = crate::models::hub_settings(global)
        .map_err(|error| hints.push(output::causes(&error)))
        .ok()?;
    if let Err(error) = touchmark::hub::Hub::new(settings.clone()) {
        hints.push(error.to_string());
    }
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let variable = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find(set);
    if settings.token.is_none() {
        hints.push(
            "no access token: models that need one cannot be fetched; set HF_TOKEN".to_owned(),
        );
    }
    Some(HubState {
        cached: size_of_folder(&settings.cache),
        endpoint: settings.endpoint,
        cache: settings.cache.display().to_string(),
        token: settings.token.is_some().then(|| variable.unwrap_or("the token file")),
        offline: settings.offline,
    })
}

#[cfg(not(feature = "hub"))]
fn hub(_: &Global, _: &mut Vec<String>) -> Option<HubState> {
    None
}

/// Bytes of the files below a folder, links not followed; nothing when they are too many to be counted fast.
#[cfg(feature = "hub")]
fn size_of_folder(folder: &Path) -> Option<u64> {
    const MOST: usize = 20_000;
    let (mut bytes, mut seen) = (0, 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MOST {
                return None;
            }
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) if found.is_file() => bytes += found.len(),
                _ => {}
            }
        }
    }
    Some(bytes)
}
