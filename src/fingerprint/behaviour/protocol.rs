//! How a model is asked, and whether a suspect was asked in the same way.

use serde::{Deserialize, Serialize};

use crate::lm::{ChatMessage, Prompt, Request};

/// How a model is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Whether prompts are texts to continue, or turns of a conversation.
    pub form: Form,
    /// What the conversation begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Sampling temperature.
    pub temperature: f64,
    /// Nucleus.
    pub top_p: f64,
}

/// Which route prompts take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Texts to continue.
    Text,
    /// The user's turn of a conversation.
    Chat,
}

impl Form {
    /// Log-probabilities that OpenAI's API tells at each place, at most.
    pub fn most_logprobs(self) -> u8 {
        match self {
            Self::Text => 5,
            Self::Chat => 20,
        }
    }
}

impl Protocol {
    /// Everything is sampled as the model has it.
    pub fn plain(form: Form) -> Self {
        Self { form, system: None, temperature: 1.0, top_p: 1.0 }
    }

    /// The request that a prompt becomes.
    pub fn request(&self, prompt: &str, max_tokens: u32, top_logprobs: Option<u8>) -> Request {
        let turn = |role: &str, content: &str| ChatMessage {
            role: role.to_owned(),
            content: content.to_owned(),
        };
        let prompt = match self.form {
            Form::Text => Prompt::Text(prompt.to_owned()),
            Form::Chat => {
                let system = self.system.iter().map(|text| turn("system", text));
                Prompt::Messages(system.chain([turn("user", prompt)]).collect())
            }
        };
        let Self { temperature, top_p, .. } = *self;
        Request { prompt, max_tokens, temperature, top_p, seed: None, top_logprobs }
    }

    /// In words, for reports.
    pub fn words(&self) -> String {
        let form = match self.form {
            Form::Text => "text",
            Form::Chat => "chat",
        };
        let system = if self.system.is_some() { ", with a system prompt" } else { "" };
        format!("{form}, temperature {}, top-p {}{system}", self.temperature, self.top_p)
    }
}

/// What is known of whether a suspect reads prompts as the reference did.
///
/// Both count the tokens of each prompt with everything that a template or a hidden system prompt puts around it. A constant
/// difference is such a text; one that grows with the prompt is another tokenizer, and so another model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptCounts {
    unknown: u64,
    differences: Vec<i64>,
}

/// What the counts say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// All are equal.
    Same,
    /// The suspect or the reference gave none.
    Unknown,
    /// They differ by about as much for every prompt.
    Offset(i64),
    /// They differ by more for some prompts than for others.
    Otherwise,
}

impl PromptCounts {
    /// Takes the counts of one prompt.
    pub fn push(&mut self, reference: Option<u64>, suspect: Option<u64>) {
        match (reference, suspect) {
            (Some(reference), Some(suspect)) => {
                self.differences.push(suspect.cast_signed() - reference.cast_signed());
            }
            _ => self.unknown += 1,
        }
    }

    /// What they say.
    pub fn verdict(&self) -> Counted {
        let (Some(&least), Some(&most)) =
            (self.differences.iter().min(), self.differences.iter().max())
        else {
            return Counted::Unknown;
        };
        match (least, most) {
            (0, 0) => Counted::Same,
            // Words may merge with what stands before them, hence 1.
            _ if most - least <= 1 => {
                Counted::Offset(if least.abs() > most.abs() { least } else { most })
            }
            _ => Counted::Otherwise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_text_is_told_from_another_tokenizer() {
        let counted = |suspect: &[Option<u64>]| {
            let mut counts = PromptCounts::default();
            for (reference, suspect) in [3, 7, 12].into_iter().zip(suspect) {
                counts.push(Some(reference), *suspect);
            }
            counts.verdict()
        };
        assert_eq!(counted(&[Some(3), Some(7), Some(12)]), Counted::Same);
        assert_eq!(counted(&[Some(3), None, Some(12)]), Counted::Same);
        assert_eq!(counted(&[None; 3]), Counted::Unknown);
        assert_eq!(counted(&[Some(13), Some(17), Some(22)]), Counted::Offset(10));
        assert_eq!(counted(&[Some(2), Some(6), Some(11)]), Counted::Offset(-1));
        assert_eq!(counted(&[Some(3), Some(9), Some(17)]), Counted::Otherwise);
    }

    #[test]
    fn a_system_prompt_goes_first() {
        let mut protocol = Protocol::plain(Form::Chat);
        protocol.system = Some("be brief".to_owned());
        let Prompt::Messages(turns) = protocol.request("hello", 1, None).prompt else {
            panic!("not a conversation")
        };
        let roles: Vec<_> = turns.iter().map(|turn| turn.role.as_str()).collect();
        assert_eq!(roles, ["system", "user"]);
    }
}
