//! Fetching models from a local hub that speaks the protocol and fails on request.

// Helpers fail as tests do.
#![allow(clippy::panic, clippy::unwrap_used)]

mod peer;
pub mod server;

use std::path::Path;
use std::time::{Duration, Instant};

use touchmark::hub::{
    Denial, Found, Hub, HubError, ModelId, Patience, Revision, Settings, Snapshot, Token,
};

use server::{COMMIT, Fault, HubFile, Server};

const ID: &str = "org/tiny";
const WEIGHTS: &str = "model.safetensors";
const SIZE: usize = 300_000;

/// A file whose content is of no meaning but differs from name to name.
fn file(name: &str, size: usize, large: bool) -> HubFile {
    let seed = name.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let byte = |at: usize| (seed.wrapping_add(at as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
    HubFile { name: name.into(), content: (0..size).map(byte).collect(), large }
}

/// A model in one safetensors file, with things that are not needed to run it.
fn tiny() -> Vec<HubFile> {
    vec![
        file("README.md", 99, false),
        file("config.json", 700, false),
        file("tokenizer.json", 5_000, true),
        file("tokenizer_config.json", 90, false),
        file("pytorch_model.bin", 1_000, true),
        file(WEIGHTS, SIZE, true),
    ]
}

fn id() -> ModelId {
    ID.parse().unwrap()
}

/// Settings for a test: an own cache, and little patience.
fn settings(server: &Server, cache: &Path) -> Settings {
    let mut settings = Settings::with_cache(cache);
    settings.endpoint = server.endpoint.clone();
    settings.patience = Patience {
        attempts: 3,
        pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(1_500),
        timeout: Duration::from_millis(250),
    };
    settings
}

fn hub(server: &Server, cache: &Path) -> Hub {
    Hub::new(settings(server, cache)).unwrap()
}

fn fetch(hub: &Hub) -> Result<Snapshot, HubError> {
    hub.fetch(&id(), &Revision::default(), &mut |_| {})
}

/// A hub with `tiny`, a cache, and the error of fetching after `prepare`.
fn error_after(prepare: impl FnOnce(&Server)) -> HubError {
    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    prepare(&server);
    fetch(&hub(&server, cache.path())).unwrap_err()
}

/// As `error_after`, for faults that must not keep the model from arriving.
fn arrives_after(prepare: impl FnOnce(&Server)) -> Server {
    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    prepare(&server);
    assert_whole(&fetch(&hub(&server, cache.path())).unwrap(), &tiny());
    server
}

fn assert_whole(snapshot: &Snapshot, served: &[HubFile]) {
    for file in snapshot.files() {
        let served = served.iter().find(|served| served.name == file.name).unwrap();
        assert!(
            std::fs::read(snapshot.dir().join(&file.name)).unwrap() == served.content,
            "{}",
            file.name
        );
        assert_eq!(file.size, served.content.len() as u64);
        assert_eq!(file.sha256, served.sha256());
        assert_eq!(file.stated(), Some(served.etag()));
    }
    assert!(snapshot.verify(&mut |_| {}).is_empty());
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.files().iter().map(|file| file.name.as_str()).collect()
}

/// All files and links below a folder, relative to it, but for locks.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        for entry in std::fs::read_dir(inside).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                if entry.file_name() != ".locks" {
                    folders.push(entry.path());
                }
            } else {
                let path = entry.path();
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_model_arrives_in_the_layout_that_tools_share() {
    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let hub = hub(&server, cache.path());
    let mut last = None;
    let snapshot = hub
        .fetch(&id(), &Revision::default(), &mut |progress| {
            assert!(progress.done <= progress.total);
            last = Some((progress.file.to_owned(), progress.done, progress.total));
        })
        .unwrap();
    assert_eq!(last, Some((WEIGHTS.to_owned(), SIZE as u64, SIZE as u64)));
    let needed = ["config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS];
    assert_eq!(names(&snapshot), needed);
    assert_eq!((snapshot.commit(), snapshot.model().as_path()), (COMMIT, snapshot.dir()));
    assert_whole(&snapshot, &tiny());

    let home = "models--org--tiny";
    let mut expected = vec![format!("{home}/refs/main")];
    for name in needed {
        let etag = tiny().into_iter().find(|file| file.name == name).unwrap().etag();
        let link = std::fs::read_link(snapshot.dir().join(name)).unwrap();
        assert_eq!(link, Path::new("../../blobs").join(&etag));
        expected.push(format!("{home}/blobs/{etag}"));
        expected.push(format!("{home}/snapshots/{COMMIT}/{name}"));
    }
    expected.sort();
    assert_eq!(tree(cache.path()), expected);
    let main = cache.path().join(home).join("refs/main");
    assert_eq!(std::fs::read_to_string(main).unwrap(), COMMIT);

    // A second time nothing but the listing is asked for.
    server.forget();
    assert_eq!(names(&fetch(&hub).unwrap()), needed);
    assert_eq!(server.seen("").len(), 1);
}

#[test]
fn the_cache_alone_serves_when_there_is_no_network() {
    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let fetched = fetch(&hub(&server, cache.path())).unwrap();
    server.forget();
    let mut offline = settings(&server, cache.path());
    offline.offline = true;
    let offline = Hub::new(offline).unwrap();
    for revision in ["main", COMMIT] {
        let found = offline.fetch(&id(), &revision.parse().unwrap(), &mut |_| {}).unwrap();
        assert_eq!(found.files(), fetched.files());
        assert_whole(&found, &tiny());
    }
    let missing = |id: &str, revision: &str| {
        let (id, revision) = (id.parse().unwrap(), revision.parse().unwrap());
        offline.fetch(&id, &revision, &mut |_| {}).unwrap_err().to_string()
    };
    assert!(missing("org/other", "main").contains("unset HF_HUB_OFFLINE"));
    assert!(missing(ID, "v1").contains("missing the commit of this revision"));
    assert!(missing("org/tiny:x.gguf", "main").contains("missing x.gguf"));
    std::fs::remove_file(std::fs::canonicalize(fetched.dir().join("config.json")).unwrap())
        .unwrap();
    assert!(missing(ID, "main").contains("missing config.json"));
    assert!(server.seen("").is_empty());
}

#[test]
fn a_sharded_model_arrives_with_the_shards_its_index_names() {
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = |map: &str| HubFile {
        name: "model.safetensors.index.json".into(),
        content: format!(r#"{{"metadata": {{}}, "weight_map": {{{map}}}}}"#).into_bytes(),
        large: false,
    };
    let map = format!(r#""a": "{}", "b": "{}", "c": "{}""#, shards[1], shards[0], shards[1]);
    let mut files =
        vec![file("config.json", 50, false), index(&map), file("other.safetensors", 9, true)];
    files.extend(shards.map(|name| file(name, 5_000, true)));
    let (server, cache) = (Server::of(ID, files.clone()), tempfile::tempdir().unwrap());
    let hub_of_two = hub(&server, cache.path());
    let snapshot = fetch(&hub_of_two).unwrap();
    let needed = ["config.json", "model.safetensors.index.json", shards[0], shards[1]];
    assert_eq!(names(&snapshot), needed);
    assert_whole(&snapshot, &files);
    assert_eq!(hub_of_two.cached(&id(), &Revision::default()).unwrap().files(), snapshot.files());
    std::fs::remove_file(snapshot.dir().join(shards[0])).unwrap();
    let error = hub_of_two.cached(&id(), &Revision::default()).unwrap_err().to_string();
    assert!(error.contains(&format!("missing {}", shards[0])), "{error}");

    for (map, expected) in [
        (r#""a": "../../../x.safetensors""#, "leaves its folder"),
        (r#""a": "gone.safetensors""#, "has no file gone.safetensors"),
        (r#""a": "pytorch_model.bin""#, "not a safetensors file"),
    ] {
        let files =
            vec![file("config.json", 50, false), index(map), file("pytorch_model.bin", 9, true)];
        let (server, cache) = (Server::of(ID, files), tempfile::tempdir().unwrap());
        let error = fetch(&hub(&server, cache.path())).unwrap_err().to_string();
        assert!(error.contains(expected), "{map}: {error}");
    }
}

#[test]
fn of_several_gguf_files_one_is_named() {
    let files = vec![file("q4.gguf", 4_000, true), file("sub/q8.gguf", 8_000, true)];
    let (server, cache) = (Server::of(ID, files.clone()), tempfile::tempdir().unwrap());
    let hub = hub(&server, cache.path());
    let error = fetch(&hub).unwrap_err().to_string();
    assert!(
        error.contains("org/tiny:q4.gguf") && error.contains("sub/q8.gguf  0.00 GB"),
        "{error}"
    );
    let named = id().with_file("sub/q8.gguf").unwrap();
    let snapshot = hub.fetch(&named, &Revision::default(), &mut |_| {}).unwrap();
    assert_eq!(snapshot.model(), snapshot.dir().join("sub/q8.gguf"));
    assert_whole(&snapshot, &files);
    assert_eq!(hub.cached(&named, &Revision::default()).unwrap().files(), snapshot.files());
    assert!(server.seen("q4").is_empty());
}

#[test]
fn pickles_are_refused_and_never_asked_for() {
    let files = vec![file("config.json", 50, false), file("pytorch_model.bin", 1_000, true)];
    let (server, cache) = (Server::of(ID, files), tempfile::tempdir().unwrap());
    let error = fetch(&hub(&server, cache.path())).unwrap_err();
    assert!(
        matches!(&error, HubError::PickleOnly { files, .. } if files == &["pytorch_model.bin"]),
        "{error}"
    );
    assert!(server.seen("resolve").is_empty());
    let server = arrives_after(|_| {});
    assert!(server.seen("pytorch_model.bin").is_empty());
}

#[test]
fn the_token_goes_to_the_endpoint_and_nowhere_else() {
    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let mut settings = settings(&server, cache.path());
    settings.token = Token::new("hf_secret").unwrap();
    let hub = Hub::new(settings).unwrap();
    fetch(&hub).unwrap();
    let seen = server.seen("");
    assert!(seen.iter().any(|seen| seen.storage) && seen.iter().any(|seen| !seen.storage));
    for seen in seen {
        let expected = if seen.storage { None } else { Some("Bearer hf_secret") };
        assert_eq!(
            seen.headers.get("authorization").map(String::as_str),
            expected,
            "{}",
            seen.path
        );
    }
    server.fail("/api/models", Fault::Status(401, vec![]), 1);
    let error = fetch(&hub).unwrap_err();
    assert!(!format!("{error} {error:?} {hub:?}").contains("hf_secret"));
}

#[test]
fn refusals_say_what_to_do() {
    let gated = ("X-Error-Code", "GatedRepo");
    let error =
        error_after(|server| server.fail("config.json", Fault::Status(403, vec![gated]), 1));
    assert!(matches!(error, HubError::Denied { reason: Denial::Gated, .. }), "{error}");
    let words = error.to_string();
    assert!(words.contains("/org/tiny is gated") && words.contains("set HF_TOKEN"), "{words}");
    let error = error_after(|server| server.fail("/api/", Fault::Status(401, vec![]), 1));
    assert!(matches!(error, HubError::Denied { reason: Denial::Token, .. }), "{error}");

    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let hub = hub(&server, cache.path());
    let other = "org/other".parse().unwrap();
    let error = hub.fetch(&other, &Revision::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::Denied { reason: Denial::PrivateOrMissing, .. }), "{error}");
    let error = hub.fetch(&id(), &"v9".parse().unwrap(), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, HubError::NoRevision { revision, .. } if revision == "v9"), "{error}");
    server.fail("/api/", Fault::Status(404, vec![("X-Error-Code", "RepoNotFound")]), 1);
    assert!(matches!(fetch(&hub), Err(HubError::NoModel { .. })));
    server.fail("tokenizer.json", Fault::Status(404, vec![("X-Error-Code", "EntryNotFound")]), 1);
    assert!(matches!(fetch(&hub), Err(HubError::NoFile { file, .. }) if file == "tokenizer.json"));
}

#[test]
fn too_many_requests_are_waited_out_within_bounds() {
    let limited = |wait| Fault::Status(429, vec![("Retry-After", wait)]);
    let begun = Instant::now();
    arrives_after(|server| server.fail("/api/", limited("1"), 1));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let begun = Instant::now();
    let error = error_after(|server| server.fail(WEIGHTS, limited("3600"), 1));
    let wait = Some(Duration::from_secs(3600));
    assert!(matches!(&error, HubError::RateLimited { wait: w, .. } if *w == wait), "{error}");
    assert!(error.to_string().contains("3600 s"));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_hub_in_trouble_is_asked_a_few_times() {
    let trouble =
        |times| move |server: &Server| server.fail("/api/", Fault::Status(503, vec![]), times);
    assert_eq!(arrives_after(trouble(2)).seen("/api/").len(), 3);
    assert!(matches!(error_after(trouble(3)), HubError::Status { status: 503, .. }));
    // A storage address that has expired is asked for again, at the hub.
    let server =
        arrives_after(|server| server.fail("storage/model", Fault::Status(403, vec![]), 1));
    assert_eq!(
        server.seen("/resolve/").iter().filter(|seen| seen.path.contains(WEIGHTS)).count(),
        2
    );
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let cut = SIZE / 3;
    let server = arrives_after(|server| server.fail("storage/model", Fault::Cut(cut), 1));
    let range = |server: &Server| {
        let weights = tiny().pop().unwrap().sha256();
        let of = |seen: server::Seen| seen.headers.get("range").cloned();
        server.seen(&weights).into_iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(range(&server), [None, Some(format!("bytes={cut}-"))]);

    // The next run goes on as well, even where this one gave up.
    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let mut impatient = settings(&server, cache.path());
    impatient.patience.attempts = 1;
    server.fail("storage/model", Fault::Cut(cut), 1);
    let error = fetch(&Hub::new(impatient).unwrap()).unwrap_err();
    assert!(matches!(&error, HubError::Cut { got, .. } if *got == cut as u64), "{error}");
    assert!(
        !tree(cache.path()).iter().any(|path| path.ends_with(WEIGHTS) || path.contains("refs"))
    );
    server.forget();
    assert_whole(&fetch(&hub(&server, cache.path())).unwrap(), &tiny());
    assert_eq!(range(&server), [Some(format!("bytes={cut}-"))]);
    assert!(!tree(cache.path()).iter().any(|path| path.ends_with(".incomplete")));

    // Attempts that bring something are not counted against the limit; those that bring nothing are.
    arrives_after(|server| server.fail("storage/model", Fault::Cut(70_000), 4));
    let error = error_after(|server| server.fail("storage/model", Fault::Cut(10), 9));
    assert!(matches!(error, HubError::Cut { got: 30, .. }), "{error}");
    let error = error_after(|server| server.fail("/api/", Fault::Cut(10), 9));
    assert!(matches!(error, HubError::Cut { got: 10, .. }), "{error}");
}

#[test]
fn servers_that_ignore_or_mistake_ranges_do_no_harm() {
    for fault in [Fault::NoRange, Fault::OtherRange] {
        arrives_after(|server| {
            server.fail("storage/model", Fault::Cut(1_000), 1);
            server.fail("storage/model", fault, 1);
        });
    }
}

#[test]
fn what_another_run_left_is_checked_like_the_rest() {
    let weights = tiny().pop().unwrap();
    for left in [vec![9; 1_000], vec![9; SIZE], vec![9; SIZE + 1], weights.content[..5].to_vec()] {
        let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
        let blobs = cache.path().join("models--org--tiny/blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(blobs.join(format!("{}.incomplete", weights.sha256())), left).unwrap();
        // A blob of the wrong size was never whole.
        std::fs::write(blobs.join(weights.sha256()), b"short").unwrap();
        assert_whole(&fetch(&hub(&server, cache.path())).unwrap(), &tiny());
    }
}

#[test]
fn a_wrong_hash_leaves_nothing_behind() {
    for (name, at) in [(WEIGHTS, "storage/model"), ("config.json", "config.json")] {
        let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
        server.fail(at, Fault::Altered, 1);
        let error = fetch(&hub(&server, cache.path())).unwrap_err();
        let stated = tiny().into_iter().find(|file| file.name == name).unwrap().etag();
        let HubError::WrongHash { file, expected, got } = &error else { panic!("{error}") };
        assert_eq!((file.as_str(), expected), (name, &stated));
        assert!(got.len() == expected.len() && got != expected);
        let words = error.to_string();
        assert!(words.contains(name) && words.contains(expected) && words.contains(got), "{words}");
        let there = tree(cache.path());
        let trace =
            |path: &String| path.contains(&stated) || path.ends_with(name) || path.contains("refs");
        assert!(!there.iter().any(trace), "{there:?}");
        assert_whole(&fetch(&hub(&server, cache.path())).unwrap(), &tiny());
    }
    let error = error_after(|server| server.fail("storage/model", Fault::Longer, 1));
    assert!(matches!(error, HubError::WrongSize { .. }), "{error}");
}

#[test]
fn a_hub_that_says_nothing_is_given_up() {
    for (part, fault) in
        [("/api/", Fault::Silence), (WEIGHTS, Fault::Silence), ("storage/model", Fault::Stall(100))]
    {
        let begun = Instant::now();
        let error = error_after(|server| server.fail(part, fault, 9));
        assert!(matches!(error, HubError::Timeout { .. }), "{part}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{part}");
    }
    arrives_after(|server| server.fail("storage/model", Fault::Stall(100_000), 2));
}

#[test]
fn a_hub_that_cannot_be_reached_is_named() {
    let cache = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    // The second speaks no TLS: there is nothing to reach on its port either.
    for endpoint in [endpoint.clone(), endpoint.replace("http", "https")] {
        let mut settings = Settings::with_cache(cache.path());
        settings.endpoint = endpoint.clone();
        let error = fetch(&Hub::new(settings).unwrap()).unwrap_err();
        assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
        let words = error.to_string();
        for part in [endpoint.as_str(), "refused", "HF_ENDPOINT", "HF_HUB_OFFLINE=1"] {
            assert!(words.contains(part), "{words}");
        }
    }
    assert!(tree(cache.path()).is_empty());
}

#[test]
fn hostile_listings_write_nothing() {
    let sha = "5".repeat(64);
    let listing = |name: &str, hash: &str| {
        let lfs = format!(r#"{{"sha256": "{hash}", "size": 5, "pointerSize": 130}}"#);
        let files = format!(
            r#"{{"rfilename": "config.json", "lfs": {lfs}}}, {{"rfilename": "{name}", "lfs": {lfs}}}"#
        );
        format!(r#"{{"sha": "{COMMIT}", "siblings": [{files}]}}"#)
    };
    for (body, expected) in [
        (listing("../../../model.safetensors", &sha), "leaves its folder"),
        (listing("/etc/model.safetensors", &sha), "leaves its folder"),
        (listing("..\\\\model.safetensors", &sha), "backslash"),
        (listing("C:model.safetensors", &sha), "drive"),
        (listing(WEIGHTS, "../../../x"), "states no hash"),
        (listing(WEIGHTS, &sha).replace(COMMIT, "../../x"), "names no commit"),
        ("<html>Sign in to the network</html>".to_owned(), "not JSON"),
    ] {
        let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
        server.fail("/api/", Fault::Body(body), 1);
        let error = fetch(&hub(&server, cache.path())).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(tree(cache.path()).is_empty());
    }
    let circle = Fault::Status(302, vec![("Location", "/org/tiny/resolve/main/config.json")]);
    let error = error_after(|server| server.fail("config.json", circle, 99)).to_string();
    assert!(error.contains("too many redirects"), "{error}");
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let (server, folder) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let cache = folder.path().join("a file");
    std::fs::write(&cache, "").unwrap();
    let error = fetch(&hub(&server, &cache)).unwrap_err();
    assert!(matches!(error, HubError::Cache { .. }), "{error}");
    assert!(error.to_string().contains("a file") && error.to_string().contains("HF_HUB_CACHE"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let blobs = cache.path().join("models--org--tiny/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    // Writing to this device fails as on a disk without space.
    let partial = blobs.join(format!("{}.incomplete", tiny().pop().unwrap().sha256()));
    std::os::unix::fs::symlink("/dev/full", partial).unwrap();
    let error = fetch(&hub(&server, cache.path())).unwrap_err();
    assert!(matches!(error, HubError::DiskFull { needed, .. } if needed == SIZE as u64), "{error}");
}

#[test]
fn two_at_once_fetch_each_file_once() {
    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let barrier = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let hub = hub(&server, cache.path());
                barrier.wait();
                assert_whole(&fetch(&hub).unwrap(), &tiny());
            });
        }
    });
    for file in tiny().iter().filter(|file| file.large) {
        assert!(server.seen(&file.sha256()).len() <= 1, "{}", file.name);
    }
}

#[test]
fn damage_is_found_file_by_file() {
    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let hub = hub(&server, cache.path());
    let snapshot = fetch(&hub).unwrap();
    let mut weights = tiny().pop().unwrap();
    weights.content[5] ^= 1;
    std::fs::write(std::fs::canonicalize(snapshot.dir().join(WEIGHTS)).unwrap(), &weights.content)
        .unwrap();
    std::fs::remove_file(snapshot.dir().join("tokenizer.json")).unwrap();
    let config = snapshot.dir().join("config.json");
    std::fs::write(std::fs::canonicalize(&config).unwrap(), b"{}").unwrap();
    let found: Vec<_> =
        snapshot.verify(&mut |_| {}).into_iter().map(|it| (it.file, it.found)).collect();
    let HubFile { name, large, .. } = file("config.json", 0, false);
    let short = HubFile { name, content: b"{}".to_vec(), large };
    assert_eq!(
        found,
        [
            ("config.json".to_owned(), Found::Hash(short.git())),
            ("tokenizer.json".to_owned(), Found::Missing),
            (WEIGHTS.to_owned(), Found::Hash(weights.sha256())),
        ]
    );
    // What has another size is fetched again; what has the same needs `verify` to be found.
    fetch(&hub).unwrap();
    assert_eq!(snapshot.verify(&mut |_| {}).len(), 1);

    std::fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &config).unwrap();
    let error = hub.cached(&id(), &Revision::default()).unwrap_err();
    assert!(matches!(&error, HubError::ForeignLink { path } if *path == config), "{error}");
    fetch(&hub).unwrap();
    assert_eq!(snapshot.verify(&mut |_| {}).len(), 1);
}

#[test]
fn mirrors_without_sizes_and_old_names_work_too() {
    let (server, cache) = (Server::plain(ID, tiny()), tempfile::tempdir().unwrap());
    assert_whole(&fetch(&hub(&server, cache.path())).unwrap(), &tiny());
    assert!(server.seen(WEIGHTS).iter().any(|seen| seen.method == "HEAD"));

    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let old = "old".parse().unwrap();
    let snapshot =
        hub(&server, cache.path()).fetch(&old, &Revision::default(), &mut |_| {}).unwrap();
    assert_whole(&snapshot, &tiny());
    assert!(snapshot.dir().starts_with(cache.path().join("models--old")));
}

#[test]
fn a_failed_update_keeps_the_snapshot_that_was_there() {
    let (server, cache) = (Server::of(ID, tiny()), tempfile::tempdir().unwrap());
    let revision: Revision = "refs/pr/1".parse().unwrap();
    let before = hub(&server, cache.path()).fetch(&id(), &revision, &mut |_| {}).unwrap();
    let newer = "f".repeat(40);
    let mut files = tiny();
    files.iter_mut().for_each(|file| file.content[0] ^= 1);
    let updated = Server::of(ID, files);
    let size = SIZE;
    let (config, weights) = (&updated_file(1), &updated_file(5));
    let listing = format!(
        r#"{{"sha": "{newer}", "siblings": [{{"rfilename": "config.json", "size": 700, "blobId": "{config}"}},
            {{"rfilename": "{WEIGHTS}", "lfs": {{"sha256": "{weights}", "size": {size}}}}}]}}"#
    );
    updated.fail("/api/", Fault::Body(listing), 1);
    let hub = hub(&updated, cache.path());
    // This server knows the newer commit's name only in the listing, so the files are not found.
    let error = hub.fetch(&id(), &revision, &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::NoRevision { .. }), "{error}");
    assert_eq!(hub.cached(&id(), &revision).unwrap().files(), before.files());
}

/// The hash of a file of `tiny` after its first byte was changed.
fn updated_file(index: usize) -> String {
    let mut file = tiny().remove(index);
    file.content[0] ^= 1;
    file.etag()
}
