//! `touchmark serve`.

mod examine;
mod log;
#[cfg(feature = "engine")]
mod model;
mod policies;

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Serialize;
use touchmark::keys::TenantName;
use touchmark::provenance::Ledger;
use touchmark::schemes::Spec;
use touchmark::serve::detection::{DetectionSettings, Examine};
use touchmark::serve::openai::Limited;
use touchmark::serve::policy::{Policies, PolicyFile};
use touchmark::serve::{App, NetSettings, Opened, Reload, Reloaded, Server, Settings, Writer};
use touchmark::store::Store;
use touchmark::tokenizer::HfTokenizer;

use self::log::ServerLog;
use self::policies::Ground;
use crate::args::{self, Global};
use crate::assemble;
use crate::commands::api_key;
use crate::commands::detect::{Reader, Wanted};
use crate::models::Place;
use crate::output::{self, Exit};

/// What is said when the server is ready.
#[derive(Serialize)]
struct Started {
    /// Where it listens.
    address: String,
    /// The model's name; none where texts are read only.
    model: Option<String>,
    /// Profiles that are marked with.
    profiles: Vec<String>,
    /// Profiles that are looked for.
    detects: Vec<String>,
    /// How many accounts have an API key.
    accounts: usize,
}

pub fn run(global: &Global, args: &args::Serve) -> anyhow::Result<Exit> {
    let file = policy_file(args)?;
    check(args, &file)?;
    let store = assemble::store(global)?;
    // The port is taken before the long work of loading: a fault is told at once, and probes see that the server is coming.
    let (listener, address) = listen(args)?;
    let log = Arc::new(ServerLog::new(global.quiet, args.receipts.request_log.as_deref())?);
    let ledger = ledger(args, &store)?;
    let place = place(global, args)?;
    let name = place.as_ref().map(|(_, name)| name.as_str());
    let app = App::new(settings(args), detection(args, &file), name, ledger, log)?;
    let app = Arc::new(app);
    let server = Server::start(&app, listener, net_settings(args))?;
    output::note(global.quiet, &format!("Listening at {address}, and loading"));
    let started = open(global, args, place, &app, store, &file, address)?;
    if global.json {
        output::json(&started)?;
    } else {
        output::note(global.quiet, &words(&started, args));
    }
    server.wait().context("the server ended")?;
    Ok(Exit::Done)
}

/// Refuses what would be unsafe or cannot work, before anything is touched.
fn check(args: &args::Serve, file: &PolicyFile) -> anyhow::Result<()> {
    let keyed = args.policy.api_key_file.is_some();
    if !args.host.is_loopback() && !keyed && !args.policy.allow_public_without_keys {
        bail!(
            "{} can be reached by others, and nobody would need an API key; make keys with `touchmark api-key new NAME --file FILE` and \
             give --api-key-file FILE, or say --allow-public-without-keys",
            args.host
        );
    }
    if keyed && file.account.is_empty() && !file.public_detection {
        bail!(
            "the file of API keys has no account, so nobody could ask anything; add one with `touchmark api-key new`"
        );
    }
    if cfg!(not(feature = "engine")) && !args.detect_only {
        bail!(
            "this build has no inference engine; say --detect-only, or build with the feature `engine`"
        );
    }
    Ok(())
}

fn policy_file(args: &args::Serve) -> anyhow::Result<PolicyFile> {
    args.policy.api_key_file.as_deref().map_or_else(|| Ok(PolicyFile::default()), api_key::read)
}

fn listen(args: &args::Serve) -> anyhow::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((args.host, args.port)).with_context(|| {
        format!("cannot listen at {}, port {}; choose another with --port", args.host, args.port)
    })?;
    let scheme = if args.connections.tls_cert.is_some() { "https" } else { "http" };
    let address = format!("{scheme}://{}", listener.local_addr()?);
    Ok((listener, address))
}

/// The ledger that receipts are kept in. Where nothing is written there are none.
fn ledger(args: &args::Serve, store: &Store) -> anyhow::Result<Option<Arc<dyn Ledger>>> {
    if args.receipts.no_ledger || args.detect_only && args.receipts.ledger.is_none() {
        return Ok(None);
    }
    let path = args.receipts.ledger.clone().unwrap_or_else(|| store.ledger_path());
    let ledger = store.open_ledger(&path, args.receipts.store_text);
    let ledger = ledger.with_context(|| format!("the ledger {} cannot be used", path.display()))?;
    Ok(Some(Arc::new(ledger)))
}

fn settings(args: &args::Serve) -> Settings {
    Settings {
        max_tokens: args.work.max_tokens,
        limited: Limited {
            n: args.policy.max_n,
            top_logprobs: args.policy.max_top_logprobs.into(),
        },
        logprob_decimals: args.policy.logprob_decimals,
        request_timeout: args.work.request_timeout,
        client_timeout: args.connections.client_timeout,
        body_limit: args.connections.max_body,
        receipts: args.receipts.receipts.into(),
        trust_forwarded_for: args.connections.trust_forwarded_for,
        local_only: args.host.is_loopback() && args.policy.api_key_file.is_none(),
        detect_only: args.detect_only,
    }
}

fn detection(args: &args::Serve, file: &PolicyFile) -> DetectionSettings {
    let no_retention = args.detection.no_retention || file.detection.no_retention;
    DetectionSettings { no_retention, ..file.detection.clone() }
}

fn net_settings(args: &args::Serve) -> NetSettings {
    let connections = &args.connections;
    NetSettings {
        connections: connections.max_connections,
        client_timeout: connections.client_timeout,
        idle_timeout: args.work.request_timeout + connections.client_timeout,
        grace: connections.shutdown_grace,
        tls: connections.tls_cert.clone().zip(connections.tls_key.clone()),
    }
}

/// Who loads policies, now and again.
struct Loader {
    global: Global,
    args: args::Serve,
    store: Store,
    /// Profiles to mark with where policies name none.
    usual: Vec<String>,
    /// The model's tokenizer and V.
    model: Option<(Arc<HfTokenizer>, usize)>,
}

impl Loader {
    fn load(&self) -> anyhow::Result<Reloaded> {
        self.build(&policy_file(&self.args)?)
    }

    fn build(&self, file: &PolicyFile) -> anyhow::Result<Reloaded> {
        let policy = &self.args.policy;
        let keyed = policy.api_key_file.is_some();
        let ground = Ground {
            store: &self.store,
            model: self.model.as_ref().map(|(tokenizer, size)| (tokenizer.as_ref(), *size)),
            usual: policies::usual(policy, self.usual.clone()),
            fpr: self.args.detection.fpr,
            open: self.args.host.is_loopback() && !keyed,
        };
        let policies = ground.policies(file, keyed)?;
        let examine = Arc::new(self.reader(&policies, file)?) as Arc<dyn Examine>;
        Ok(Reloaded { policies, examine })
    }

    /// Every profile that is marked with, and those named besides.
    fn looked_for(&self, policies: &Policies, file: &PolicyFile) -> Vec<String> {
        let besides = self.args.detection.detect_profile.iter().chain(&file.detect_profiles);
        let mut profiles: Vec<String> = besides.cloned().collect();
        if profiles.iter().any(|name| name == "all") {
            return vec!["all".to_owned()];
        }
        let markers = policies.all().flat_map(|account| &account.markers);
        let alone = markers.map(|marker| &marker.profile).filter(|it| is_read_alone(&it.scheme));
        profiles.extend(alone.map(|profile| profile.id.clone()));
        if self.model.is_none() {
            profiles.extend(self.usual.iter().chain(named(file)).cloned());
        }
        let mut known = HashSet::new();
        profiles.retain(|name| known.insert(name.clone()));
        profiles
    }

    /// Looks for every mark that is made, under every tenant's key, and for what is named besides.
    fn reader(&self, policies: &Policies, file: &PolicyFile) -> anyhow::Result<Reader> {
        let detection = &self.args.detection;
        let profiles = self.looked_for(policies, file);
        let mut tenants: Vec<TenantName> =
            file.account.iter().filter_map(|it| it.tenant.clone()).collect();
        tenants.sort();
        tenants.dedup();
        let wanted = Wanted {
            also_tenants: &tenants,
            tokenizer: None,
            ..Wanted::looks(&profiles, &detection.looks, detection.fpr)
        };
        Reader::new(&self.global, &wanted)
    }
}

/// Profiles that a policy file names.
fn named(file: &PolicyFile) -> impl Iterator<Item = &String> {
    let accounts = file.account.iter().map(|account| &account.policy);
    [&file.defaults].into_iter().chain(accounts).flat_map(|policy| policy.profiles.iter().flatten())
}

/// Whether a scheme's marks can be found in a text without a model.
fn is_read_alone(scheme: &Spec) -> bool {
    scheme.scheme().entropy_floor().is_none()
}

/// Loads all there is to load, and takes requests from then on.
fn open(
    global: &Global,
    args: &args::Serve,
    place: Option<Named>,
    app: &App,
    store: Store,
    file: &PolicyFile,
    address: String,
) -> anyhow::Result<Started> {
    let (writer, usual, model) = written_by(global, args, place, &store, file)?;
    let loader = Loader { global: global.clone(), args: args.clone(), store, usual, model };
    let first = loader.build(file)?;
    let mut profiles: Vec<String> =
        first.policies.all().flat_map(|it| &it.markers).map(|it| it.profile.id.clone()).collect();
    profiles.sort();
    profiles.dedup();
    let started = Started {
        address,
        model: writer.as_ref().map(|writer| writer.name.clone()),
        profiles,
        detects: first.examine.profiles().into_iter().map(|profile| profile.id).collect(),
        accounts: first.policies.accounts.len(),
    };
    let reload: Reload = Box::new(move || loader.load().map_err(|error| output::causes(&error)));
    app.open(Opened { first, reload, writer });
    Ok(started)
}

/// A model's place and its name for clients.
type Named = (Place, String);

/// The model, the profiles to mark with, and the tokenizer that they must be bound to.
type WrittenBy = (Option<Arc<Writer>>, Vec<String>, Option<(Arc<HfTokenizer>, usize)>);

#[cfg(feature = "engine")]
fn written_by(
    global: &Global,
    args: &args::Serve,
    place: Option<Named>,
    store: &Store,
    file: &PolicyFile,
) -> anyhow::Result<WrittenBy> {
    let Some((place, name)) = place else {
        return Ok((None, read_only(args, store, file)?, None));
    };
    let model = model::load(global, args, &place)?;
    let usual = model::profiles(global, args, store, &model, &place, file)?;
    let served = model::served(args, model, &place, name)?;
    let vocab_size = served.writer.vocab_size;
    Ok((Some(served.writer), usual, Some((served.tokenizer, vocab_size))))
}

#[cfg(not(feature = "engine"))]
fn written_by(
    _: &Global,
    args: &args::Serve,
    _: Option<Named>,
    store: &Store,
    file: &PolicyFile,
) -> anyhow::Result<WrittenBy> {
    Ok((None, read_only(args, store, file)?, None))
}

/// The profiles to look for where nothing is written. A default one is made at the first use, but not for a server that others ask.
fn read_only(args: &args::Serve, store: &Store, file: &PolicyFile) -> anyhow::Result<Vec<String>> {
    let own = args.policy.profile.iter().chain(&args.detection.detect_profile);
    let named = own.chain(&file.detect_profiles).chain(named(file)).next().is_some();
    let private = args.host.is_loopback() && args.policy.api_key_file.is_none();
    if !named && !private && store.profile(assemble::DEFAULT_PROFILE).is_err() {
        bail!(
            "no profile is named and there is no \"{}\"; name those to look for with --detect-profile",
            assemble::DEFAULT_PROFILE
        );
    }
    Ok(args.policy.profile.clone())
}

/// Where the model is, and its name for clients; nothing where texts are read only.
#[cfg(feature = "engine")]
fn place(global: &Global, args: &args::Serve) -> anyhow::Result<Option<Named>> {
    if args.detect_only { Ok(None) } else { model::place(global, args).map(Some) }
}

#[cfg(not(feature = "engine"))]
fn place(_: &Global, _: &args::Serve) -> anyhow::Result<Option<Named>> {
    Ok(None)
}

/// For people.
fn words(started: &Started, args: &args::Serve) -> String {
    let Started { address, model, profiles, detects, accounts } = started;
    let who = if args.policy.api_key_file.is_some() {
        format!("{accounts} API keys")
    } else {
        "no API key needed".to_owned()
    };
    let what = match model {
        Some(model) if profiles.is_empty() => format!("{model}, unmarked"),
        Some(model) => format!("{model}, marked with {}", profiles.join(", ")),
        None => "detection only".to_owned(),
    };
    format!(
        "Ready at {address}: {what}; looking for {}; {who}. Reference: {address}/docs",
        detects.join(", ")
    )
}
