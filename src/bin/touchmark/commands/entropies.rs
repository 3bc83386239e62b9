//! A model's entropies of a text, for schemes that are gated by them.

use std::path::Path;

use touchmark::lm::{Chunk, Want};
use touchmark::sampling::entropy;
use touchmark::tokenizer::HfTokenizer;
use touchmark::tokens::TokenId;

use crate::args::{self, Global};
use crate::models::{self, Loading, Model, Reach};

/// A model that reads.
pub struct Entropies {
    model: Model,
}

impl Entropies {
    /// The model of a name.
    pub fn of(global: &Global, model: &Path, args: &args::Loading) -> anyhow::Result<Self> {
        let place = models::locate(global, Some(model), args.revision.as_deref(), Reach::Fetch)?;
        let loading =
            Loading { device: args.device, dtype: args.dtype.into(), ..Loading::default() };
        Ok(Self { model: models::load(global, &place, loading)? })
    }

    pub fn tokenizer(&self) -> &HfTokenizer {
        &self.model.tokenizer
    }

    /// Entropy in nats of the distribution that each token was chosen from, given the text before it: the first token's
    /// is 0, and a text beyond the model's window is read window by window, each beginning with the second half of the
    /// one before.
    pub fn of_text(&mut self, ids: &[TokenId]) -> anyhow::Result<Vec<f64>> {
        let mut entropies = vec![0.0; ids.len()];
        let window = self.model.lm.max_positions();
        let mut start = 0;
        while start + 1 < ids.len() {
            let end = ids.len().min(start + window);
            let known = if start == 0 { 0 } else { window / 2 };
            self.window(&ids[start..end], known, &mut entropies[start..])?;
            start = if end == ids.len() { end } else { end - window / 2 };
        }
        Ok(entropies)
    }

    /// Entropies of the tokens after the first `known` of a window.
    fn window(
        &mut self,
        ids: &[TokenId],
        known: usize,
        entropies: &mut [f64],
    ) -> anyhow::Result<()> {
        let lm = self.model.lm.as_mut();
        let seq = lm.open()?;
        let work = [Chunk { seq, ids: &ids[..ids.len() - 1], want: Want::All }];
        let result = lm.step(&work, &mut |_: usize, position: usize, logits: &[f32]| {
            if position + 1 >= known {
                entropies[position + 1] = entropy(logits);
            }
        });
        lm.close(seq);
        Ok(result?)
    }
}
