//! What several tests need: keys, a model and a tokenizer that need no files, human text.

use std::convert::Infallible;
use std::ops::ControlFlow;

use touchmark::generate::{Answer, Ends, Request, generate};
use touchmark::keys::Key;
use touchmark::lm::{Chunk, LanguageModel, LmError, LogitSink, SeqId, Want};
use touchmark::sampling::Sampling;
use touchmark::schemes::Spec;
use touchmark::tokens::{Encoding, TokenId, Tokenize, TokenizeError, TokenizerHash};
use touchmark::watermark::{Repeats, Vocabulary, Watermark};

/// The `number`-th test key.
pub fn key(number: u64) -> Key {
    let mut bytes = *blake3::hash(&number.to_le_bytes()).as_bytes();
    Key::take(&mut bytes)
}

/// The same, as a scheme wants it.
pub fn key_for(number: u64, spec: &Spec) -> Key {
    let Some(count) = spec.key_numbers() else { return key(number) };
    let hash = |i: usize| blake3::hash(&[number.to_le_bytes(), i.to_le_bytes()].concat());
    let first = |i| hash(i).as_bytes()[..8].iter().fold(0, |n, &byte| n << 8 | u64::from(byte));
    Key::of_numbers((0..count).map(first).collect()).unwrap()
}

pub fn vocabulary(size: u32) -> Vocabulary {
    Vocabulary { tokenizer: TokenizerHash([3; 32]), size, special: Vec::new() }
}

pub fn watermark(number: u64, spec: &Spec, size: u32, repeats: Repeats) -> Watermark {
    Watermark::new(&key_for(number, spec), spec.prf(), spec, &vocabulary(size), repeats).unwrap()
}

/// Ids of an answer that the [`ToyModel`] of `size` tokens writes under a mark, with a message where one is given.
pub fn written(
    mark: &Watermark,
    size: u32,
    message: Option<u64>,
    seed: u64,
    tokens: usize,
) -> Vec<TokenId> {
    let request = Request {
        prompt: vec![1, 2, 3],
        max_tokens: tokens,
        sampling: Sampling { seed, ..Sampling::default() },
        stream: 0,
        stop: Vec::new(),
    };
    let ends = Ends::default();
    let mut answer = Answer::new(&request, Some(mark), &Letters, &ends).unwrap();
    if let Some(message) = message {
        answer = answer.with_message(message).unwrap();
    }
    let mut ids = Vec::new();
    let mut model = ToyModel::new(size as usize);
    generate(&mut model, vec![answer], 1, &mut |_, _| Ok(()), &mut |_, answer| {
        ids = answer.ids;
        ControlFlow::Continue(())
    })
    .unwrap();
    ids
}

/// Logits are a function of the position and the last id: no weights, and some forty likely tokens of 4,096.
pub struct ToyModel {
    pub vocab_size: usize,
    sequences: Vec<Vec<TokenId>>,
}

impl ToyModel {
    pub fn new(vocab_size: usize) -> Self {
        Self { vocab_size, sequences: Vec::new() }
    }

    pub fn logits(&self, last: TokenId, len: usize) -> Vec<f32> {
        let scramble = |token: usize| {
            let mixed = (token as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
                ^ (u64::from(last) << 17)
                ^ len as u64;
            (mixed.wrapping_mul(0xD134_2543_DE82_EF95) >> 40) as f32 / (1 << 24) as f32
        };
        (0..self.vocab_size).map(|token| 14.0 * scramble(token).powi(20)).collect()
    }
}

impl LanguageModel for ToyModel {
    fn vocab_size(&self) -> usize {
        self.vocab_size
    }
    fn max_positions(&self) -> usize {
        4096
    }
    fn bytes_per_position(&self) -> u64 {
        64
    }
    fn open(&mut self) -> Result<SeqId, LmError> {
        self.sequences.push(Vec::new());
        Ok(SeqId(self.sequences.len() as u64 - 1))
    }
    fn fork(&mut self, seq: SeqId, len: usize) -> Result<SeqId, LmError> {
        let prefix = self.sequences[seq.0 as usize][..len].to_vec();
        self.sequences.push(prefix);
        Ok(SeqId(self.sequences.len() as u64 - 1))
    }
    fn truncate(&mut self, seq: SeqId, len: usize) -> Result<(), LmError> {
        self.sequences[seq.0 as usize].truncate(len);
        Ok(())
    }
    fn close(&mut self, _: SeqId) {}
    fn len(&self, seq: SeqId) -> Result<usize, LmError> {
        Ok(self.sequences[seq.0 as usize].len())
    }
    fn step(&mut self, work: &[Chunk<'_>], sink: &mut dyn LogitSink) -> Result<(), LmError> {
        for (index, chunk) in work.iter().enumerate() {
            for (position, &id) in chunk.ids.iter().enumerate() {
                let sequence = &mut self.sequences[chunk.seq.0 as usize];
                sequence.push(id);
                let len = sequence.len();
                let last = position + 1 == chunk.ids.len();
                if chunk.want == Want::All || chunk.want == Want::Last && last {
                    sink.row(index, position, &self.logits(id, len));
                }
            }
        }
        Ok(())
    }
}

/// Ids are letters: `a` is 0.
pub struct Letters;

impl Tokenize for Letters {
    fn encode(&self, text: &str) -> Result<Encoding, TokenizeError> {
        let ids = text.chars().map(|letter| letter as u32 - 'a' as u32).collect();
        Ok(Encoding {
            ids,
            bytes: text.char_indices().map(|(at, letter)| at..at + letter.len_utf8()).collect(),
        })
    }
    fn encode_prompt(&self, text: &str) -> Result<Vec<TokenId>, TokenizeError> {
        Ok(self.encode(text)?.ids)
    }
    fn decode(&self, ids: &[TokenId]) -> Result<String, TokenizeError> {
        let letters: Result<String, Infallible> =
            ids.iter().map(|id| Ok(char::from_u32('a' as u32 + id).unwrap_or('?'))).collect();
        Ok(letters.unwrap_or_default())
    }
    fn vocab_size(&self) -> usize {
        4096
    }
    fn special_ids(&self) -> &[TokenId] {
        &[]
    }
    fn hash(&self) -> TokenizerHash {
        TokenizerHash([3; 32])
    }
}
