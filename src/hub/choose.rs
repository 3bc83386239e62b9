//! Which files of a repository are needed to run its model.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::id::{check_file_name, is_gguf};
use super::listing::Entry;
use super::{HubError, ModelId, Revision};

const CONFIG: &str = "config.json";
const SMALL: &[&str] = &[
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PICKLES: &[&str] = &["bin", "pth", "pt", "ckpt", "pkl", "pickle"];

/// Where the weights are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Weights<'a> {
    /// One file.
    File(&'a Entry),
    /// The index with this name says.
    Sharded(&'a str),
}

/// What to fetch: the small files first, an index among them.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    pub small: Vec<&'a Entry>,
    pub weights: Weights<'a>,
}

/// Chooses as `transformers` does: one safetensors file, else an index with shards; else the one GGUF file, which holds
/// configuration and tokenizer itself.
pub(super) fn choose<'a>(
    id: &ModelId,
    revision: &Revision,
    entries: &'a [Entry],
) -> Result<Choice<'a>, HubError> {
    let find = |name: &str| entries.iter().find(|entry| entry.name == name);
    let no_file = |file: &str| HubError::NoFile {
        id: id.clone(),
        revision: revision.to_string(),
        file: file.to_owned(),
    };
    if let Some(file) = id.file() {
        let entry = find(file).ok_or_else(|| no_file(file))?;
        return Ok(Choice { small: Vec::new(), weights: Weights::File(entry) });
    }
    let weights = match (find(WEIGHTS), find(INDEX)) {
        (Some(weights), _) => Weights::File(weights),
        (None, Some(index)) => Weights::Sharded(&index.name),
        (None, None) => {
            let weights = Weights::File(the_gguf(id, entries)?);
            return Ok(Choice { small: Vec::new(), weights });
        }
    };
    find(CONFIG).ok_or_else(|| no_file(CONFIG))?;
    let mut small: Vec<_> = SMALL.iter().filter_map(|name| find(name)).collect();
    if let Weights::Sharded(index) = weights {
        small.extend(find(index));
    }
    Ok(Choice { small, weights })
}

fn the_gguf<'a>(id: &ModelId, entries: &'a [Entry]) -> Result<&'a Entry, HubError> {
    let found: Vec<&Entry> = entries.iter().filter(|entry| is_gguf(&entry.name)).collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(no_weights(id, entries)),
        _ => Err(HubError::ManyGguf {
            id: id.clone(),
            files: found.iter().map(|entry| (entry.name.clone(), entry.size)).collect(),
        }),
    }
}

fn no_weights(id: &ModelId, entries: &[Entry]) -> HubError {
    let is_pickle = |name: &str| {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        ending.is_some_and(|ending| PICKLES.contains(&ending.as_str()))
    };
    let files: Vec<String> =
        entries.iter().map(|entry| entry.name.clone()).filter(|name| is_pickle(name)).collect();
    if files.is_empty() {
        HubError::NoWeights { id: id.clone() }
    } else {
        HubError::PickleOnly { id: id.clone(), files }
    }
}

/// The shards that an index names, each once, in the order of their names.
pub(super) fn shards(index: &[u8]) -> Result<Vec<String>, HubError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::HashMap<String, String>,
    }
    let index: Index = serde_json::from_slice(index)
        .map_err(|error| HubError::Answer { what: format!("{INDEX} is not an index: {error}") })?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    for name in &names {
        if let Err(why) = check_file_name(name) {
            return Err(HubError::HostileName { name: name.clone(), why });
        }
        if !name.ends_with(".safetensors") {
            return Err(HubError::Answer {
                what: format!("{INDEX} names {name}, which is not a safetensors file"),
            });
        }
    }
    if names.is_empty() {
        return Err(HubError::Answer { what: format!("{INDEX} names no shard") });
    }
    Ok(names.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        let entry = |name: &&str| Entry { name: (*name).into(), size: Some(3), digest: None };
        names.iter().map(entry).collect()
    }

    fn chosen(id: &str, names: &[&str]) -> Result<Vec<String>, HubError> {
        let entries = entries(names);
        let choice = choose(&id.parse().unwrap(), &Revision::default(), &entries)?;
        let mut found: Vec<String> = choice.small.iter().map(|entry| entry.name.clone()).collect();
        if let Weights::File(entry) = choice.weights {
            found.push(entry.name.clone());
        }
        Ok(found)
    }

    #[test]
    fn only_what_runs_the_model_is_chosen() {
        let all = [
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "model.safetensors",
            "onnx/model.onnx",
            "pytorch_model.bin",
            "tokenizer.json",
            "tokenizer.model",
            "x-q4.gguf",
            "x-q8.gguf",
            "model.safetensors.index.json",
            "sub/config.json",
        ];
        assert_eq!(
            chosen("a/b", &all).unwrap(),
            ["config.json", "tokenizer.json", "model.safetensors"]
        );
        assert_eq!(chosen("a/b:x-q8.gguf", &all).unwrap(), ["x-q8.gguf"]);
        assert_eq!(chosen("a/b", &["config.json", "x.GGUF", "README.md"]).unwrap(), ["x.GGUF"]);
        let sharded = ["config.json", INDEX, "model-00001-of-00001.safetensors"];
        assert_eq!(chosen("a/b", &sharded).unwrap(), ["config.json", INDEX]);
    }

    #[test]
    fn what_cannot_be_chosen_is_named() {
        let error = |id, names: &[&str]| chosen(id, names).unwrap_err();
        let pickles =
            ["config.json", "pytorch_model-00001-of-00002.bin", "old/consolidated.00.pth"];
        assert!(
            matches!(error("a/b", &pickles), HubError::PickleOnly { files, .. } if files.len() == 2)
        );
        assert!(matches!(error("a/b", &["model.h5"]), HubError::NoWeights { .. }));
        assert!(matches!(error("a/b", &["model.safetensors"]), HubError::NoFile { .. }));
        assert!(matches!(error("a/b:z.gguf", &["x.gguf"]), HubError::NoFile { .. }));
        let many = error("a/b", &["x-q4.gguf", "x-q8.gguf"]).to_string();
        assert!(many.contains("a/b:x-q4.gguf") && many.contains("x-q8.gguf  0.00 GB"), "{many}");
    }

    #[test]
    fn an_index_names_shards_and_nothing_else() {
        let index = br#"{"weight_map": {"a": "m-2.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}}"#;
        assert_eq!(shards(index).unwrap(), ["m-1.safetensors", "m-2.safetensors"]);
        for bad in [
            r#"{"weight_map": {"a": "../../x.safetensors"}}"#,
            r#"{"weight_map": {"a": "/x.safetensors"}}"#,
            r#"{"weight_map": {"a": "pytorch_model.bin"}}"#,
            r#"{"weight_map": {}}"#,
            "[]",
        ] {
            assert!(shards(bad.as_bytes()).is_err(), "{bad} was accepted");
        }
    }
}
