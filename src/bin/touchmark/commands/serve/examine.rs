//! The server's detector: the reader of `touchmark detect`, one text at a time.

use touchmark::corpus::{Content, Document};
use touchmark::serve::detection::{Examine, ExamineError, Finding, ProfileInfo, Question};
use touchmark::tokens::TokenizeError;

use crate::commands::detect::{Examined, Reader};
use crate::output;

/// What rows name as their source.
const SOURCE: &str = "request";

impl Examine for Reader {
    fn examine(&self, question: &Question) -> Result<Finding, ExamineError> {
        let document = Document {
            id: question.id.clone(),
            source: SOURCE.to_owned(),
            offset: 0,
            content: Content::Text(question.text.clone()),
            prompt: question.prompt.clone(),
            line: None,
        };
        let explain = question.explain.then_some(usize::MAX);
        let examined = self.examine_if(&document, question.min_tokens, explain).map_err(refusal)?;
        let Examined { tokens, rows, shown } = examined;
        Ok(Finding { tokens, rows, shown })
    }

    fn profiles(&self) -> Vec<ProfileInfo> {
        Self::profiles(self).map(ProfileInfo::of).collect()
    }

    fn threshold_log10_p(&self) -> f64 {
        self.marks().next().map_or(0.0, |mark| mark.detector.threshold_log10_p())
    }
}

/// Causes below a tokenizer's own words may repeat the text, so they are not told.
fn refusal(error: anyhow::Error) -> ExamineError {
    match error.downcast_ref::<TokenizeError>() {
        Some(refused) => ExamineError::Refused(refused.to_string()),
        None => ExamineError::Failed(output::causes(&error)),
    }
}
