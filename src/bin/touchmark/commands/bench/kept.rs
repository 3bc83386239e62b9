//! The folder of a run: texts that were written before are not written again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::ProgressBar;
use serde_json::json;
use touchmark::bench::{BenchError, Condition, Keep, MadeWith, Plan};
use touchmark::tokens::TokenId;

use crate::args::Global;
use crate::output;
use crate::whole_file;

/// Texts by condition, each in a file that is named after all that they depend on.
pub struct Folder {
    path: PathBuf,
    /// What texts depend on beside their condition.
    common: serde_json::Value,
    count: usize,
    hidden: bool,
    bar: Option<ProgressBar>,
}

impl Folder {
    pub fn open(
        global: &Global,
        path: &Path,
        plan: &Plan,
        made_with: &MadeWith,
    ) -> anyhow::Result<Self> {
        let path = path.join("texts");
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let mut common = json!({
            "form": 1, "seed": plan.seed, "texts": plan.texts, "prompt_tokens": plan.prompt_tokens, "tokens": plan.longest(),
            "model": made_with.model.blake3, "tokenizer": made_with.tokenizer, "human": made_with.human,
            "human_field": plan.human_field,
        });
        if let Some(prompts) = &plan.prompts {
            common["prompts"] = json!([made_with.prompts, prompts.field, prompts.chat]);
        }
        let hidden = global.no_progress || global.quiet;
        Ok(Self { path, common, count: plan.texts, hidden, bar: None })
    }

    fn file(&self, condition: &Condition<'_>) -> PathBuf {
        let all = json!([self.common, condition.scheme, condition.sampling]);
        let hash = blake3::hash(all.to_string().as_bytes()).to_hex();
        self.path.join(format!("{}.jsonl", &hash[..16]))
    }

    pub fn done(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Keep for Folder {
    fn kept(&mut self, condition: &Condition<'_>) -> Result<Option<Vec<Vec<TokenId>>>, BenchError> {
        let path = self.file(condition);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, &error)),
        };
        let texts: Result<Vec<Vec<TokenId>>, _> = text.lines().map(serde_json::from_str).collect();
        let texts = texts.map_err(|error| failed(&path, &error))?;
        if texts.len() != self.count {
            return Err(failed(&path, &format!("{} texts instead of {}", texts.len(), self.count)));
        }
        Ok(Some(texts))
    }

    fn keep(
        &mut self,
        condition: &Condition<'_>,
        texts: &[Vec<TokenId>],
    ) -> Result<(), BenchError> {
        let path = self.file(condition);
        let lines: String = texts.iter().map(|text| format!("{}\n", json!(text))).collect();
        whole_file::write(&path, lines.as_bytes())
            .map_err(|error| failed(&path, &format!("{error:#}")))
    }

    fn begins(&mut self, what: &str, steps: usize) {
        self.done();
        // Without a bar nobody sees how it goes; the run is the same.
        self.bar = output::progress(self.hidden, Some(steps as u64), "steps").ok();
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
        output::note(self.hidden, what);
    }

    fn stepped(&mut self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> BenchError {
    BenchError::Kept {
        message: format!("{}: {error}; delete it to write those texts again", path.display()),
    }
}
