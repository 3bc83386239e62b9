//! `mpac`: a message in the colours of tokens.
//!
//! Yoo et al., "Advancing Beyond Identification: Multi-bit Watermark for Large Language Models", NAACL 2024 (arXiv 2308.00221);
//! bangawayoo/mb-lm-watermarking. A message of b bits is written in base r, the most significant digit first, with as many
//! digits as 2^b − 1 has. A draw chooses one of the digits, and a permutation of the vocabulary that is cut into ⌊1/γ⌋ colours
//! of ⌈V/⌊1/γ⌋⌉ tokens (the last may be smaller). Marking adds δ to the logits of the colour that the digit names, before
//! temperature and truncation; with `selfhash` each of the 41 highest candidates has a draw of its own.
//!
//! Reading takes for each digit the colour that most of its tokens have (the larger of equals). With no mark the colours of n
//! tokens are multinomial whatever chose n, so the statistic
//!
//! ```text
//! S = Σ_digits max_colours count
//! ```
//!
//! has an exactly known law given the numbers of tokens, and its tail is a p-value for "some message, whichever". Given digit
//! d and tokens chosen from flat distributions, a token has the colour d with odds e^δ·γ : (1 − γ), so the posterior of d is
//! ∝ e^(δ·count_d); text of lower entropy is less sure than that.

use serde::{Deserialize, Serialize};

use super::kgw::GreenList;
use super::sequence::{Digit, Judgement, Message, Noted, Sequence, TextLaw};
use super::{Candidates, Draw, Noise, Null, Pick, Scheme, Seeding, SpecError, Stage};
use crate::prf::{KEY_A, KEY_B, MpacSeeding, PeerPrf};
use crate::tokens::TokenId;

/// Parameters of `mpac`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mpac {
    /// γ: there are ⌊1/γ⌋ colours.
    pub gamma: f64,
    /// δ, what logits of the right colour gain, in nats.
    pub delta: f32,
    /// r, the base of the digits, 2 to ⌊1/γ⌋. Messages of one or two bits have base 2.
    pub base: u32,
    /// b, 1 to 64.
    pub message_length: u32,
    /// What permutations are seeded by.
    pub seeding_scheme: MpacSeeds,
    /// Ids that a seed reads, the candidate among them with `selfhash`; 1 for `lefthash`.
    pub context_width: usize,
    /// Whether the choice of a digit has a seed of its own, made of the last two ids.
    pub use_position_prf: bool,
    /// What marking writes: b binary digits. Absent: zeros.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What permutations are seeded by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MpacSeeds {
    /// The last id; also `simple_1`.
    #[default]
    #[serde(alias = "simple_1")]
    Lefthash,
    /// The smallest hash of the last ids.
    Minhash,
    /// The candidate and the id of smallest hash together with it; also `algorithm-3`.
    #[serde(alias = "algorithm-3")]
    Selfhash,
}

impl Default for Mpac {
    fn default() -> Self {
        Self {
            gamma: 0.25,
            delta: 2.0,
            base: 4,
            message_length: 8,
            seeding_scheme: MpacSeeds::Lefthash,
            context_width: 1,
            use_position_prf: true,
            message: None,
        }
    }
}

impl Mpac {
    /// Longest message in bits.
    pub const LONGEST: u32 = 64;
    /// How many candidates marking tests when each has a draw of its own.
    const SELF_CANDIDATES: usize = 41;

    pub(super) fn examples() -> Vec<Self> {
        let base = Self::default();
        let message = |bits: &str| Some(bits.to_owned());
        vec![
            Self { message: message("10011100"), ..base.clone() },
            Self {
                seeding_scheme: MpacSeeds::Minhash,
                context_width: 3,
                use_position_prf: false,
                message_length: 16,
                message: message("1001110001011010"),
                ..base.clone()
            },
            Self {
                gamma: 0.5,
                base: 2,
                seeding_scheme: MpacSeeds::Selfhash,
                context_width: 4,
                message_length: 5,
                message: message("10110"),
                delta: 2.5,
                ..base
            },
        ]
    }

    fn base(&self) -> u32 {
        if self.message_length <= 2 { 2 } else { self.base }
    }

    /// The message's digits, the most significant first.
    fn digits(&self) -> Vec<u32> {
        let written = self.message.as_deref().unwrap_or("0");
        let number = u64::from_str_radix(written, 2).unwrap_or(0);
        let largest = u64::MAX >> (64 - self.message_length.clamp(1, Self::LONGEST));
        let base = u64::from(self.base().max(2));
        let count = (largest.ilog(base) + 1) as usize;
        let mut digits = vec![0; count];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = (rest % base) as u32;
            rest /= base;
        }
        digits
    }

    fn colours(&self) -> u32 {
        (1.0 / self.gamma) as u32
    }

    /// Probabilities of the colours that stand for digits.
    fn probabilities(&self, vocab_size: u32) -> Vec<f64> {
        let chunk = vocab_size.div_ceil(self.colours().max(1));
        let size = |colour: u32| chunk.min(vocab_size.saturating_sub(colour * chunk));
        (0..self.base()).map(|colour| f64::from(size(colour)) / f64::from(vocab_size)).collect()
    }

    fn seeds(&self) -> MpacSeeding {
        let width = self.context_width;
        match self.seeding_scheme {
            MpacSeeds::Lefthash => MpacSeeding::LeftHash,
            MpacSeeds::Minhash => MpacSeeding::MinHash { width },
            MpacSeeds::Selfhash => MpacSeeding::SelfHash { width },
        }
    }

    fn digit(&self, counts: Vec<u64>, tokens: u64) -> Digit {
        let most = counts.iter().copied().max().unwrap_or(0);
        let value = counts.iter().rposition(|&count| count == most).unwrap_or(0) as u32;
        let weight = |&count: &u64| (f64::from(self.delta) * (count as f64 - most as f64)).exp();
        let total: f64 = counts.iter().map(weight).sum();
        let posterior = counts.iter().map(|count| weight(count) / total).collect();
        Digit { value, counts, tokens, posterior }
    }

    /// The digits as b bits; digits that no message has give the largest message, as the tool does it.
    fn bits(&self, digits: &[Digit]) -> String {
        let number = digits.iter().fold(0_u128, |number, digit| {
            number.saturating_mul(u128::from(self.base())).saturating_add(u128::from(digit.value))
        });
        let width = self.message_length as usize;
        format!("{:0width$b}", number.min((1 << width) - 1))
    }
}

impl Scheme for Mpac {
    fn check(&self) -> Result<(), SpecError> {
        GreenList { gamma: self.gamma, delta: self.delta }.check()?;
        let max = if self.seeding_scheme == MpacSeeds::Lefthash { 1 } else { PeerPrf::MPAC_WIDTH };
        if !(1..=max).contains(&self.context_width) {
            return Err(SpecError::Width { got: self.context_width, max });
        }
        if !(1..=Self::LONGEST).contains(&self.message_length) {
            return Err(SpecError::MessageLength { got: self.message_length, max: Self::LONGEST });
        }
        if !(2..=self.colours()).contains(&self.base()) {
            return Err(SpecError::Base { got: self.base(), max: self.colours() });
        }
        let bits = |message: &String| {
            message.len() == self.message_length as usize
                && message.bytes().all(|bit| matches!(bit, b'0' | b'1'))
        };
        match &self.message {
            Some(message) if !bits(message) => {
                Err(SpecError::Message { needed: self.message_length })
            }
            _ => Ok(()),
        }
    }

    fn seeding(&self) -> Seeding {
        let pairs = usize::from(self.use_position_prf);
        match self.seeding_scheme {
            MpacSeeds::Lefthash => Seeding::Left { width: 1 + pairs },
            MpacSeeds::Minhash => Seeding::Left { width: self.context_width.max(1 + pairs) },
            MpacSeeds::Selfhash => Seeding::SelfAnchored { width: self.context_width - 1 },
        }
    }

    fn peer(&self) -> Option<PeerPrf> {
        let slots = self.digits().len() as u32;
        let (seeding, pairs) = (self.seeds(), self.use_position_prf);
        Some(PeerPrf::Mpac { seeding, pairs, slots, colours: self.colours() })
    }

    fn stage(&self) -> Stage {
        Stage::RawLogits
    }

    fn greatest_rise(&self) -> f32 {
        self.delta
    }

    fn streams(&self) -> &[u32] {
        &[KEY_A, KEY_B]
    }

    fn embed(&self, draw: &Draw<'_>, candidates: &mut Candidates, _: &mut Noise) -> Pick {
        let digits = self.digits();
        let right = |colour: u32, slot: u32| digits.get(slot as usize) == Some(&colour);
        if self.seeding_scheme == MpacSeeds::Selfhash {
            for entry in candidates.highest(Self::SELF_CANDIDATES).to_vec() {
                let token = candidates.id(entry as usize);
                if right(draw.word(token, KEY_A), draw.word(token, KEY_B)) {
                    candidates.logits_mut()[entry as usize] += self.delta;
                }
            }
            return Pick::Sample;
        }
        let slot = draw.word(0, KEY_B);
        candidates.read_words(|ids, out| draw.words(ids, KEY_A, out));
        let (logits, colours) = candidates.logits_and_words();
        for (logit, &colour) in logits.iter_mut().zip(colours) {
            *logit += if right(colour, slot) { self.delta } else { 0.0 };
        }
        Pick::Sample
    }

    /// Nothing: see [`Sequence`].
    fn evidence(&self, _: &Draw<'_>, _: TokenId) -> f64 {
        0.0
    }

    fn sequence(&self) -> Option<&dyn Sequence> {
        Some(self)
    }

    fn null(&self, _: u32) -> Null {
        Null::OfText
    }

    fn distortion_free(&self) -> bool {
        false
    }
}

impl Sequence for Mpac {
    /// The colour, and the slot.
    fn note(&self, draw: &Draw<'_>, token: TokenId, words: &mut Vec<u32>) -> bool {
        let slot = draw.word(token, KEY_B);
        if slot == u32::MAX {
            return false;
        }
        words.extend([draw.word(token, KEY_A), slot]);
        true
    }

    fn judge(&self, noted: &Noted, vocab_size: u32) -> Judgement {
        let base = self.base() as usize;
        let slots = self.digits().len();
        let (mut counts, mut tokens) = (vec![vec![0; base]; slots], vec![0; slots]);
        let seen: Vec<(usize, usize)> = noted
            .words
            .chunks_exact(2)
            .map(|words| (words[1] as usize, words[0] as usize))
            .collect();
        for &(slot, colour) in &seen {
            tokens[slot] += 1;
            if let Some(count) = counts[slot].get_mut(colour) {
                *count += 1;
            }
        }
        let digits: Vec<Digit> =
            counts.into_iter().zip(&tokens).map(|(counts, &all)| self.digit(counts, all)).collect();
        let agrees = |&(slot, colour): &(usize, usize)| digits[slot].value as usize == colour;
        let values = seen.iter().map(|it| f64::from(u8::from(agrees(it)))).collect();
        let law = TextLaw::MaximalCounts { tokens, colours: self.probabilities(vocab_size) };
        let posterior = |digit: &Digit| digit.posterior[digit.value as usize];
        let message = Message {
            bits: self.bits(&digits),
            posterior: digits.iter().map(posterior).product(),
            ones: Vec::new(),
            next: Vec::new(),
            digits,
        };
        Judgement { values, law, message: Some(message) }
    }
}
