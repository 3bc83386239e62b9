//! Hugging Face tokenizers behind [`Tokenize`], and models' chat templates.
//!
//! The only place that knows the crates `tokenizers` and `minijinja`.

mod chat;
mod gguf;
mod pieces;

use std::path::{Path, PathBuf};

use tokenizers::{ModelWrapper, Tokenizer};

use pieces::{Cut, Piece};

use crate::gguf::GgufError;
use crate::tokens::{Encoding, TokenId, Tokenize, TokenizeError, TokenizerHash};

pub use chat::{ChatError, ChatTemplate, Message, RenderOptions, fold_system};
pub use gguf::{GgufTokenizer, SpecialToken};

/// A tokenizer read from a `tokenizer.json`.
pub struct HfTokenizer {
    /// Reads text: special tokens written out in it stay text.
    plain: Tokenizer,
    /// Reads rendered prompts: special tokens written out become their ids.
    prompt: Tokenizer,
    special: Vec<TokenId>,
    hash: TokenizerHash,
    vocab_size: usize,
    /// Whether encodings of pieces can be joined.
    joins: bool,
}

impl HfTokenizer {
    /// A tokenizer from the bytes of its file.
    ///
    /// # Errors
    /// [`TokenizerError::Parse`] when they are not a tokenizer of a known form.
    pub fn from_bytes(file: &[u8]) -> Result<Self, TokenizerError> {
        let mut prompt = Tokenizer::from_bytes(file).map_err(TokenizerError::Parse)?;
        prompt.with_truncation(None).map_err(TokenizerError::Parse)?;
        prompt.with_padding(None);
        let mut plain = prompt.clone();
        plain.set_encode_special_tokens(true);
        let added = prompt.get_added_tokens_decoder();
        let mut special: Vec<TokenId> =
            added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id).collect();
        special.sort_unstable();
        let highest = prompt.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1);
        let joins = matches!(prompt.get_model(), ModelWrapper::BPE(bpe) if bpe.dropout.is_none());
        let hash = TokenizerHash::of(file);
        Ok(Self { plain, prompt, special, hash, vocab_size: highest, joins })
    }

    /// A tokenizer from a file, or from the `tokenizer.json` in a folder.
    ///
    /// # Errors
    /// [`TokenizerError`] naming the file.
    pub fn from_path(path: &Path) -> Result<Self, TokenizerError> {
        let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        let file = std::fs::read(&path).map_err(|source| TokenizerError::Read { path, source })?;
        Self::from_bytes(&file)
    }

    /// What the tokenizer's own rule puts before a text, such as a token for its beginning.
    ///
    /// # Errors
    /// [`TokenizeError`] when it cannot encode.
    pub fn opening(&self) -> Result<Vec<TokenId>, TokenizeError> {
        let encode = |rule| self.plain.encode("a", rule).map_err(TokenizeError::Encode);
        let (bare, whole) = (encode(false)?, encode(true)?);
        let (bare, whole) = (bare.get_ids(), whole.get_ids());
        let at = (0..whole.len()).find(|&at| whole[at..].starts_with(bare));
        Ok(whole[..at.unwrap_or(0)].to_vec())
    }

    fn encode_whole(&self, text: &str) -> Result<Piece, TokenizeError> {
        let encoding = self.plain.encode(text, false).map_err(TokenizeError::Encode)?;
        let tokens = Encoding {
            ids: encoding.get_ids().to_vec(),
            bytes: encoding.get_offsets().iter().map(|&(start, end)| start..end).collect(),
        };
        let words = encoding.get_word_ids();
        let begins = (0..words.len()).map(|at| at == 0 || words[at] != words[at - 1]).collect();
        Ok(Piece { tokens, begins })
    }

    /// Number of entries, added tokens included; fewer than V where ids are left out.
    pub fn entries(&self) -> usize {
        self.prompt.get_vocab_size(true)
    }

    /// A token written out, as the vocabulary has it.
    pub fn token(&self, id: TokenId) -> Option<String> {
        self.prompt.id_to_token(id)
    }

    /// The id of a token written out, special ones included.
    pub fn id_of(&self, token: &str) -> Option<TokenId> {
        self.prompt.token_to_id(token)
    }
}

impl Tokenize for HfTokenizer {
    fn encode(&self, text: &str) -> Result<Encoding, TokenizeError> {
        if self.joins && text.len() > 2 * Cut::USUAL.piece {
            return pieces::encode(text, Cut::USUAL, |piece| self.encode_whole(piece));
        }
        Ok(self.encode_whole(text)?.tokens)
    }

    fn encode_prompt(&self, text: &str) -> Result<Vec<TokenId>, TokenizeError> {
        let encoding = self.prompt.encode_fast(text, false).map_err(TokenizeError::Encode)?;
        Ok(encoding.get_ids().to_vec())
    }

    fn decode(&self, ids: &[TokenId]) -> Result<String, TokenizeError> {
        self.prompt.decode(ids, true).map_err(TokenizeError::Decode)
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn special_ids(&self) -> &[TokenId] {
        &self.special
    }

    fn hash(&self) -> TokenizerHash {
        self.hash
    }
}

/// Why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file cannot be read.
    #[error("cannot read the tokenizer file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not a tokenizer of a known form.
    #[error("not a tokenizer.json that can be used")]
    Parse(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The metadata of a GGUF file lacks something or has it in another type.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A GGUF file with another kind of tokenizer.
    #[error(
        "the GGUF file has a tokenizer of the kind \"{found}\", and gpt2 (byte-level BPE) and llama (SentencePiece BPE) are supported; give the model's tokenizer.json with --tokenizer"
    )]
    GgufModel {
        /// The kind.
        found: String,
    },
    /// A GGUF file whose vocabulary cuts words in an unknown way.
    #[error(
        "the GGUF file cuts text into words as \"{found}\", which is not one of {}; give the model's tokenizer.json with --tokenizer",
        gguf::known_words()
    )]
    GgufWords {
        /// The name of the way (`tokenizer.ggml.pre`).
        found: String,
    },
    /// A GGUF file whose vocabulary changes the text first.
    #[error(
        "the GGUF file has {key}, which is not supported; give the model's tokenizer.json with --tokenizer"
    )]
    GgufNormaliser {
        /// The key that asks for it.
        key: &'static str,
    },
    /// A list of the vocabulary that is too short or too long.
    #[error(
        "{key} has {found} entries where {expected} are expected; the GGUF file is damaged, download it again"
    )]
    GgufLength {
        /// The list.
        key: &'static str,
        /// Its length.
        found: usize,
        /// The right length.
        expected: usize,
    },
    /// A token of an unknown type.
    #[error("token {id} has the unknown type {kind}; the GGUF file is damaged, download it again")]
    GgufTokenType {
        /// The token.
        id: usize,
        /// The type's number.
        kind: u32,
    },
    /// A token whose text another token has.
    #[error(
        "token {id} (\"{text}\") is in the vocabulary twice; the GGUF file is damaged, download it again"
    )]
    GgufToken {
        /// The token.
        id: usize,
        /// Its text.
        text: String,
    },
    /// A merge that is not two tokens of the vocabulary which make a third.
    #[error(
        "the merge \"{merge}\" is not two tokens that make a third; the GGUF file is damaged, download it again"
    )]
    GgufMerge {
        /// The merge.
        merge: String,
    },
    /// A score that is not a number.
    #[error("the score of token {id} is not finite; the GGUF file is damaged, download it again")]
    GgufScore {
        /// The token.
        id: usize,
    },
    /// The id of a special token beyond the vocabulary.
    #[error(
        "{key} is {id}, beyond the vocabulary of {vocab_size}; the GGUF file is damaged, download it again"
    )]
    GgufId {
        /// The key.
        key: &'static str,
        /// Its value.
        id: u32,
        /// Number of tokens.
        vocab_size: usize,
    },
}
