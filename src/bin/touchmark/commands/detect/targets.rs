//! What is looked for: profiles, each under its own key, under keys of the keyring, or under tenants' keys.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, bail};
use touchmark::detect::{Detector, ManyKeys};
use touchmark::keys::{Key, KeyId, TenantName};
use touchmark::profile::{Lint, Profile};
use touchmark::stats::Family;
use touchmark::store::{KeyInfo, Store};
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::TokenizerHash;
use touchmark::watermark::Watermark;

use super::reader::Wanted;
use crate::args::Global;
use crate::assemble;
use crate::output;

/// A profile and the keys that are tried with it.
pub struct Chosen {
    pub profile: Profile,
    keys: Vec<NamedKey>,
}

/// A key under its public name: the keyring's, or that and the tenant's.
struct NamedKey {
    name: String,
    key: Key,
}

/// A profile under all its keys, ready to read texts.
pub struct Target {
    pub profile: Profile,
    pub keys: ManyKeys,
    /// Public names of the keys.
    pub names: Vec<String>,
    /// How many keys are told of.
    pub top: usize,
    warnings: Vec<String>,
    warnings_of_keys: Vec<Vec<String>>,
}

impl Target {
    /// What a reader of a row must know.
    pub fn warnings(&self, key: usize) -> impl Iterator<Item = &String> {
        self.warnings.iter().chain(&self.warnings_of_keys[key])
    }

    /// The mark under the first of its keys.
    pub fn mark(&self) -> &Watermark {
        self.keys.detectors()[0].watermark()
    }
}

/// With more keys than this only the best are told of.
const ALL_TOLD: usize = 64;
const BEST_TOLD: usize = 5;

/// Profiles and keys by name.
pub fn chosen(global: &Global, store: &Store, wanted: &Wanted<'_>) -> anyhow::Result<Vec<Chosen>> {
    let profiles = profiles(global, wanted.profiles, store)?;
    let kept = kept_keys(store, wanted.keys)?;
    let tenants = wanted.tenants.map(tenants).transpose()?;
    let mut all = Vec::new();
    for profile in profiles {
        let keys = match &kept {
            Some(kept) => fitting(kept, &profile),
            None => {
                let (name, key) = (profile.key_id.to_string(), assemble::key(store, &profile)?);
                vec![NamedKey { name, key }]
            }
        };
        let mut keys = match &tenants {
            Some(tenants) => of_tenants(&keys, tenants)
                .with_context(|| format!("profile \"{}\" with --tenants", profile.id))?,
            None => keys,
        };
        // Keys of other engines have no tenants.
        if keys.iter().all(|named| named.key.count().is_none()) {
            keys.extend(of_tenants(&keys, wanted.also_tenants)?);
        }
        if !keys.is_empty() {
            all.push(Chosen { profile, keys });
        }
    }
    if all.is_empty() {
        bail!("none of the keys has the form that the profiles' schemes want");
    }
    Ok(all)
}

/// Detectors for all of it, corrected for all of it.
pub fn of<'t>(
    global: &Global,
    chosen: Vec<Chosen>,
    wanted: &Wanted<'_>,
    tokenizer: impl Fn(TokenizerHash) -> &'t HfTokenizer,
) -> anyhow::Result<Vec<Target>> {
    let tests: usize = chosen.iter().map(|chosen| chosen.keys.len()).sum();
    let tests = if wanted.alone { 1 } else { tests };
    let family = Family::one().times("profiles and keys", tests as u64);
    let target = |chosen: Chosen| {
        let tokenizer = tokenizer(chosen.profile.tokenizer.hash);
        let target = target(chosen, wanted, tokenizer, &family)?;
        if global.verbose {
            describe(&target);
        }
        Ok(target)
    };
    chosen.into_iter().map(target).collect()
}

fn target(
    Chosen { profile, keys }: Chosen,
    wanted: &Wanted<'_>,
    tokenizer: &HfTokenizer,
    family: &Family,
) -> anyhow::Result<Target> {
    let gated = profile.scheme.scheme().entropy_floor().is_some();
    if gated && wanted.model.is_none() {
        bail!("profile \"{}\": {}", profile.id, Lint::NeedsModel);
    }
    let lints = profile.lint().into_iter().filter(|lint| *lint != Lint::NeedsModel);
    let warnings = lints.map(|lint| lint.to_string()).collect();
    let (mut detectors, mut names, mut warnings_of_keys) =
        (Vec::<Detector>::new(), Vec::new(), Vec::new());
    for NamedKey { name, key } in keys {
        detectors.push(match detectors.first() {
            Some(first) => first.under(assemble::keyed(&key, &profile, tokenizer)?)?,
            None => assemble::detector(&key, &profile, tokenizer, wanted.fpr, family.clone())?
                .with_windows(wanted.windows),
        });
        names.push(name);
        warnings_of_keys.push(profile.lint_key(&key).iter().map(ToString::to_string).collect());
    }
    let usual = if detectors.len() <= ALL_TOLD { detectors.len() } else { BEST_TOLD };
    let top = wanted.top.unwrap_or(usual);
    let keys = ManyKeys::new(detectors, wanted.screen);
    Ok(Target { profile, keys, names, top, warnings, warnings_of_keys })
}

fn describe(target: &Target) {
    let detectors = target.keys.detectors();
    let enough = detectors.first().and_then(|detector| detector.enough(1));
    let enough = enough.map_or_else(String::new, |tokens| format!(", {tokens} tokens are enough"));
    let keys = match target.names.as_slice() {
        [name] => format!("key {name}"),
        names => format!("{} keys", names.len()),
    };
    let (id, scheme) = (&target.profile.id, target.profile.scheme.name());
    output::detail(true, &format!("Profile {id}: {scheme}, {keys}{enough}"));
}

fn profiles(global: &Global, names: &[String], store: &Store) -> anyhow::Result<Vec<Profile>> {
    if names.is_empty() {
        return Ok(vec![assemble::default_profile(global, store, assemble::first_tokenizer)?]);
    }
    let profiles = if names.iter().any(|name| name == "all") {
        store.profiles()?
    } else {
        names.iter().map(|name| assemble::profile(store, name)).collect::<anyhow::Result<_>>()?
    };
    if profiles.is_empty() {
        bail!("there is no profile yet; `touchmark profile new NAME` makes one");
    }
    Ok(profiles)
}

/// The keys named, or all there are; none where none is named.
fn kept_keys(store: &Store, names: &[String]) -> anyhow::Result<Option<Vec<(KeyInfo, Key)>>> {
    if names.is_empty() {
        return Ok(None);
    }
    if names.iter().any(|name| name == "all") {
        return Ok(Some(store.open_keys()?));
    }
    let open = |name: &String| Ok(store.open_key(&name.parse::<KeyId>()?)?);
    Ok(Some(names.iter().map(open).collect::<anyhow::Result<_>>()?))
}

/// Those that have the form that a profile's scheme wants.
fn fitting(kept: &[(KeyInfo, Key)], profile: &Profile) -> Vec<NamedKey> {
    let wanted = profile.scheme.key_numbers();
    let fitting = kept.iter().filter(|(info, _)| info.numbers == wanted);
    fitting.map(|(info, key)| NamedKey { name: info.id.to_string(), key: key.clone() }).collect()
}

/// The tenants' keys of each key.
fn of_tenants(keys: &[NamedKey], tenants: &[TenantName]) -> anyhow::Result<Vec<NamedKey>> {
    let mut all = Vec::with_capacity(keys.len() * tenants.len());
    for NamedKey { name, key } in keys {
        for tenant in tenants {
            all.push(NamedKey { name: format!("{name}/{tenant}"), key: key.tenant(tenant)? });
        }
    }
    Ok(all)
}

/// Names of a file, one a line; empty lines do not count.
pub fn tenants(file: &Path) -> anyhow::Result<Vec<TenantName>> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let (mut names, mut known) = (Vec::new(), HashSet::new());
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let name: TenantName =
            line.trim().parse().with_context(|| format!("{shown}, line {number}"))?;
        if !known.insert(name.clone()) {
            bail!("{shown}, line {number}: the tenant \"{name}\" was there before");
        }
        names.push(name);
    }
    if names.is_empty() {
        bail!("{shown} names no tenant; one name a line is expected");
    }
    Ok(names)
}
