//! Which symbol a token carries of a message.

/// A code for messages of some length over an alphabet of symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    bits: u32,
    symbol_bits: u32,
}

/// What one position says about the message: which bits it looks at, and through which taps.
///
/// With message bits m_0 … m_{k−1}, their numbers taken modulo k, a check at step i has the symbol
///
/// ```text
/// c = XOR over b = 0 … ν of  m_{i−b} · tap_b,     1 ≤ tap_b < q
/// ```
///
/// No tap is zero, so messages that differ in a single bit differ in every symbol that looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// i, the newest bit looked at.
    pub step: u32,
    /// One for each of the ν + 1 bits; the rest is zero.
    pub taps: [u8; Code::MOST_MEMORY as usize + 1],
}

impl Code {
    /// Shortest message.
    pub const LEAST_BITS: u32 = 8;
    /// Longest message.
    pub const MOST_BITS: u32 = 64;
    /// Longest memory: a check looks at up to one bit more.
    pub const MOST_MEMORY: u32 = 10;

    /// A code for messages of `bits` bits with q = 2^`symbol_bits` symbols.
    ///
    /// # Errors
    /// [`CodeError`]: `bits` outside 8 to 64, or `symbol_bits` outside 1 to 8.
    pub fn new(bits: u32, symbol_bits: u32) -> Result<Self, CodeError> {
        if !(Self::LEAST_BITS..=Self::MOST_BITS).contains(&bits) {
            return Err(CodeError::Bits { got: bits });
        }
        if !(1..=8).contains(&symbol_bits) {
            return Err(CodeError::Symbols { got: symbol_bits });
        }
        Ok(Self { bits, symbol_bits })
    }

    /// k, the length of a message.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// q, the number of symbols.
    pub fn symbols(&self) -> u32 {
        1 << self.symbol_bits
    }

    /// ν, how many bits before the newest a check looks at: 10, or k − 1 where a message is no longer than that.
    pub fn memory(&self) -> u32 {
        Self::MOST_MEMORY.min(self.bits - 1)
    }

    /// Whether `message` has no more than k bits.
    pub fn holds(&self, message: u64) -> bool {
        self.bits == 64 || message >> self.bits == 0
    }

    /// The check that three uniform words choose: step ⌊word₀·k/2³²⌋, and as taps the first ν + 1 digits, each plus one, of
    /// (word₁ + 2³²·word₂)/2⁶⁴ written in base q − 1.
    pub fn check(&self, [first, low, high]: [u32; 3]) -> Check {
        let step = ((u64::from(first) * u64::from(self.bits)) >> 32) as u32;
        let mut taps = [0; Self::MOST_MEMORY as usize + 1];
        let mut rest = u64::from(high) << 32 | u64::from(low);
        for tap in &mut taps[..=self.memory() as usize] {
            let product = u128::from(rest) * u128::from(self.symbols() - 1);
            (*tap, rest) = (1 + (product >> 64) as u8, product as u64);
        }
        Check { step, taps }
    }

    /// What a symbol adds to a word, modulo 2³²: the symbol-th part in q of a turn.
    pub fn turn(&self, symbol: u32) -> u32 {
        symbol << (32 - self.symbol_bits)
    }

    /// The bits of `message` that a check at `step` looks at, the newest lowest.
    pub(super) fn window(&self, message: u64, step: u32) -> usize {
        let bit = |back: u32| message >> ((step + self.bits - back) % self.bits) & 1;
        (0..=self.memory()).map(|back| (bit(back) << back) as usize).sum()
    }

    /// The symbol of `message` at a check, below q.
    pub fn symbol(&self, check: &Check, message: u64) -> u32 {
        let window = self.window(message, check.step);
        let looked_at = check.taps.iter().enumerate().filter(|(back, _)| window >> back & 1 == 1);
        looked_at.fold(0, |symbol, (_, &tap)| symbol ^ u32::from(tap))
    }
}

/// A code that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// Too short or too long a message.
    #[error("payload_bits is {got}, but must be {least} to {most}", least = Code::LEAST_BITS, most = Code::MOST_BITS)]
    Bits {
        /// The value.
        got: u32,
    },
    /// An alphabet too small or too large.
    #[error("an alphabet of 2^{got} symbols is not known; use 1 to 8 bits a symbol")]
    Symbols {
        /// log₂ q.
        got: u32,
    },
}
