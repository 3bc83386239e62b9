//! From a policy file to accounts that can be served: profiles, keys and tenants behind each.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context, bail};
use touchmark::detect::Detector;
use touchmark::keys::TenantName;
use touchmark::profile::Profile;
use touchmark::serve::policy::{
    Account, AccountEntry, Defaults, Exemptions, Limits, LowEvidence, Marker, OnUnmarkable,
    Policies, PolicyFile, Roles, WatermarkMode, known_answer,
};
use touchmark::stats::Family;
use touchmark::store::Store;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::Tokenize;

use crate::assemble;

/// What policies are made of.
pub struct Ground<'a> {
    pub store: &'a Store,
    /// The model's tokenizer and V; none where texts are read only.
    pub model: Option<(&'a HfTokenizer, usize)>,
    /// What the command line says, for accounts whose entries and defaults do not.
    pub usual: Defaults,
    pub fpr: f64,
    /// Whether somebody without an API key may do everything: on loopback, where no file of keys is given.
    pub open: bool,
}

impl Ground<'_> {
    /// Builds all accounts, and tries every profile once on a known answer.
    pub fn policies(&self, file: &PolicyFile, keyed: bool) -> anyhow::Result<Policies> {
        let mut tried = HashSet::new();
        let mut accounts = Vec::new();
        for entry in &file.account {
            let account = self
                .account(entry, &file.defaults, &mut tried)
                .with_context(|| format!("account \"{}\"", entry.name))?;
            accounts.push((entry.key, Arc::new(account)));
        }
        let anonymous =
            if keyed { None } else { Some(Arc::new(self.anonymous(&file.defaults, &mut tried)?)) };
        let exemptions = Exemptions(file.exempt.clone());
        Ok(Policies { accounts, anonymous, public_detection: file.public_detection, exemptions })
    }

    fn anonymous(&self, defaults: &Defaults, tried: &mut Tried) -> anyhow::Result<Account> {
        let roles =
            if self.open { Roles::ALL } else { Roles { generate: true, ..Roles::default() } };
        let account = self.of(
            "anonymous",
            None,
            None,
            &merged(&Defaults::default(), defaults, &self.usual),
            tried,
        )?;
        Ok(Account { roles, ..account })
    }

    fn account(
        &self,
        entry: &AccountEntry,
        defaults: &Defaults,
        tried: &mut Tried,
    ) -> anyhow::Result<Account> {
        let said = merged(&entry.policy, defaults, &self.usual);
        let payload = entry.payload.as_deref().map(crate::args::message).transpose();
        let payload = payload.map_err(anyhow::Error::msg).context("payload")?;
        self.of(&entry.name, entry.tenant.as_ref(), payload, &said, tried)
    }

    fn of(
        &self,
        name: &str,
        tenant: Option<&TenantName>,
        payload: Option<u64>,
        said: &Defaults,
        tried: &mut Tried,
    ) -> anyhow::Result<Account> {
        let mode = said.watermark.unwrap_or_default();
        let mut markers = Vec::new();
        if let Some((tokenizer, vocab_size)) = self.model.filter(|_| mode != WatermarkMode::Off) {
            let evidence = said.min_expected_evidence;
            for id in said.profiles.iter().flatten() {
                let marker = self
                    .marker(id, tenant, payload, evidence, (tokenizer, vocab_size), tried)
                    .with_context(|| format!("profile \"{id}\""))?;
                markers.push(Arc::new(marker));
            }
            if markers.is_empty() {
                bail!("answers are to be marked ({}), and no profile is named", mode.as_str());
            }
        }
        Ok(Account {
            name: name.to_owned(),
            roles: said.roles.unwrap_or_else(|| Roles { generate: true, ..Roles::default() }),
            mode,
            markers,
            on_unmarkable: said.on_unmarkable,
            minimum_length: said.minimum_length.unwrap_or(0),
            on_low_evidence: said.on_low_evidence.unwrap_or_default(),
            limits: said.limits.unwrap_or_default(),
        })
    }

    fn marker(
        &self,
        id: &str,
        tenant: Option<&TenantName>,
        payload: Option<u64>,
        evidence: Option<f64>,
        (tokenizer, vocab_size): (&HfTokenizer, usize),
        tried: &mut Tried,
    ) -> anyhow::Result<Marker> {
        let profile = assemble::profile(self.store, id)?;
        check_in_use(self.store, &profile)?;
        assemble::check_tokenizer(&profile, tokenizer)?;
        if profile.tokenizer.vocab_size as usize != vocab_size {
            bail!(
                "it is for logits of width {}, the model's have width {vocab_size}",
                profile.tokenizer.vocab_size
            );
        }
        let watermark = Arc::new(assemble::watermark(self.store, &profile, tenant, tokenizer)?);
        match (watermark.payload_bits(), payload) {
            (None, Some(_)) => bail!("it carries no message; leave out `payload`"),
            (Some(bits), None) => {
                bail!("it carries messages of {bits} bits; say which with `payload`")
            }
            (Some(bits), Some(message)) if bits < 64 && message >> bits != 0 => {
                bail!("its messages have {bits} bits, and {message:#x} has more")
            }
            _ => {}
        }
        if !tried.contains(&profile.id) {
            let detector = self.detector(&profile, tenant, tokenizer)?;
            known_answer(&watermark, &detector, payload)?;
            tried.insert(profile.id.clone());
        }
        let enough = match evidence {
            None => 1,
            Some(wanted) => self.enough(&self.detector(&profile, tenant, tokenizer)?, wanted)?,
        };
        Ok(Marker { profile, watermark, tenant: tenant.cloned(), message: payload, enough })
    }

    fn detector(
        &self,
        profile: &Profile,
        tenant: Option<&TenantName>,
        tokenizer: &dyn Tokenize,
    ) -> anyhow::Result<Detector> {
        let watermark = assemble::watermark(self.store, profile, tenant, tokenizer)?;
        Ok(Detector::new(watermark, self.fpr, Family::one(), profile.reference.clone())?)
    }

    /// Marked tokens from which on a text of the reference strength has so much evidence.
    fn enough(&self, detector: &Detector, wanted: f64) -> anyhow::Result<usize> {
        if !(wanted > 0.0 && wanted < 300.0) {
            bail!(
                "min_expected_evidence is {wanted}, and must be between 0 and 300: −log10 of a p-value"
            );
        }
        let reaches = |tokens: u64| detector.expected_log10_p(tokens).is_some_and(|p| p <= -wanted);
        let most = 1_u64 << 20;
        if !reaches(most) {
            bail!(
                "min_expected_evidence cannot be told for it: it has no reference strength, or judges whole texts"
            );
        }
        let (mut too_few, mut enough) = (0, most);
        while enough - too_few > 1 {
            let middle = too_few.midpoint(enough);
            if reaches(middle) {
                enough = middle;
            } else {
                too_few = middle;
            }
        }
        Ok(usize::try_from(enough)?)
    }
}

/// Profiles whose known answer came out right.
type Tried = HashSet<String>;

fn check_in_use(store: &Store, profile: &Profile) -> anyhow::Result<()> {
    if let Some(retired) = profile.retired {
        bail!("it was retired on {retired}; mark with another one");
    }
    if store.key_info(&profile.key_id)?.retired.is_some() {
        bail!("its key \"{}\" is retired; mark with another one", profile.key_id);
    }
    Ok(())
}

/// What the first of three says that says something.
fn merged(own: &Defaults, file: &Defaults, usual: &Defaults) -> Defaults {
    macro_rules! first {
        ($($field:ident),*) => {
            Defaults { $($field: own.$field.clone().or_else(|| file.$field.clone()).or_else(|| usual.$field.clone())),* }
        };
    }
    first!(
        watermark,
        profiles,
        on_unmarkable,
        minimum_length,
        min_expected_evidence,
        on_low_evidence,
        roles,
        limits
    )
}

/// What the command line says.
pub fn usual(policy: &crate::args::Policy, profiles: Vec<String>) -> Defaults {
    Defaults {
        watermark: Some(policy.watermark_mode.into()),
        profiles: Some(profiles),
        on_unmarkable: policy.on_unmarkable.map(OnUnmarkable::from),
        minimum_length: None,
        min_expected_evidence: None,
        on_low_evidence: Some(LowEvidence::Pass),
        roles: None,
        limits: Some(Limits::default()),
    }
}
