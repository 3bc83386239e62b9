//! The mark that is looked for, and the keys it is looked for with.

use std::path::Path;

use anyhow::Context;
use touchmark::attribution::{Mark, Way};
use touchmark::keys::{Key, TenantName};
use touchmark::profile::Profile;
use touchmark::store::KeyInfo;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::Tokenize;
use touchmark::watermark::{Vocabulary, Watermark};

use crate::args::{Global, attribute::Run};
use crate::assemble;
use crate::commands::detect::tenants;

/// A profile with its tokenizer and keys.
pub struct Marked {
    pub profile: Profile,
    pub tokenizer: HfTokenizer,
    pub way: Way,
    pub info: KeyInfo,
    /// Names and marks: the profile's own, or one a tenant.
    pub keys: Vec<(String, Watermark)>,
    /// Whether the keys are those of tenants.
    pub tenants: bool,
    /// h.
    pub reach: usize,
}

impl Marked {
    pub fn open(global: &Global, args: &Run) -> anyhow::Result<Self> {
        let store = assemble::store(global)?;
        let profile = match &args.profile {
            Some(name) => assemble::profile(&store, name)?,
            None => assemble::default_profile(global, &store, assemble::first_tokenizer)?,
        };
        let given = args.asking.tokenizer.as_deref().map(|path| (path, None));
        let given = given.filter(|_| args.suspect.is_none());
        let tokenizer = assemble::profile_tokenizer(global, &store, &profile, given)?;
        let key = assemble::key(&store, &profile)?;
        let info = store.key_info(&profile.key_id)?;
        let way = Way {
            spec: profile.scheme.clone(),
            vocabulary: Vocabulary {
                tokenizer: profile.tokenizer.hash,
                size: profile.tokenizer.vocab_size,
                special: tokenizer.special_ids().to_vec(),
            },
            repeats: profile.repeats,
        };
        let named = match &args.tenants {
            None => vec![(profile.key_id.to_string(), key)],
            Some(file) => of_tenants(&key, file)?,
        };
        let mark = |(name, key): (String, Key)| anyhow::Ok((name, way.under(&key)?));
        let keys: Vec<_> = named.into_iter().map(mark).collect::<anyhow::Result<_>>()?;
        let reach = keys.first().and_then(|(_, mark)| mark.reach()).with_context(|| {
            format!(
                "profile \"{}\" marks with {}, whose tokens have no evidence of their own: training on it cannot be tested; schemes \
                 whose tokens count one by one, such as kgw, unigram, gumbel and synthid, can be",
                profile.id,
                profile.scheme.name()
            )
        })?;
        let tenants = args.tenants.is_some();
        Ok(Self { profile, tokenizer, way, info, keys, tenants, reach })
    }

    /// For the report.
    pub fn described(&self) -> Mark {
        Mark {
            profile: self.profile.id.clone(),
            scheme: self.profile.scheme.name().to_owned(),
            prf: self.profile.prf.name().to_owned(),
            key_id: self.profile.key_id.to_string(),
            key_created: self.info.created.to_string(),
        }
    }

    /// The mark that stands for all: they differ by their keys alone.
    pub fn first(&self) -> &Watermark {
        &self.keys[0].1
    }
}

fn of_tenants(key: &Key, file: &Path) -> anyhow::Result<Vec<(String, Key)>> {
    let named = |name: &TenantName| anyhow::Ok((name.to_string(), key.tenant(name)?));
    tenants(file)?.iter().map(named).collect()
}
