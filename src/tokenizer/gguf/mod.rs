//! The tokenizer that a GGUF file carries, made into the `tokenizer.json` of the same vocabulary.
//!
//! A GGUF file has the tokens, their types, and merges (`gpt2`: byte-level BPE) or scores (`llama`: SentencePiece BPE).
//! It names how text is cut into words instead of saying it, and says nothing of normalisation; [`words`] fills that in
//! for the names it knows and refuses the others. The keys: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod form;
mod merges;
mod words;

use std::collections::HashSet;

use crate::gguf::{Gguf, Value};
use crate::tokens::TokenId;

use super::{HfTokenizer, TokenizerError};
use form::{Added, File, Model, Step, Vocab};

/// The names of the known ways to cut words.
pub(super) fn known_words() -> String {
    words::names()
}

/// What a GGUF file says about text.
pub struct GgufTokenizer {
    /// The tokenizer.
    pub tokenizer: HfTokenizer,
    /// The bytes of its `tokenizer.json`, whose hash the tokenizer has. They depend on the vocabulary alone: the same
    /// for every quantisation of a model, but not the bytes of the file that the model's authors publish.
    pub file: Vec<u8>,
    /// The chat template, for [`ChatTemplate::new`](super::ChatTemplate::new).
    pub chat_template: Option<String>,
    /// Beginning of text.
    pub bos: Option<SpecialToken>,
    /// End of text.
    pub eos: Option<SpecialToken>,
    /// Whether a text that is no chat begins with [`bos`](Self::bos).
    pub add_bos: bool,
    /// Tokens that end an answer, in ascending order.
    pub end_ids: Vec<TokenId>,
}

/// A token with a meaning of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialToken {
    /// Its id.
    pub id: TokenId,
    /// Its text.
    pub text: String,
}

/// What a token is for (llama.cpp's `llama_token_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

struct Token {
    text: String,
    kind: Kind,
}

/// Control tokens by which families end a turn or a text; files often name one of several.
const END_TEXTS: [&str; 7] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
];

impl GgufTokenizer {
    /// The tokenizer in the metadata of a file.
    ///
    /// # Errors
    /// [`TokenizerError`]: a kind of tokenizer or a rule for words that is not known, or a vocabulary that contradicts
    /// itself.
    pub fn new(gguf: &Gguf) -> Result<Self, TokenizerError> {
        let tokens = tokens(gguf)?;
        check_unique(&tokens)?;
        let json = match gguf.require("tokenizer.ggml.model")? {
            "gpt2" => byte_level(gguf, &tokens)?,
            "llama" => sentence_piece(gguf, &tokens)?,
            other => return Err(TokenizerError::GgufModel { found: other.to_owned() }),
        };
        let tokenizer = HfTokenizer::from_bytes(&json)?;
        let special = |key| special(gguf, &tokens, key);
        let (bos, eos) =
            (special("tokenizer.ggml.bos_token_id")?, special("tokenizer.ggml.eos_token_id")?);
        let ends = [
            eos.clone(),
            special("tokenizer.ggml.eot_token_id")?,
            special("tokenizer.ggml.eom_token_id")?,
        ];
        Ok(Self {
            tokenizer,
            file: json,
            chat_template: gguf.get::<&str>("tokenizer.chat_template")?.map(str::to_owned),
            add_bos: bos.is_some() && add_bos(gguf)?,
            bos,
            eos,
            end_ids: end_ids(&tokens, ends.into_iter().flatten()),
        })
    }
}

/// The tokens of the file, without the unused ones at the end that only fill up the model's matrices.
fn tokens(gguf: &Gguf) -> Result<Vec<Token>, TokenizerError> {
    let texts: &[String] = gguf.require("tokenizer.ggml.tokens")?;
    let kinds = match gguf.get::<Vec<u32>>("tokenizer.ggml.token_type")? {
        Some(kinds) => kinds,
        None => vec![1; texts.len()],
    };
    same_len("tokenizer.ggml.token_type", kinds.len(), texts.len())?;
    let mut tokens = Vec::with_capacity(texts.len());
    for (id, (text, &kind)) in texts.iter().zip(&kinds).enumerate() {
        let kind = match kind {
            1 => Kind::Normal,
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte,
            kind => return Err(TokenizerError::GgufTokenType { id, kind }),
        };
        // An id without a text still counts.
        let text = if text.is_empty() { format!("[EMPTY_{id}]") } else { text.clone() };
        tokens.push(Token { text, kind });
    }
    let used = tokens.iter().rposition(|token| token.kind != Kind::Unused).map_or(0, |at| at + 1);
    tokens.truncate(used);
    if tokens.is_empty() {
        return Err(TokenizerError::GgufLength {
            key: "tokenizer.ggml.tokens",
            found: 0,
            expected: 1,
        });
    }
    Ok(tokens)
}

fn same_len(key: &'static str, found: usize, expected: usize) -> Result<(), TokenizerError> {
    if found == expected {
        Ok(())
    } else {
        Err(TokenizerError::GgufLength { key, found, expected })
    }
}

/// Byte-level BPE.
fn byte_level(gguf: &Gguf, tokens: &[Token]) -> Result<Vec<u8>, TokenizerError> {
    let name: &str = gguf.require("tokenizer.ggml.pre")?;
    let words =
        words::of(name).ok_or_else(|| TokenizerError::GgufWords { found: name.to_owned() })?;
    let added = added(tokens, |_| false);
    // As the makers of such vocabularies have it: added tokens at the end are no tokens of the BPE model.
    let kept = tokens.iter().rposition(|token| !token.kind.is_added()).map_or(0, |at| at + 1);
    let vocab: Vec<&str> = tokens.iter().take(kept).map(|token| token.text.as_str()).collect();
    let merges = merges::of_list(gguf.require("tokenizer.ggml.merges")?, &vocab)?;
    let model = Model::new(Vocab(vocab), merges).ignore_merges(words.ignore_merges);
    let normalizer = words.nfc.then_some(Step::NFC);
    let cuts = Step::Sequence { steps: words.steps() };
    File::new(added, model, normalizer, Some(cuts), Step::BYTE_LEVEL).bytes()
}

/// SentencePiece BPE: spaces are `▁`, and a character that is no token becomes its bytes.
fn sentence_piece(gguf: &Gguf, tokens: &[Token]) -> Result<Vec<u8>, TokenizerError> {
    for key in ["tokenizer.ggml.remove_extra_whitespaces", "tokenizer.ggml.precompiled_charsmap"] {
        let set = gguf.metadata.get(key).is_some_and(|value| *value != Value::Bool(false));
        if set {
            return Err(TokenizerError::GgufNormaliser { key });
        }
    }
    let mut scores: Vec<f32> = gguf.require("tokenizer.ggml.scores")?;
    let all: &[String] = gguf.require("tokenizer.ggml.tokens")?;
    same_len("tokenizer.ggml.scores", scores.len(), all.len())?;
    scores.truncate(tokens.len());
    let merges = merges::of_scores(tokens, &scores)?;
    // Added tokens are looked for in the text itself, where a space is a space.
    let texts: Vec<String> = tokens.iter().map(Token::found_as).collect();
    let unknown = tokens.iter().find(|token| token.kind == Kind::Unknown);
    let strips = gguf.get::<&str>("general.architecture")? == Some("phi3");
    let added = added(tokens, |text| {
        // Of all the families these tokens alone swallow the spaces after them, and a file does not say so.
        strips && !["<unk>", "<s>", "<|endoftext|>"].contains(&text)
    });
    let model = Model::new(Vocab(texts.iter().map(String::as_str).collect()), merges)
        .byte_fallback(unknown.map(|token| token.text.as_str()));
    let prefix = gguf.get::<bool>("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let normalizer = Some(form::spaces_to_marks(prefix));
    File::new(added, model, normalizer, None, form::marks_to_spaces(prefix)).bytes()
}

impl Kind {
    /// Whether the token is looked for in the text before the model sees it.
    fn is_added(self) -> bool {
        matches!(self, Self::Control | Self::UserDefined | Self::Unknown)
    }
}

impl Token {
    fn found_as(&self) -> String {
        match self.kind {
            Kind::UserDefined => self.text.replace('▁', " "),
            _ => self.text.clone(),
        }
    }
}

fn added(tokens: &[Token], rstrip: impl Fn(&str) -> bool) -> Vec<Added> {
    let added = tokens.iter().enumerate().filter(|(_, token)| token.kind.is_added());
    added
        .map(|(id, token)| {
            let special = token.kind != Kind::UserDefined;
            let rstrip = special && rstrip(&token.text);
            Added::new(id as TokenId, token.found_as(), special, rstrip)
        })
        .collect()
}

/// No text stands twice, as what is looked for in texts either: one of the two could not be written.
fn check_unique(tokens: &[Token]) -> Result<(), TokenizerError> {
    let mut seen = HashSet::with_capacity(tokens.len());
    match tokens.iter().position(|token| !seen.insert(token.found_as())) {
        Some(id) => Err(TokenizerError::GgufToken { id, text: tokens[id].text.clone() }),
        None => Ok(()),
    }
}

fn special(
    gguf: &Gguf,
    tokens: &[Token],
    key: &'static str,
) -> Result<Option<SpecialToken>, TokenizerError> {
    let Some(id) = gguf.get::<u32>(key)? else { return Ok(None) };
    let token = tokens.get(id as usize).ok_or(TokenizerError::GgufId {
        key,
        id,
        vocab_size: tokens.len(),
    })?;
    Ok(Some(SpecialToken { id, text: token.text.clone() }))
}

/// What the file says, else what llama.cpp takes for this kind of vocabulary.
fn add_bos(gguf: &Gguf) -> Result<bool, TokenizerError> {
    if let Some(told) = gguf.get("tokenizer.ggml.add_bos_token")? {
        return Ok(told);
    }
    let sentence_piece = gguf.require::<&str>("tokenizer.ggml.model")? == "llama";
    let pre: Option<&str> = gguf.get("tokenizer.ggml.pre")?;
    Ok(sentence_piece || pre.and_then(words::of).is_some_and(|words| words.add_bos))
}

fn end_ids(tokens: &[Token], named: impl Iterator<Item = SpecialToken>) -> Vec<TokenId> {
    let by_text = tokens.iter().enumerate().filter(|(_, token)| {
        token.kind == Kind::Control && END_TEXTS.contains(&token.text.as_str())
    });
    let mut ids: Vec<TokenId> =
        named.map(|token| token.id).chain(by_text.map(|(id, _)| id as TokenId)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
