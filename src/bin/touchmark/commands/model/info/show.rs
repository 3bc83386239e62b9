//! The text of `touchmark model info`.

use std::io::Write;

use super::{Info, Rope, Shape, Token};
use crate::machine::size;
use crate::output;

impl Info {
    pub(super) fn show(&self) -> anyhow::Result<()> {
        let mut lines = vec![("model", self.model.clone()), ("from", self.from())];
        lines.extend(self.shape.iter().flat_map(Shape::lines));
        if let Some(weights) = &self.weights {
            let formats = weights.formats.iter().map(|(name, format)| {
                format!("{name} {} in {} tensors", size(format.bytes), format.tensors)
            });
            lines.push(("weights", formats.collect::<Vec<_>>().join(", ")));
        }
        lines.push(("runs on", format!("{}, weights {}", self.device, self.dtype())));
        if let Some(needed) = &self.memory {
            let memory = format!(
                "{} for weights; {} for 1,000 tokens, {} for a whole window; {} available",
                size(needed.weights),
                size(needed.cache_per_1000_tokens),
                size(needed.cache_of_whole_window),
                size(needed.available)
            );
            lines.push(("memory", memory));
        }
        if let Some(tokenizer) = &self.tokenizer {
            let special = tokenizer.special.len();
            lines.push(("tokenizer", format!("{} tokens, {special} special", tokenizer.tokens)));
            lines.push(("", format!("BLAKE3 {}", tokenizer.blake3)));
        }
        let ends: Vec<String> = self.end_tokens.iter().map(Token::line).collect();
        lines.push(("ends with", if ends.is_empty() { "none".into() } else { ends.join(", ") }));
        lines.push((
            "chat",
            if self.chat_template { "has a template" } else { "no template" }.into(),
        ));
        let mut out = anstream::stdout();
        for (name, value) in lines {
            writeln!(out, "{name:<11} {value}")?;
        }
        self.show_files(&mut out)?;
        for problem in &self.problems {
            output::warn(&format!("{}: {}", problem.part.replace('_', " "), problem.problem));
        }
        self.warnings.iter().for_each(|warning| output::warn(warning));
        Ok(())
    }

    fn show_files(&self, out: &mut impl Write) -> anyhow::Result<()> {
        for (at, file) in self.files.iter().enumerate() {
            let head = if at == 0 { "files" } else { "" };
            let hash = file.sha256.as_ref().map_or_else(String::new, |hash| format!("  {hash}"));
            writeln!(out, "{head:<11} {:>8}  {}{hash}", size(file.bytes), file.name)?;
        }
        Ok(())
    }

    fn from(&self) -> String {
        match (&self.commit, &self.path) {
            (Some(commit), Some(path)) => format!("hub, commit {commit}, in {}", path.display()),
            (None, Some(path)) => path.display().to_string(),
            (_, None) => "this program".to_owned(),
        }
    }

    fn dtype(&self) -> &str {
        if self.dtype == "auto" { "as in the files" } else { &self.dtype }
    }
}

impl Token {
    fn line(&self) -> String {
        self.text
            .as_ref()
            .map_or_else(|| self.id.to_string(), |text| format!("{text} ({})", self.id))
    }
}

impl Shape {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let tied = if self.tied_embeddings { ", tied embeddings" } else { "" };
        let mut lines = vec![
            ("family", format!("{}, {} parameters{tied}", self.family, count(self.parameters))),
            (
                "shape",
                format!(
                    "{} layers, hidden {}, inner {}, {} heads of {}, {} key-value heads",
                    self.layers,
                    self.hidden_size,
                    self.intermediate_size,
                    self.heads,
                    self.head_dim,
                    self.kv_heads
                ),
            ),
            ("vocabulary", format!("{} tokens", self.vocab_size)),
            ("window", format!("{} tokens", self.window)),
        ];
        for attention in &self.attention {
            if let Some(window) = attention.window {
                lines.push(("", format!("{} layers see {window} tokens back", attention.layers)));
            }
        }
        lines.push(("rope", self.rope.iter().map(Rope::line).collect::<Vec<_>>().join("; ")));
        lines
    }
}

impl Rope {
    fn line(&self) -> String {
        let factor = self.factor.map_or_else(String::new, |factor| format!(" by {factor}"));
        let scaling = match self.scaling {
            "none" => String::new(),
            scaling => format!(", stretched ({scaling}{factor})"),
        };
        format!("base {}, {} dimensions{scaling}", self.theta, self.dims)
    }
}

/// A large number for people.
fn count(number: u64) -> String {
    match number {
        0..1_000_000 => number.to_string(),
        1_000_000..1_000_000_000 => format!("{:.1} M", number as f64 / 1e6),
        _ => format!("{:.2} G", number as f64 / 1e9),
    }
}
