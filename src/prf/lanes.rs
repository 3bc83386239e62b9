//! The native PRF for many positions at once: one BLAKE3 compression and one ChaCha8 block over sixteen lanes.
//!
//! The crates `blake3` and `rand_chacha` define the format; this is the same arithmetic on arrays, so that the compiler
//! keeps a lane per vector element. `prf::native` tests every path here against the crates.
//!
//! `unsafe` here is a call of the same safe function compiled for AVX-512 or AVX2. Invariant: each is called only after the
//! processor was asked for every feature that it is compiled for. Measured to pay: see `benches/prf.rs`.

/// Positions handled by one call.
pub(super) const LANES: usize = 16;

/// One 32-bit word for each lane.
pub(super) type Row = [u32; LANES];

/// What one call computes: a seed for each lane, then one keystream word for each lane.
pub(super) struct Job<'a> {
    /// The PRF's subkey, as words.
    pub key: &'a [u32; 8],
    /// Messages to hash; each lane keeps the seed of the message whose hash is smallest. `messages[i][w]` is word `w` of
    /// message `i` for all lanes.
    pub messages: &'a [[Row; 16]],
    /// Length in bytes of every message.
    pub message_len: u32,
    /// The token in each lane: keystream index.
    pub tokens: &'a Row,
    /// ChaCha stream ids to read, at most as many as `words` has rows.
    pub streams: &'a [u32],
}

/// Result of a [`Job`].
pub(super) struct Output {
    /// `seeds[w]` is word `w` of every lane's seed.
    pub seeds: [Row; 8],
    /// `words[s]` is the keystream word of stream `streams[s]` at index `tokens`.
    pub words: [Row; MAX_STREAMS],
}

/// Most streams a scheme reads for one token.
pub(super) const MAX_STREAMS: usize = 2;

/// Runs a job on the widest vectors this processor has.
pub(super) fn run(job: &Job<'_>, out: &mut Output) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: both features were just detected.
            return unsafe { run_avx512(job, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            return unsafe { run_avx2(job, out) };
        }
    }
    run_portable(job, out);
}

/// The same on whatever vectors the target guarantees.
pub(super) fn run_portable(job: &Job<'_>, out: &mut Output) {
    generic::<4>(job, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
fn run_avx512(job: &Job<'_>, out: &mut Output) {
    generic::<16>(job, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2(job: &Job<'_>, out: &mut Output) {
    generic::<8>(job, out);
}

/// `N` lanes at a time: as many as fit one vector register, so that the sixteen state words stay in registers.
#[inline(always)]
fn generic<const N: usize>(job: &Job<'_>, out: &mut Output) {
    for base in (0..LANES).step_by(N) {
        let seed = smallest_seed::<N>(job, base);
        for (row, word) in out.seeds.iter_mut().zip(&seed) {
            row[base..base + N].copy_from_slice(&word.0);
        }
        let tokens = Lane::<N>::load(job.tokens, base);
        for (row, &stream) in out.words.iter_mut().zip(job.streams) {
            row[base..base + N].copy_from_slice(&chacha8_word(&seed, tokens, stream).0);
        }
    }
}

/// Word `tokens mod 16` of block `tokens / 16` of the ChaCha8 keystream under each lane's seed.
#[inline(always)]
fn chacha8_word<const N: usize>(seed: &[Lane<N>; 8], tokens: Lane<N>, stream: u32) -> Lane<N> {
    let mut start = [Lane::splat(0); 16];
    for (word, constant) in start.iter_mut().zip(CHACHA_CONSTANTS) {
        *word = Lane::splat(constant);
    }
    start[4..12].copy_from_slice(seed);
    start[12] = tokens.shr(4);
    start[14] = Lane::splat(stream);
    let mut v = start;
    for _ in 0..4 {
        quarter_round(&mut v, 0, 4, 8, 12);
        quarter_round(&mut v, 1, 5, 9, 13);
        quarter_round(&mut v, 2, 6, 10, 14);
        quarter_round(&mut v, 3, 7, 11, 15);
        quarter_round(&mut v, 0, 5, 10, 15);
        quarter_round(&mut v, 1, 6, 11, 12);
        quarter_round(&mut v, 2, 7, 8, 13);
        quarter_round(&mut v, 3, 4, 9, 14);
    }
    let mut chosen = Lane::splat(0);
    for (index, (word, begin)) in v.iter().zip(&start).enumerate() {
        chosen = chosen.or(word.add(*begin).where_equal(tokens.and(15), index as u32));
    }
    chosen
}

#[inline(always)]
fn quarter_round<const N: usize>(v: &mut [Lane<N>; 16], a: usize, b: usize, c: usize, d: usize) {
    v[a] = v[a].add(v[b]);
    v[d] = v[d].xor(v[a]).rotate_left(16);
    v[c] = v[c].add(v[d]);
    v[b] = v[b].xor(v[c]).rotate_left(12);
    v[a] = v[a].add(v[b]);
    v[d] = v[d].xor(v[a]).rotate_left(8);
    v[c] = v[c].add(v[d]);
    v[b] = v[b].xor(v[c]).rotate_left(7);
}

/// The smallest keyed hash of each lane, compared as the little-endian 64-bit number of its first eight bytes; the
/// first message wins ties.
#[inline(always)]
fn smallest_seed<const N: usize>(job: &Job<'_>, base: usize) -> [Lane<N>; 8] {
    let mut best = [Lane::<N>::splat(u32::MAX); 8];
    for (index, message) in job.messages.iter().enumerate() {
        let mut block = [Lane::splat(0); 16];
        for (word, row) in block.iter_mut().zip(message) {
            *word = Lane::load(row, base);
        }
        let hash = blake3_compress(job.key, &block, job.message_len);
        let take = if index == 0 { Lane::splat(u32::MAX) } else { less_than_64(&hash, &best) };
        for (kept, new) in best.iter_mut().zip(&hash) {
            *kept = kept.select(*new, take);
        }
    }
    best
}

/// BLAKE3's compression of a single root block under a key: keyed_hash of a message of at most 64 bytes.
#[inline(always)]
fn blake3_compress<const N: usize>(
    key: &[u32; 8],
    message: &[Lane<N>; 16],
    len: u32,
) -> [Lane<N>; 8] {
    let mut v = [Lane::splat(0); 16];
    for i in 0..8 {
        v[i] = Lane::splat(key[i]);
    }
    for i in 0..4 {
        v[8 + i] = Lane::splat(BLAKE3_IV[i]);
    }
    v[14] = Lane::splat(len);
    v[15] = Lane::splat(CHUNK_START | CHUNK_END | ROOT | KEYED_HASH);
    for schedule in &MESSAGE_SCHEDULE {
        let m = |i: usize| message[schedule[i]];
        mix(&mut v, 0, 4, 8, 12, m(0), m(1));
        mix(&mut v, 1, 5, 9, 13, m(2), m(3));
        mix(&mut v, 2, 6, 10, 14, m(4), m(5));
        mix(&mut v, 3, 7, 11, 15, m(6), m(7));
        mix(&mut v, 0, 5, 10, 15, m(8), m(9));
        mix(&mut v, 1, 6, 11, 12, m(10), m(11));
        mix(&mut v, 2, 7, 8, 13, m(12), m(13));
        mix(&mut v, 3, 4, 9, 14, m(14), m(15));
    }
    std::array::from_fn(|i| v[i].xor(v[i + 8]))
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the round function of the specification has these")]
fn mix<const N: usize>(
    v: &mut [Lane<N>; 16],
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    x: Lane<N>,
    y: Lane<N>,
) {
    v[a] = v[a].add(v[b]).add(x);
    v[d] = v[d].xor(v[a]).rotate_left(16);
    v[c] = v[c].add(v[d]);
    v[b] = v[b].xor(v[c]).rotate_left(20);
    v[a] = v[a].add(v[b]).add(y);
    v[d] = v[d].xor(v[a]).rotate_left(24);
    v[c] = v[c].add(v[d]);
    v[b] = v[b].xor(v[c]).rotate_left(25);
}

/// All ones in the lanes where the first two words of `a`, low word first, are below those of `b`.
#[inline(always)]
fn less_than_64<const N: usize>(a: &[Lane<N>; 8], b: &[Lane<N>; 8]) -> Lane<N> {
    Lane(std::array::from_fn(|i| {
        let number = |x: &[Lane<N>; 8]| u64::from(x[1].0[i]) << 32 | u64::from(x[0].0[i]);
        if number(a) < number(b) { u32::MAX } else { 0 }
    }))
}

/// `N` words that move together.
#[derive(Clone, Copy)]
struct Lane<const N: usize>([u32; N]);

impl<const N: usize> Lane<N> {
    #[inline(always)]
    fn splat(word: u32) -> Self {
        Self([word; N])
    }

    #[inline(always)]
    fn load(row: &Row, base: usize) -> Self {
        Self(std::array::from_fn(|i| row[base + i]))
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }

    #[inline(always)]
    fn map(self, f: impl Fn(u32) -> u32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i])))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, u32::wrapping_add)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self.zip(other, |a, b| a ^ b)
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    #[inline(always)]
    fn and(self, mask: u32) -> Self {
        self.map(|a| a & mask)
    }

    #[inline(always)]
    fn shr(self, bits: u32) -> Self {
        self.map(|a| a >> bits)
    }

    #[inline(always)]
    fn rotate_left(self, bits: u32) -> Self {
        self.map(|a| a.rotate_left(bits))
    }

    /// This word where `key` equals `value`, zero elsewhere.
    #[inline(always)]
    fn where_equal(self, key: Self, value: u32) -> Self {
        self.zip(key, |word, k| if k == value { word } else { 0 })
    }

    /// `new` where the mask is all ones, this word elsewhere.
    #[inline(always)]
    fn select(self, new: Self, mask: Self) -> Self {
        Self(std::array::from_fn(|i| (self.0[i] & !mask.0[i]) | (new.0[i] & mask.0[i])))
    }
}

const CHUNK_START: u32 = 1;
const CHUNK_END: u32 = 2;
const ROOT: u32 = 8;
const KEYED_HASH: u32 = 16;

const CHACHA_CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

const BLAKE3_IV: [u32; 4] = [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A];

/// The message word order of each of BLAKE3's seven rounds (section 2.2 of its specification).
const MESSAGE_SCHEDULE: [[usize; 16]; 7] = message_schedule();

const fn message_schedule() -> [[usize; 16]; 7] {
    const PERMUTATION: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
    let mut rounds = [[0; 16]; 7];
    let mut i = 0;
    while i < 16 {
        rounds[0][i] = i;
        i += 1;
    }
    let mut round = 1;
    while round < 7 {
        let mut i = 0;
        while i < 16 {
            rounds[round][i] = rounds[round - 1][PERMUTATION[i]];
            i += 1;
        }
        round += 1;
    }
    rounds
}
