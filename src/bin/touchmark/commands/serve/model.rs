//! The model that a server writes with.

use std::sync::Arc;

use anyhow::{Context, bail};
use touchmark::lm::LanguageModel;
use touchmark::serve::openai::Turn;
use touchmark::serve::policy::{AccountEntry, PolicyFile};
use touchmark::serve::scheduler::{Scheduler, Settings};
use touchmark::serve::{Chat, Writer};
use touchmark::store::{Store, StoreError};
use touchmark::tokenizer::{HfTokenizer, Message};

use crate::args::{self, Global};
use crate::assemble::{self, DEFAULT_PROFILE};
use crate::machine::Memory;
use crate::models::{self, Files, Place, Reach, Templates};

/// A model that is loaded, and what policies must know of it.
pub struct Served {
    pub writer: Arc<Writer>,
    pub tokenizer: Arc<HfTokenizer>,
}

/// Where the model is, and what it is called.
pub fn place(global: &Global, args: &args::Serve) -> anyhow::Result<(Place, String)> {
    let revision = args.loading.revision.as_deref();
    let place = models::locate(global, args.model.as_deref(), revision, Reach::Fetch)?;
    let name = args.served_model_name.clone().unwrap_or_else(|| match place.files {
        Files::Bundled => "scribe-16m-chat".to_owned(),
        _ => place.name.clone(),
    });
    Ok((place, name))
}

/// The profiles to mark with. A default one is made only where nobody else can ask and nothing was set up: on loopback, for the
/// bundled model, without a file of policies.
pub fn profiles(
    global: &Global,
    args: &args::Serve,
    store: &Store,
    model: &models::Model,
    place: &Place,
    file: &PolicyFile,
) -> anyhow::Result<Vec<String>> {
    if !args.policy.profile.is_empty() {
        return Ok(args.policy.profile.clone());
    }
    // Nobody would be marked with another one.
    let named = |account: &AccountEntry| account.policy.profiles.is_some();
    if file.defaults.profiles.is_some()
        || args.policy.api_key_file.is_some() && file.account.iter().all(named)
    {
        return Ok(Vec::new());
    }
    match store.profile(DEFAULT_PROFILE) {
        Ok(profile) => return Ok(vec![profile.id]),
        Err(StoreError::NoProfile { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let first = args.host.is_loopback()
        && matches!(place.files, Files::Bundled)
        && args.policy.api_key_file.is_none();
    if !first {
        bail!(
            "no profile is named and there is no \"{DEFAULT_PROFILE}\"; make one with `touchmark profile new NAME --tokenizer PATH` and \
             give it with --profile"
        );
    }
    let profile = assemble::default_profile(global, store, || Ok(model.tokenizer_source.clone()))?;
    Ok(vec![profile.id])
}

/// Loads the weights.
pub fn load(global: &Global, args: &args::Serve, place: &Place) -> anyhow::Result<models::Model> {
    let loading = models::Loading {
        tokenizer: args.tokenizer.as_deref(),
        device: args.loading.device,
        dtype: args.loading.dtype.into(),
        chat: true,
    };
    models::load(global, place, loading)
}

/// Hands a model to the scheduler.
pub fn served(
    args: &args::Serve,
    model: models::Model,
    place: &Place,
    name: String,
) -> anyhow::Result<Served> {
    let hash = models::weights_hash(&place.files, true)?;
    let models::Model { lm, tokenizer, begin, ends, chat, .. } = model;
    let (window, vocab_size) = (lm.max_positions(), lm.vocab_size());
    let bytes_per_position = lm.bytes_per_position();
    let tokenizer = Arc::new(tokenizer);
    let settings = settings(args, lm.as_ref())?;
    let scheduler = Scheduler::start(lm, tokenizer.clone(), ends.clone(), settings)?;
    let chat = chat.exist().then(|| Arc::new(Rendered(chat)) as Arc<dyn Chat>);
    let writer = Writer {
        name,
        hash,
        created: assemble::now().as_second(),
        scheduler,
        tokenizer: tokenizer.clone(),
        begin,
        ends,
        chat,
        window,
        vocab_size,
        bytes_per_position,
    };
    Ok(Served { writer: Arc::new(writer), tokenizer })
}

fn settings(args: &args::Serve, lm: &dyn LanguageModel) -> anyhow::Result<Settings> {
    let work = &args.work;
    let cache_bytes = match work.cache_memory {
        Some(mebibytes) => {
            mebibytes.checked_mul(1 << 20).context("--cache-memory is beyond all memory")?
        }
        None => Memory::now().available / 4,
    };
    let least = lm.bytes_per_position() * lm.max_positions() as u64;
    if cache_bytes < least {
        bail!(
            "--cache-memory is {} MiB, and one text of this model's greatest length takes {}; give that much at least",
            cache_bytes >> 20,
            least.div_ceil(1 << 20)
        );
    }
    Ok(Settings {
        max_running: work.max_running,
        max_queue: work.max_queue,
        cache_bytes,
        prefill_tokens: work.prefill_tokens,
        queue_timeout: work.queue_timeout,
    })
}

/// A model's own chat template.
struct Rendered(Templates);

impl Chat for Rendered {
    fn render(&self, turns: &[Turn]) -> Result<String, String> {
        let message =
            |turn: &Turn| Message { role: turn.role.clone(), content: turn.content.clone() };
        let messages: Vec<Message> = turns.iter().map(message).collect();
        self.0.render(&messages).map_err(|error| format!("{error:#}"))
    }
}
