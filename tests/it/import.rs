//! Configurations of other engines: what is read of them, what is refused, and that writing gives them back.

use serde_json::Value as Json;
use subtle::ConstantTimeEq;
use touchmark::keys::Key;
use touchmark::profile::export::{ExportError, write};
use touchmark::profile::import::{
    DrawnOn, ImportError, Imported, MOST_BYTES, Note, Options, SynthIdHash, Tool, VocabularySize,
    read,
};
use touchmark::schemes::Spec;
use touchmark::watermark::Repeats;

const TABLE: Options =
    Options { hash: Some(SynthIdHash::Table), ngram_len: None, device: Some(DrawnOn::Cpu) };
const IV: Options = Options { hash: Some(SynthIdHash::Iv), ..TABLE };
const CPU: Options = Options { hash: None, ..TABLE };
const LLAMA: Options = Options { ngram_len: Some(5), ..TABLE };
const NONE: Options = Options { hash: None, ngram_len: None, device: None };

const VLLM: &str = r#"{"key": 42}"#;
const SGLANG: &str = r#"{"key": "2a"}"#;
const LISTS: &str = r#"{"hashing_key": 42, "greenlist_ratio": 0.25}"#;
const SYNTHID: &str = r#"{"keys": [654, 400, 836], "ngram_len": 5}"#;
const GOOGLE: &str = r#"{"keys": [654, 400, 836], "ngram_len": 5, "context_history_size": 1024}"#;
const MARKLLM: &str = r#"{"algorithm_name": "KGW", "gamma": 0.5, "delta": 2.0, "hash_key": 15485863, "prefix_length": 3,
    "z_threshold": 4.0, "f_scheme": "min", "window_scheme": "left"}"#;
const LM: &str = r#"{"seeding_scheme": "ff-anchored_minhash_prf-4-True-42", "gamma": 0.25}"#;

macro_rules! config {
    ($path:literal) => {
        include_str!(concat!("golden/peers/texts/configs/", $path))
    };
}

fn numbers(numbers: &[u64]) -> Key {
    Key::of_numbers(numbers.to_vec()).unwrap()
}

fn has_key(found: &Imported, expected: &[u64]) -> bool {
    found.key.ct_eq(&numbers(expected)).into()
}

fn spec(table: &str) -> Spec {
    toml::from_str(table).unwrap()
}

fn fault(tool: Tool, text: &str, options: Options) -> ImportError {
    match read(tool, text, options) {
        Err(error) => error,
        Ok(found) => panic!("{tool} reads {text}: {:?}", found.spec),
    }
}

/// The message of an error, which must hold `parts` and nothing that looks like a key.
fn refused(tool: Tool, text: &str, options: Options, parts: &[&str]) {
    let error = fault(tool, text, options);
    let said = error.to_string();
    for part in parts {
        let text: String = text.chars().take(200).collect();
        assert!(said.contains(part), "{tool} {text}: \"{said}\" should speak of \"{part}\"");
    }
    for secret in ["987654321", "0badc0de", "1e400"] {
        assert!(!said.contains(secret) && !format!("{error:?}").contains(secret), "{said}");
    }
}

#[test]
fn vllm() {
    let found = read(Tool::Vllm, config!("vllm_gumbel.watermark_config.json"), NONE).unwrap();
    let table = "scheme = \"vllm-gumbel\"\ncontext_width = 4\nmax_history = 8192";
    assert_eq!((found.spec.clone(), found.repeats), (spec(table), Repeats::SingleTurn));
    assert_eq!((found.vocabulary, found.notes.as_slice()), (VocabularySize::Logits, &[][..]));
    assert!(has_key(&found, &[0x1234_5678_9ABC_DEF0]));

    let found = read(Tool::Vllm, config!("vllm_dual_key_gumbel.watermark_config.json"), NONE);
    assert_eq!(found.unwrap().spec, spec(&format!("{table}\nalpha = 0.1")));

    // Defaults, the other rules for repeats, keys in quotes, and the server's own YAML file.
    let found = read(Tool::Vllm, VLLM, NONE).unwrap();
    assert_eq!(found.spec, spec(table));
    for (rule, repeats) in [("none", Repeats::ScoreOnce), ("all", Repeats::AllTurns)] {
        let text = format!("key: \"42\"\ndeduplicate_contexts: {rule} # a rule\n");
        let found = read(Tool::Vllm, &text, NONE).unwrap();
        assert!(has_key(&found, &[42]));
        assert_eq!(found.repeats, repeats);
    }
    for text in [
        "model: x/y\nwatermark-config:\n  key: 42\n  deduplicate_contexts_max_history: null\n",
        "model: x/y\nwatermark-config: '{\"key\": 42, \"deduplicate_contexts_max_history\": null}'\n",
        "{'key': 42, 'deduplicate_contexts_max_history': None, 'algorithm': 'gumbel',}",
    ] {
        let found = read(Tool::Vllm, text, NONE).unwrap();
        assert_eq!(found.spec, spec("scheme = \"vllm-gumbel\"\ncontext_width = 4"));
    }
    let asked = r#"{"key": 1, "allow_target_only_watermarking": true}"#;
    let notes = read(Tool::Vllm, asked, NONE).unwrap().notes;
    assert_eq!(notes, [Note::NotKept("allow_target_only_watermarking")]);
}

#[test]
fn vllm_refuses() {
    let bad = |text: &str, parts: &[&str]| refused(Tool::Vllm, text, NONE, parts);
    bad(r#"{"algorithm": "gumbel"}"#, &["key is missing"]);
    for key in [
        "-987654321",
        "9876543219876543219999",
        "1e400",
        "true",
        "\"0badc0de\"",
        "[987654321]",
        "987654321.0",
    ] {
        bad(&format!("{{\"key\": {key}}}"), &["key of vllm must be an integer from 0 to 2^64 - 1"]);
    }
    bad(r#"{"key": 987654321, "alpha": 0.1}"#, &["alpha and algorithm gumbel contradict"]);
    bad(
        r#"{"key": 987654321, "algorithm": "synthid_text"}"#,
        &["\"gumbel\" or \"dual_key_gumbel\""],
    );
    bad(r#"{"key": 987654321, "prf": "hmac_sha256"}"#, &["prf", "\"philox\""]);
    bad(r#"{"key": 987654321, "context_width": 0}"#, &["context_width", "1 to 64"]);
    bad(r#"{"key": 987654321, "context_width": "4"}"#, &["context_width"]);
    bad(r#"{"key": 987654321, "context_width": 4.0}"#, &["context_width"]);
    bad(r#"{"key": 987654321, "deduplicate_contexts_max_history": 0}"#, &["null"]);
    bad(r#"{"key": 987654321, "allow_target_only_watermarking": 1}"#, &["true or false"]);
    bad(r#"{"key": 987654321, "colour": "green"}"#, &["no field \"colour\""]);
    bad(r#"{"key": 987654321, "key": 987654321}"#, &["\"key\" is there twice"]);
    // A key at the wrong place is not shown as a name either.
    bad(r#"{"key": 1, "987654321": 1}"#, &["a field that is not shown"]);
    bad(r#"{"key": 1, "0badc0de": 1}"#, &["a field that is not shown"]);
    bad(r#"{"key": 1, "alpha": 987654321, "algorithm": "dual_key_gumbel"}"#, &["alpha"]);
    bad("[987654321]", &["names and values"]);
    bad("987654321", &["names and values"]);
    bad("", &["names and values"]);
    bad("{\"key\": 987654321", &["line 1, column 18"]);
    bad("{\"key\":\n 987654321} x", &["line 2, column 13", "follows its end"]);
}

#[test]
fn sglang() {
    let found = read(Tool::SgLang, config!("sglang_gumbel.watermark_config.json"), NONE).unwrap();
    let table = "scheme = \"sglang-gumbel\"\ncontext_window = 4\nmax_probability = 1.0";
    assert_eq!((found.spec.clone(), found.repeats), (spec(table), Repeats::SingleTurn));
    assert_eq!(found.notes, [Note::NotKept("default_enabled")]);
    assert!(has_key(&found, &[0x0123_4567_89ab_cdef]));

    let two = r#"{"key": "0XFFFFFFFFFFFFFFFF", "key_b": "0x0", "max_probability": 0.9, "enforce_all": null}"#;
    let found = read(Tool::SgLang, two, NONE).unwrap();
    let table = "scheme = \"sglang-gumbel\"\ncontext_window = 4\nmax_probability = 0.9\nmixing_probability = 0.5";
    assert_eq!((found.spec.clone(), found.notes.len()), (spec(table), 0));
    assert!(has_key(&found, &[u64::MAX, 0]));

    let bad = |text: &str, parts: &[&str]| refused(Tool::SgLang, text, NONE, parts);
    bad(r#"{"context_window": 4}"#, &["key is missing"]);
    for key in [
        "\"\"",
        "\"0x\"",
        "\"00badc0de00000000\"",
        "\"-0badc0de\"",
        "\" 0badc0de\"",
        "987654321",
        "\"0badc0deg\"",
        "\"+0badc0de\"",
    ] {
        bad(&format!("{{\"key\": {key}}}"), &["key of sglang must be 1 to 16 hexadecimal digits"]);
    }
    bad(r#"{"key": "0badc0de", "mixing_probability": 0.5}"#, &["key_b"]);
    bad(r#"{"key": "0badc0de", "key_b": 987654321}"#, &["key_b of sglang"]);
    bad(r#"{"key": "0badc0de", "max_probability": 0}"#, &["max_probability"]);
    bad(r#"{"key": "0badc0de", "context_window": 65}"#, &["1 to 64"]);
    bad(r#"{"key": "0badc0de", "window": 4}"#, &["\"window\""]);
    bad(&format!("{{\"key\": \"0badc0de\"{}}}", " ".repeat(4096)), &["4096"]);
    // Digits alone would lose leading zeros, and YAML takes some keys for numbers.
    bad("key: 987654321", &["in quotes"]);
}

#[test]
fn transformers_lists() {
    let table = "scheme = \"transformers-kgw\"\ngreenlist_ratio = 0.25\nbias = 2.0\n";
    let left = format!("{table}seeding_scheme = \"lefthash\"\ncontext_width = 1");
    let own = format!("{table}seeding_scheme = \"selfhash\"\ncontext_width = 4");
    for (text, expected) in [
        (config!("hf_kgw_lefthash/watermarking_config.json"), &left),
        (config!("hf_kgw_lefthash/generation_config.json"), &left),
        (config!("hf_kgw_selfhash/watermarking_config.json"), &own),
        (config!("hf_kgw_selfhash/generation_config.json"), &own),
    ] {
        let found = read(Tool::Transformers, text, NONE).unwrap();
        assert_eq!((found.spec.clone(), found.repeats), (spec(expected), Repeats::ScoreOnce));
        assert!(has_key(&found, &[15_485_863]));
        let notes = [Note::Device(Tool::Transformers)];
        assert_eq!(
            (found.vocabulary, found.notes.as_slice()),
            (VocabularySize::Logits, &notes[..])
        );
    }
    let found = read(Tool::Transformers, LISTS, CPU).unwrap();
    assert_eq!((found.spec.clone(), found.notes.len()), (spec(&left), 0));

    // −5 and 2⁶⁴ − 6 seed alike: key · token mod 2⁶⁴ − 1.
    let negative = LISTS.replace("42", "-5");
    assert!(has_key(&read(Tool::Transformers, &negative, CPU).unwrap(), &[u64::MAX - 5]));
    // extra_hf_kgw.json has such keys, with what transformers made of them.
    let selfhash = r#"{"hashing_key": -5, "seeding_scheme": "selfhash"}"#;
    assert!(has_key(&read(Tool::Transformers, selfhash, CPU).unwrap(), &[u64::MAX - 4]));
    let great = LISTS.replace("42", "18446744073709551615");
    assert!(has_key(&read(Tool::Transformers, &great, CPU).unwrap(), &[u64::MAX]));
    let wide = r#"{"hashing_key": 7, "context_width": 3}"#;
    let notes = read(Tool::Transformers, wide, CPU).unwrap().notes;
    assert_eq!(notes, [Note::WidthWithoutEffect]);
}

#[test]
fn transformers_refuses() {
    let bad = |text: &str, parts: &[&str]| refused(Tool::Transformers, text, CPU, parts);
    bad(r#"{"greenlist_ratio": 0.25}"#, &["hashing_key is missing"]);
    bad(r#"{"bos_token_id": 0, "watermarking_config": null}"#, &["names and values"]);
    bad(r#"{"bos_token_id": 0, "temperature": 1.0}"#, &["describes no watermark"]);
    bad(
        r#"{"keys": [987654321], "ngram_len": 5, "greenlist_ratio": 0.25}"#,
        &["greenlist_ratio and keys contradict"],
    );
    bad(r#"{"hashing_key": 987654321, "greenlist_ratio": 1.0}"#, &["greenlist_ratio"]);
    // A key where the ratio belongs.
    bad(r#"{"hashing_key": 0.25, "greenlist_ratio": 987654321}"#, &["greenlist_ratio"]);
    bad(r#"{"hashing_key": 0.25}"#, &["hashing_key"]);
    bad(r#"{"hashing_key": 36893488147419103232}"#, &["hashing_key", "2^64 - 1"]);
    bad(r#"{"hashing_key": -9223372036854775809}"#, &["hashing_key"]);
    bad(
        r#"{"hashing_key": 987654321, "seeding_scheme": "righthash"}"#,
        &["\"lefthash\" or \"selfhash\""],
    );
    bad(r#"{"hashing_key": 987654321, "bias": -2}"#, &["bias"]);
    bad(r#"{"hashing_key": 987654321, "bias": "2"}"#, &["bias"]);
    bad(r#"{"ngram_len": 5}"#, &["keys is missing"]);
    bad(r#"{"keys": [987654321]}"#, &["ngram_len is missing"]);
    for keys in [
        "[]",
        "987654321",
        "[987654321, true]",
        "[987654321, 9223372036854775808]",
        "[[987654321]]",
        "{}",
    ] {
        bad(
            &format!("{{\"keys\": {keys}, \"ngram_len\": 5}}"),
            &["keys of transformers must be a list"],
        );
    }
    let many = vec!["987654321"; 257].join(",");
    bad(&format!("{{\"keys\": [{many}], \"ngram_len\": 5}}"), &["1 to 256"]);
    bad(r#"{"keys": [987654321], "ngram_len": 1}"#, &["ngram_len"]);
    bad(r#"{"keys": [987654321], "ngram_len": 5, "sampling_table_size": 16777217}"#, &["16777216"]);
    bad(r#"{"keys": [987654321], "ngram_len": 5, "num_leaves": 3}"#, &["no field \"num_leaves\""]);

    let cuda = Options { device: Some(DrawnOn::Cuda), ..NONE };
    for text in [LISTS, SYNTHID] {
        refused(Tool::Transformers, text, cuda, &["CUDA", "on the CPU"]);
    }
    refused(Tool::Tgi, "WATERMARK_GAMMA=0.5", cuda, &["CUDA"]);
    refused(Tool::LmWatermarking, LM, cuda, &["CUDA"]);
    assert!(read(Tool::Vllm, VLLM, cuda).is_ok(), "its draws are the same on every device");
    let iv = Options { device: Some(DrawnOn::Cuda), ..IV };
    assert!(read(Tool::SynthId, GOOGLE, iv).is_ok(), "this hash has no table");
    refused(Tool::Transformers, SYNTHID, TABLE, &["--hash says nothing"]);
    refused(Tool::Vllm, VLLM, LLAMA, &["says nothing"]);
}

#[test]
fn synthid() {
    let table = "scheme = \"synthid-text\"\nngram_len = 5\nhash = \"table\"\nsampling_table_size = 65536\nsampling_table_seed = 0\ncontext_history_size = 1024\nnum_leaves = 2\n";
    let keys = [1, 70000, 8, 1_099_511_627_779, 65537, 5, 12, 99, 7];
    for text in [
        config!("hf_synthid_9/watermarking_config.json"),
        config!("hf_synthid_9/generation_config.json"),
    ] {
        let found = read(Tool::Transformers, text, CPU).unwrap();
        assert_eq!(found.spec, spec(&format!("{table}depth = 9")));
        assert_eq!((found.repeats, found.notes.len()), (Repeats::SingleTurn, 0));
        assert!(has_key(&found, &keys));
    }
    let found = read(Tool::Transformers, config!("hf_synthid_30/generation_config.json"), NONE);
    let found = found.unwrap();
    assert_eq!(found.spec, spec(&format!("{table}depth = 30")));
    assert_eq!(found.notes, [Note::Device(Tool::Transformers)]);

    let found = read(Tool::SynthId, config!("synthid_iv.json"), IV).unwrap();
    let iv = "scheme = \"synthid-text\"\nngram_len = 5\nhash = \"iv\"\ncontext_history_size = 1024\nnum_leaves = 2\ndepth = 30";
    assert_eq!(found.spec, spec(iv));
    assert_eq!(found.notes, ["temperature", "top_k", "apply_top_k"].map(Note::NotKept));

    // Two's complement, and both ends of the range.
    let text = SYNTHID.replace("654, 400, 836", "-1, -9223372036854775808, 9223372036854775807");
    let found = read(Tool::Transformers, &text, CPU).unwrap();
    assert!(has_key(&found, &[u64::MAX, 1 << 63, (1 << 63) - 1]));
    let debug = SYNTHID.replace('}', ", \"debug_mode\": true, \"skip_first_ngram_calls\": false}");
    let notes = read(Tool::Transformers, &debug, CPU).unwrap().notes;
    assert_eq!(notes, [Note::NotKept("debug_mode")]);

    let bad = |text: &str, options, parts: &[&str]| refused(Tool::SynthId, text, options, parts);
    bad(GOOGLE, CPU, &["--hash table|iv is needed"]);
    bad(GOOGLE, TABLE, &["--hash iv"]);
    let drawn =
        GOOGLE.replace('}', ", \"sampling_table_size\": 65536, \"sampling_table_seed\": 0}");
    bad(&drawn, IV, &["sampling_table_size and --hash iv contradict"]);
    bad(&drawn.replace("65536", "0"), TABLE, &["sampling_table_size"]);
    bad(SYNTHID, IV, &["context_history_size is missing"]);
    bad(&GOOGLE.replace('}', ", \"num_leaves\": 1}"), IV, &["num_leaves"]);
    bad(&GOOGLE.replace('}', ", \"temperature\": 0}"), IV, &["temperature"]);
    assert_eq!(
        read(Tool::SynthId, &drawn, TABLE).unwrap().spec,
        spec(&format!("{table}depth = 3"))
    );
}

#[test]
fn lm_watermarking() {
    let table = |prf, width, salt, more: &str| {
        spec(&format!(
            "scheme = \"lm-watermarking\"\nprf_type = \"{prf}\"\ncontext_width = {width}\nself_salt = {salt}\n{more}"
        ))
    };
    let usual = "gamma = 0.25\ndelta = 2.0\nselect_green_tokens = true";
    for (name, prf, width, salt) in [
        ("simple_1", "additive_prf", 1, false),
        ("lefthash", "additive_prf", 1, false),
        ("selfhash", "anchored_minhash_prf", 4, true),
        ("algorithm-3", "anchored_minhash_prf", 4, true),
        ("minhash", "minhash_prf", 4, false),
        ("skipgram", "skipgram_prf", 5, false),
        ("ff-additive_prf-4-False-15485863", "additive_prf", 4, false),
        ("ff-anchored_minhash_prf-4-True", "anchored_minhash_prf", 4, true),
    ] {
        let text = format!("{{'seeding_scheme': '{name}', 'gamma': 0.25, 'delta': 2.0}}");
        let found = read(Tool::LmWatermarking, &text, CPU).unwrap();
        assert_eq!(found.spec, table(prf, width, salt, usual), "{name}");
        assert!(has_key(&found, &[15_485_863]));
        assert_eq!(found.notes, []);
        assert_eq!(found.vocabulary, VocabularySize::Tokenizer);
    }
    let text = "{'seeding_scheme': 'simple_1', 'hash_key': 42, 'gamma': .5, 'delta': 1.5, 'select_green_tokens': False,\n 'vocab': (0, 1, 2), 'normalizers': [], 'z_threshold': 4, 'ignore_repeated_bigrams': True} # the old one";
    let found = read(Tool::LmWatermarking, text, CPU).unwrap();
    let more = "gamma = 0.5\ndelta = 1.5\nselect_green_tokens = false";
    assert_eq!(found.spec, table("additive_prf", 1, false, more));
    assert_eq!(found.vocabulary, VocabularySize::Given(3));
    assert_eq!(found.notes, ["z_threshold", "ignore_repeated_bigrams"].map(Note::NotKept));
    assert!(has_key(&found, &[42]));
    let negative = read(Tool::LmWatermarking, &text.replace("42", "-5"), CPU).unwrap();
    assert!(has_key(&negative, &[u64::MAX - 5]), "seeds are taken modulo 2^64 - 1");

    let bad = |text: &str, parts: &[&str]| refused(Tool::LmWatermarking, text, CPU, parts);
    bad("{'gamma': 0.25}", &["seeding_scheme is missing"]);
    bad("{'seeding_scheme': 'selfhash'}", &["gamma is missing"]);
    for name in [
        "ff-unknown_prf-4-True-987654321",
        "ff-additive_prf-0-True-987654321",
        "ff-additive_prf-4-Yes-987654321",
        "ff-additive_prf-4-True-98765432198765432198",
        "ff-additive_prf-4-True-0badc0deg",
        "ff-additive_prf-4-False--987654321",
        "ff-additive_prf",
        "987654321",
    ] {
        bad(
            &format!("{{'seeding_scheme': '{name}', 'gamma': 0.25}}"),
            &["seeding_scheme of lm-watermarking must be"],
        );
    }
    bad("{'seeding_scheme': 987654321, 'gamma': 0.25}", &["seeding_scheme"]);
    bad(
        "{'seeding_scheme': 'selfhash', 'hash_key': 987654321, 'gamma': 0.25}",
        &["hash_key and seeding_scheme contradict"],
    );
    bad(
        "{'seeding_scheme': 'ff-additive_prf-1-False-42', 'hash_key': 987654321, 'gamma': 0.25}",
        &["contradict"],
    );
    bad("{'seeding_scheme': 'selfhash', 'gamma': 0.25, 'tokenizer': 'x'}", &["\"tokenizer\""]);
    bad("{'seeding_scheme': 'selfhash', 'gamma': 0.25, 'vocab': {}}", &["vocab"]);
    bad("{'seeding_scheme': get('x'), 'gamma': 0.25}", &["a value is expected"]);
    bad("dict(gamma=0.25)", &["names and values"]);
}

#[test]
fn tgi() {
    for text in [
        "# the server\nMODEL_ID=org/name\nexport WATERMARK_GAMMA=0.25\nWATERMARK_DELTA=\"3\"\n",
        "{\"WATERMARK_GAMMA\": 0.25, \"WATERMARK_DELTA\": 3.0}",
        "WATERMARK_GAMMA: 0.25\nWATERMARK_DELTA: 3\n",
    ] {
        let found = read(Tool::Tgi, text, CPU).unwrap();
        let table = "scheme = \"lm-watermarking\"\nprf_type = \"additive_prf\"\ncontext_width = 1\nself_salt = false\ngamma = 0.25\ndelta = 3.0\nselect_green_tokens = true";
        assert_eq!((found.spec.clone(), found.vocabulary), (spec(table), VocabularySize::Logits));
        assert_eq!(found.notes, []);
        assert!(has_key(&found, &[15_485_863]));
    }
    let bad = |text: &str, parts: &[&str]| refused(Tool::Tgi, text, CPU, parts);
    bad("MODEL_ID=org/name\n", &["WATERMARK_GAMMA is missing"]);
    bad("WATERMARK_GAMMA=half\n", &["WATERMARK_GAMMA of tgi"]);
    bad("WATERMARK_GAMMA=1.5\n", &["WATERMARK_GAMMA of tgi"]);
    bad("WATERMARK_GAMMA=\"0.5\n", &["WATERMARK_GAMMA of tgi"]);
    bad("WATERMARK_GAMMA=0.5\nWATERMARK_GAMMA=0.5\n", &["twice"]);
    bad("WATERMARK_GAMMA=0.5\nWATERMARK_KEY=987654321\n", &["\"WATERMARK_KEY\""]);
    bad("", &["WATERMARK_GAMMA is missing"]);
}

#[test]
fn llama_cpp() {
    for text in ["654,400,836\n", "--synthid-keys 654, 400, 836", "--synthid-keys=\"654,400,836\""]
    {
        let found = read(Tool::LlamaCpp, text, LLAMA).unwrap();
        let expected = read(Tool::Transformers, SYNTHID, CPU).unwrap();
        assert_eq!((found.spec.clone(), found.repeats), (expected.spec, expected.repeats));
        assert_eq!(found.notes, [Note::Unreleased]);
        assert!(has_key(&found, &[654, 400, 836]));
    }
    let bad = |text: &str, options, parts: &[&str]| refused(Tool::LlamaCpp, text, options, parts);
    bad("654", CPU, &["--hash table|iv is needed"]);
    bad("654", TABLE, &["--ngram-len N is needed"]);
    for text in ["", "987654321,", "987654321;1", "0badc0deg", "[987654321]"] {
        bad(text, LLAMA, &["keys of llama-cpp"]);
    }
    bad("654", Options { ngram_len: Some(1), ..LLAMA }, &["ngram_len"]);
}

/// What came from a file goes back to a file and comes from it again, and the key to its last bit.
#[test]
fn exported_configurations_are_read_as_they_were() {
    let dual = r#"{"key": 18446744073709551615, "algorithm": "dual_key_gumbel", "alpha": 0.1, "context_width": 64,
        "deduplicate_contexts": "all", "deduplicate_contexts_max_history": 12}"#;
    let none =
        r#"{"key": 0, "deduplicate_contexts": "none", "deduplicate_contexts_max_history": null}"#;
    let two = r#"{"key": "ffffffffffffffff", "key_b": "1", "mixing_probability": 0.30000000000000004, "max_probability": 0.1}"#;
    let own = r#"{"hashing_key": 9007199254740993, "seeding_scheme": "selfhash", "context_width": 4, "bias": 0.1,
        "greenlist_ratio": 0.30000000000000004}"#;
    let keys = r#"{"keys": [-1, 9007199254740993, -9223372036854775808], "ngram_len": 4, "sampling_table_size": 1000,
        "sampling_table_seed": 9223372036854775807, "context_history_size": 7, "skip_first_ngram_calls": true}"#;
    let leaves = GOOGLE.replace('}', ", \"num_leaves\": 3}");
    let last = r#"{"seeding_scheme": "ff-minhash_prf-3-False-9007199254740993", "gamma": 0.1, "delta": 1.7, "select_green_tokens": false}"#;
    for (tool, text, options) in [
        (Tool::Vllm, VLLM, NONE),
        (Tool::Vllm, dual, NONE),
        (Tool::Vllm, none, NONE),
        (Tool::SgLang, SGLANG, NONE),
        (Tool::SgLang, two, NONE),
        (Tool::Transformers, LISTS, CPU),
        (Tool::Transformers, own, CPU),
        (Tool::Transformers, SYNTHID, CPU),
        (Tool::Transformers, keys, CPU),
        (Tool::SynthId, GOOGLE, IV),
        (Tool::SynthId, &leaves, IV),
        (Tool::LmWatermarking, LM, CPU),
        (Tool::LmWatermarking, last, CPU),
        (Tool::MarkLlm, MARKLLM, CPU),
        (Tool::MarkLlm, r#"{"algorithm_name": "EXP", "hash_key": 77}"#, NONE),
        (Tool::MarkLlm, r#"{"algorithm_name": "Unigram", "hash_key": 77, "gamma": 0.3}"#, NONE),
        (Tool::MarkLlm, r#"{"algorithm_name": "DIP", "key": 77, "alpha": 0.5}"#, CPU),
        (Tool::Tgi, "WATERMARK_GAMMA=0.3\nWATERMARK_DELTA=0.7\n", CPU),
        (Tool::LlamaCpp, "654,-1,836", LLAMA),
    ] {
        let first = read(tool, text, options).unwrap();
        let written = write(tool, &first.spec, first.repeats, &first.key).unwrap();
        let second = read(tool, &written.text, options)
            .unwrap_or_else(|error| panic!("{tool} {text}: {error}"));
        assert_eq!((&second.spec, second.repeats), (&first.spec, first.repeats), "{tool} {text}");
        assert!(bool::from(second.key.ct_eq(&first.key)), "{tool} {text}: the key changed");
        let again = write(tool, &second.spec, second.repeats, &second.key).unwrap();
        assert_eq!(*again.text, *written.text);
        if !matches!(tool, Tool::Tgi | Tool::LlamaCpp) {
            assert!(serde_json::from_str::<Json>(&written.text).unwrap().is_object());
        }
    }
}

#[test]
fn what_a_tool_cannot_make_is_not_written_for_it() {
    let found = read(Tool::Vllm, VLLM, NONE).unwrap();
    let error =
        |tool, found: &Imported, repeats| match write(tool, &found.spec, repeats, &found.key) {
            Err(error) => error,
            Ok(_) => panic!("{tool} takes {:?}", found.spec),
        };
    let other = error(Tool::SgLang, &found, found.repeats);
    assert!(matches!(other, ExportError::Scheme { .. }), "{other}");
    let own = Spec::usual("kgw").unwrap();
    let key = Key::generate().unwrap();
    assert!(write(Tool::Transformers, &own, Repeats::ScoreOnce, &key).is_err());
    assert!(matches!(
        write(Tool::Vllm, &found.spec, found.repeats, &numbers(&[1, 2])),
        Err(ExportError::Key { .. })
    ));
    let iv = read(Tool::SynthId, GOOGLE, IV).unwrap();
    let refused = error(Tool::Transformers, &iv, iv.repeats);
    assert!(matches!(refused, ExportError::Parameter { field: "hash", .. }), "{refused}");
    let refused = error(Tool::SynthId, &iv, Repeats::ScoreOnce);
    assert!(matches!(refused, ExportError::Repeats { .. }), "{refused}");
    let lm = read(Tool::LmWatermarking, LM, CPU).unwrap();
    let refused = error(Tool::Tgi, &lm, lm.repeats);
    assert!(matches!(refused, ExportError::Parameter { field: "prf_type", .. }), "{refused}");
    let secret = read(
        Tool::LmWatermarking,
        &LM.replace("anchored_minhash_prf-4-True", "additive_prf-1-False"),
        CPU,
    );
    let secret = secret.unwrap();
    let refused = error(Tool::Tgi, &secret, secret.repeats);
    assert!(matches!(refused, ExportError::Parameter { field: "the key", .. }), "{refused}");
}

/// The files of the package markllm 0.1.5, which its own classes read.
#[test]
fn markllm() {
    let found = read(Tool::MarkLlm, MARKLLM, CPU).unwrap();
    let wanted = r#"{"scheme": "markllm-kgw", "gamma": 0.5, "delta": 2.0, "prefix_length": 3, "f_scheme": "min", "window_scheme": "left"}"#;
    assert_eq!(found.spec, serde_json::from_str(wanted).unwrap());
    assert!(bool::from(found.key.ct_eq(&numbers(&[15_485_863]))) && found.notes.is_empty());
    assert!(!read(Tool::MarkLlm, MARKLLM, NONE).unwrap().notes.is_empty());
    let exp = r#"{"algorithm_name": "EXP", "prefix_length": 4, "hash_key": 15485863, "threshold": 1e-4, "sequence_length": 200, "top_k": 0}"#;
    let found = read(Tool::MarkLlm, exp, NONE).unwrap();
    assert_eq!(found.spec, Spec::usual("markllm-exp").unwrap());
    let bad = |text: &str, parts: &[&str]| refused(Tool::MarkLlm, text, CPU, parts);
    bad(&MARKLLM.replace("KGW", "UPV"), &["algorithm_name", "DIP"]);
    bad(&MARKLLM.replace("15485863", "-3"), &["hash_key"]);
    bad(&MARKLLM.replace("hash_key", "key"), &["hash_key"]);
    bad(&MARKLLM.replace("delta", "top_k"), &["top_k"]);
}

/// JSON in its odd forms is what a JSON library says it is, and Python's forms are what Python says.
#[test]
fn literals() {
    let text = |json: &str| format!("{{\"prf\": {json}, \"key\": 42}}");
    for json in [r#""philox""#, r#""phil\u006fx""#, r#""\u0070\u0068ilox""#, "\t\"philox\"\r\n"] {
        assert!(serde_json::from_str::<Json>(&text(json)).is_ok());
        read(Tool::Vllm, &text(json), NONE).unwrap();
    }
    for wrong in [
        r#""\ud83d""#,
        r#""\q""#,
        "\"a\nb\"",
        "'philox",
        "nul",
        "NaN",
        "0x",
        "01",
        "1__0",
        "+",
        "1.e",
        "{1, 2}",
        "b'philox'",
        "philox",
        "lambda: 0",
        "[1 2]",
        "(,)",
    ] {
        let said = fault(Tool::Vllm, &text(wrong), NONE).to_string();
        assert!(said.contains("line 1, column"), "{wrong}: {said}");
    }
    let pair = text(r#""\ud83d\ude00""#);
    refused(Tool::Vllm, &pair, NONE, &["prf of vllm must be \"philox\""]);
    for python in [
        "{'key': 0x2A}",
        "{'key': 4_2}",
        "{'key': (42)}",
        "{\"key\": +42}",
        "\u{feff}{'key': 42}",
        "# mine\n\n{'key': 42}",
    ] {
        assert!(has_key(&read(Tool::Vllm, python, NONE).unwrap(), &[42]), "{python}");
    }
    refused(Tool::Vllm, "{'key': (42,)}", NONE, &["key of vllm"]);
    refused(Tool::Vllm, &text(&"[".repeat(100_000)), NONE, &["nested more than 32"]);
    let many: String = (0..5000).map(|at| format!("\"f{at}\": 0,")).collect();
    refused(Tool::Vllm, &format!("{{{many}}}"), NONE, &["4096"]);
    refused(Tool::Vllm, &"x".repeat(MOST_BYTES + 1), NONE, &["bytes are too many"]);
}

#[test]
fn yaml() {
    for good in [
        "key: 42",
        "---\nkey: 42\n...\n",
        "key: !!int 42",
        "key:\n  42\n",
        "\"key\": 42\nalgorithm: 'gumbel'\n",
        "key: 42\nprf: philox # a comment\n",
    ] {
        let found = read(Tool::Vllm, good, NONE);
        // Tags change what a value is, so none is read.
        assert_eq!(found.is_ok(), !good.contains('!'), "{good}");
    }
    let bad = |text: &str, parts: &[&str]| refused(Tool::Vllm, text, NONE, parts);
    bad("key: 0987654321", &["leading zero"]);
    bad("key: &a 987654321\nalpha: *a\n", &["line 1", "anchors and aliases"]);
    bad("key: 987654321\nkey: 987654321\n", &["twice"]);
    bad("key: 1\n---\nkey: 987654321\n", &["second document"]);
    bad("key: !!python/object/apply:os.system ['987654321']\n", &["tags"]);
    bad("key: [987654321\n", &["not YAML"]);
    bad("key: 1\n\tcolour: 987654321\n", &["not YAML"]);
    bad("? [987654321]\n: 1\n", &["a name is expected"]);
    bad(&format!("key: {}", "[".repeat(100_000)), &["not YAML: line 1"]);
    bad(&format!("key: {}{}", "[".repeat(40), "]".repeat(40)), &["nested more than 32"]);
    bad(
        &format!(
            "key:\n{}",
            (1..60).map(|deep| format!("{}a:\n", " ".repeat(deep))).collect::<String>()
        ),
        &["nested more than 32"],
    );
    // Nine lists of nine of the one before: ten lines for a thousand million values.
    let mut bomb = "a: &a [987654321]\n".to_owned();
    for (name, before) in ('b'..='j').zip('a'..) {
        let nine = vec![format!("*{before}"); 9].join(", ");
        bomb.push_str(&format!("{name}: &{name} [{nine}]\n"));
    }
    bad(&bomb, &["line 1", "anchors and aliases"]);
}
