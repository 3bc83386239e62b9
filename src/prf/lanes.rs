//! The native PRF for many positions, or many keys, at once: one BLAKE3 compression and one ChaCha8 block over sixteen lanes.
//!
//! The crates `blake3` and `rand_chacha` define the format; this is the same arithmetic on vectors, a position or a key in
//! each lane. `prf::native` and `prf::key_lanes` test every path here against the crates.
//!
//! `unsafe` here is the use of vector instructions (module `x86`). Invariant: the functions of that module are called only
//! after the processor was asked for every feature they are compiled for, and the vector types are used nowhere else.
//! Measured to pay: `cargo bench --bench prf`; arrays that the compiler turns into vectors reached a third of
//! the speed.

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

/// One context and token under sixteen keys.
pub(super) struct KeysJob<'a> {
    /// `keys[w]` is word `w` of every lane's subkey.
    pub keys: &'a [Row; 8],
    /// The message to hash.
    pub message: &'a [u32; 16],
    /// Its length in bytes.
    pub message_len: u32,
    /// Keystream index.
    pub token: u32,
    /// ChaCha stream ids to read, at most as many as there are rows for words.
    pub streams: &'a [u32],
}

/// Most streams a scheme reads for one token.
pub(super) const MAX_STREAMS: usize = 2;

/// Runs a job on the widest vectors this processor has.
pub(super) fn run(job: &Job<'_>, out: &mut Output) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was just detected.
            return unsafe { x86::run_avx512(job, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            return unsafe { x86::run_avx2(job, out) };
        }
    }
    run_portable(job, out);
}

/// The same on whatever vectors the compiler finds.
pub(super) fn run_portable(job: &Job<'_>, out: &mut Output) {
    generic::<Portable>(job, out);
}

/// Runs a job on the widest vectors this processor has: `words[s]` is the keystream word of stream `streams[s]`.
pub(super) fn run_keys(job: &KeysJob<'_>, words: &mut [Row; MAX_STREAMS]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was just detected.
            return unsafe { x86::run_keys_avx512(job, words) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            return unsafe { x86::run_keys_avx2(job, words) };
        }
    }
    generic_keys::<Portable>(job, words);
}

#[inline(always)]
fn generic_keys<V: Vector>(job: &KeysJob<'_>, words: &mut [Row; MAX_STREAMS]) {
    let block = job.message.map(V::splat);
    let tokens = V::splat(job.token);
    for base in (0..LANES).step_by(V::LANES) {
        let key = std::array::from_fn(|word| V::load(&job.keys[word], base));
        let seed = blake3_compress(&key, &block, job.message_len);
        for (row, &stream) in words.iter_mut().zip(job.streams) {
            let (start, end) = chacha8(&seed, tokens, stream);
            let word = (job.token & 15) as usize;
            end[word].add(start[word]).store(row, base);
        }
    }
}

/// As many lanes at a time as one vector register holds, so that the sixteen state words stay in registers.
#[inline(always)]
fn generic<V: Vector>(job: &Job<'_>, out: &mut Output) {
    for base in (0..LANES).step_by(V::LANES) {
        let seed = smallest_seed::<V>(job, base);
        for (row, word) in out.seeds.iter_mut().zip(&seed) {
            word.store(row, base);
        }
        let tokens = V::load(job.tokens, base);
        for (row, &stream) in out.words.iter_mut().zip(job.streams) {
            chacha8_word(&seed, tokens, stream).store(row, base);
        }
    }
}

/// Word `tokens mod 16` of block `tokens / 16` of the ChaCha8 keystream under each lane's seed.
#[inline(always)]
fn chacha8_word<V: Vector>(seed: &[V; 8], tokens: V, stream: u32) -> V {
    let (start, v) = chacha8(seed, tokens, stream);
    let index = tokens.and(V::splat(15));
    let words = v.iter().zip(&start).zip(0..);
    words.fold(V::splat(0), |chosen, ((word, begin), number)| {
        chosen.or(word.add(*begin).and(index.equal(V::splat(number))))
    })
}

/// The state before and after the rounds of block `tokens / 16`; their sum is the keystream.
#[inline(always)]
fn chacha8<V: Vector>(seed: &[V; 8], tokens: V, stream: u32) -> ([V; 16], [V; 16]) {
    let mut start = [V::splat(0); 16];
    for (word, constant) in start.iter_mut().zip(CHACHA_CONSTANTS) {
        *word = V::splat(constant);
    }
    start[4..12].copy_from_slice(seed);
    start[12] = tokens.block();
    start[14] = V::splat(stream);
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
    (start, v)
}

#[inline(always)]
fn quarter_round<V: Vector>(v: &mut [V; 16], a: usize, b: usize, c: usize, d: usize) {
    v[a] = v[a].add(v[b]);
    v[d] = v[d].xor(v[a]).rotate_left::<16, 16>();
    v[c] = v[c].add(v[d]);
    v[b] = v[b].xor(v[c]).rotate_left::<12, 20>();
    v[a] = v[a].add(v[b]);
    v[d] = v[d].xor(v[a]).rotate_left::<8, 24>();
    v[c] = v[c].add(v[d]);
    v[b] = v[b].xor(v[c]).rotate_left::<7, 25>();
}

/// The smallest keyed hash of each lane, compared as the little-endian 64-bit number of its first eight bytes; the
/// first message wins ties.
#[inline(always)]
fn smallest_seed<V: Vector>(job: &Job<'_>, base: usize) -> [V; 8] {
    let key = job.key.map(V::splat);
    let mut best = [V::splat(u32::MAX); 8];
    for (index, message) in job.messages.iter().enumerate() {
        let block = std::array::from_fn(|word| V::load(&message[word], base));
        let hash = blake3_compress(&key, &block, job.message_len);
        if index == 0 {
            best = hash;
            continue;
        }
        let take = hash[1].below(best[1]).or(hash[1].equal(best[1]).and(hash[0].below(best[0])));
        for (kept, new) in best.iter_mut().zip(hash) {
            *kept = kept.xor(kept.xor(new).and(take));
        }
    }
    best
}

/// BLAKE3's compression of a single root block under each lane's key: keyed_hash of a message of at most 64 bytes.
#[inline(always)]
fn blake3_compress<V: Vector>(key: &[V; 8], message: &[V; 16], len: u32) -> [V; 8] {
    let mut v = [V::splat(0); 16];
    v[..8].copy_from_slice(key);
    for i in 0..4 {
        v[8 + i] = V::splat(BLAKE3_IV[i]);
    }
    v[14] = V::splat(len);
    v[15] = V::splat(CHUNK_START | CHUNK_END | ROOT | KEYED_HASH);
    round::<V, 0>(&mut v, message);
    round::<V, 1>(&mut v, message);
    round::<V, 2>(&mut v, message);
    round::<V, 3>(&mut v, message);
    round::<V, 4>(&mut v, message);
    round::<V, 5>(&mut v, message);
    round::<V, 6>(&mut v, message);
    std::array::from_fn(|i| v[i].xor(v[i + 8]))
}

/// One of the seven rounds; its number is a constant so that message words are picked at compile time.
#[inline(always)]
fn round<V: Vector, const R: usize>(v: &mut [V; 16], message: &[V; 16]) {
    let m = |i: usize| message[const { &MESSAGE_SCHEDULE[R] }[i]];
    mix(v, 0, 4, 8, 12, m(0), m(1));
    mix(v, 1, 5, 9, 13, m(2), m(3));
    mix(v, 2, 6, 10, 14, m(4), m(5));
    mix(v, 3, 7, 11, 15, m(6), m(7));
    mix(v, 0, 5, 10, 15, m(8), m(9));
    mix(v, 1, 6, 11, 12, m(10), m(11));
    mix(v, 2, 7, 8, 13, m(12), m(13));
    mix(v, 3, 4, 9, 14, m(14), m(15));
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the round function of the specification has these")]
fn mix<V: Vector>(v: &mut [V; 16], a: usize, b: usize, c: usize, d: usize, x: V, y: V) {
    v[a] = v[a].add(v[b]).add(x);
    v[d] = v[d].xor(v[a]).rotate_left::<16, 16>();
    v[c] = v[c].add(v[d]);
    v[b] = v[b].xor(v[c]).rotate_left::<20, 12>();
    v[a] = v[a].add(v[b]).add(y);
    v[d] = v[d].xor(v[a]).rotate_left::<24, 8>();
    v[c] = v[c].add(v[d]);
    v[b] = v[b].xor(v[c]).rotate_left::<25, 7>();
}

/// Words that move together, one for each lane.
trait Vector: Copy {
    const LANES: usize;
    fn splat(word: u32) -> Self;
    /// The words of `row` from `base` on.
    fn load(row: &Row, base: usize) -> Self;
    fn store(self, row: &mut Row, base: usize);
    fn add(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    /// Divided by sixteen: the keystream block of a word.
    fn block(self) -> Self;
    /// Rotated by `LEFT` bits, `RIGHT` being 32 − `LEFT`.
    fn rotate_left<const LEFT: i32, const RIGHT: i32>(self) -> Self;
    /// All ones where the words are equal.
    fn equal(self, other: Self) -> Self;
    /// All ones where the word is below the other's, as unsigned numbers.
    fn below(self, other: Self) -> Self;
}

/// Four lanes in plain Rust.
#[derive(Clone, Copy)]
struct Portable([u32; 4]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Vector for Portable {
    const LANES: usize = 4;
    #[inline(always)]
    fn splat(word: u32) -> Self {
        Self([word; 4])
    }
    #[inline(always)]
    fn load(row: &Row, base: usize) -> Self {
        Self(std::array::from_fn(|i| row[base + i]))
    }
    #[inline(always)]
    fn store(self, row: &mut Row, base: usize) {
        row[base..base + 4].copy_from_slice(&self.0);
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
    fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }
    #[inline(always)]
    fn block(self) -> Self {
        Self(self.0.map(|word| word >> 4))
    }
    #[inline(always)]
    fn rotate_left<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        Self(self.0.map(|word| word.rotate_left(LEFT as u32)))
    }
    #[inline(always)]
    fn equal(self, other: Self) -> Self {
        self.zip(other, |a, b| if a == b { u32::MAX } else { 0 })
    }
    #[inline(always)]
    fn below(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { u32::MAX } else { 0 })
    }
}

/// The same on AVX-512 and AVX2.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Job, KeysJob, LANES, MAX_STREAMS, Output, Row, Vector, generic, generic_keys};

    #[target_feature(enable = "avx512f")]
    pub(super) fn run_avx512(job: &Job<'_>, out: &mut Output) {
        generic::<Avx512>(job, out);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn run_avx2(job: &Job<'_>, out: &mut Output) {
        generic::<Avx2>(job, out);
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn run_keys_avx512(job: &KeysJob<'_>, words: &mut [Row; MAX_STREAMS]) {
        generic_keys::<Avx512>(job, words);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn run_keys_avx2(job: &KeysJob<'_>, words: &mut [Row; MAX_STREAMS]) {
        generic_keys::<Avx2>(job, words);
    }

    #[derive(Clone, Copy)]
    struct Avx512(__m512i);

    #[derive(Clone, Copy)]
    struct Avx2(__m256i);

    /// Implements [`Vector`]. SAFETY of every expression: the invariant on top of this file; loads and stores are unaligned
    /// and stay inside the row, which is checked.
    macro_rules! vector {
        ($name:ident, $lanes:literal, {
            splat($word:ident) $splat:expr; load($from:ident) $load:expr; store($to:ident, $stored:ident) $store:expr;
            binary { $($binary:ident($a:ident, $b:ident) $value:expr;)* }
            block($shifted:ident) $block:expr;
            rotate_left::<$left:ident, $right:ident>($rotated:ident) $rotate:expr;
        }) => {
            impl Vector for $name {
                const LANES: usize = $lanes;
                #[inline(always)]
                fn splat($word: u32) -> Self {
                    Self(unsafe { $splat })
                }
                #[inline(always)]
                fn load(row: &Row, base: usize) -> Self {
                    assert!(base + $lanes <= LANES);
                    let $from = row[base..].as_ptr();
                    Self(unsafe { $load })
                }
                #[inline(always)]
                fn store(self, row: &mut Row, base: usize) {
                    assert!(base + $lanes <= LANES);
                    let ($to, $stored) = (row[base..].as_mut_ptr(), self.0);
                    unsafe { $store }
                }
                $(#[inline(always)]
                fn $binary(self, other: Self) -> Self {
                    let ($a, $b) = (self.0, other.0);
                    Self(unsafe { $value })
                })*
                #[inline(always)]
                fn block(self) -> Self {
                    let $shifted = self.0;
                    Self(unsafe { $block })
                }
                #[inline(always)]
                fn rotate_left<const $left: i32, const $right: i32>(self) -> Self {
                    let $rotated = self.0;
                    Self(unsafe { $rotate })
                }
            }
        };
    }

    vector!(Avx512, 16, {
        splat(word) _mm512_set1_epi32(word as i32);
        load(from) _mm512_loadu_si512(from.cast());
        store(to, v) _mm512_storeu_si512(to.cast(), v);
        binary {
            add(a, b) _mm512_add_epi32(a, b);
            xor(a, b) _mm512_xor_si512(a, b);
            or(a, b) _mm512_or_si512(a, b);
            and(a, b) _mm512_and_si512(a, b);
            equal(a, b) _mm512_maskz_set1_epi32(_mm512_cmpeq_epi32_mask(a, b), -1);
            below(a, b) _mm512_maskz_set1_epi32(_mm512_cmplt_epu32_mask(a, b), -1);
        }
        block(v) _mm512_srli_epi32::<4>(v);
        rotate_left::<LEFT, RIGHT>(v) _mm512_rol_epi32::<LEFT>(v);
    });

    vector!(Avx2, 8, {
        splat(word) _mm256_set1_epi32(word as i32);
        load(from) _mm256_loadu_si256(from.cast());
        store(to, v) _mm256_storeu_si256(to.cast(), v);
        binary {
            add(a, b) _mm256_add_epi32(a, b);
            xor(a, b) _mm256_xor_si256(a, b);
            or(a, b) _mm256_or_si256(a, b);
            and(a, b) _mm256_and_si256(a, b);
            equal(a, b) _mm256_cmpeq_epi32(a, b);
            below(a, b) {
                // There is only a signed comparison: flipping the top bit makes it unsigned.
                let top = _mm256_set1_epi32(i32::MIN);
                _mm256_cmpgt_epi32(_mm256_xor_si256(b, top), _mm256_xor_si256(a, top))
            };
        }
        block(v) _mm256_srli_epi32::<4>(v);
        rotate_left::<LEFT, RIGHT>(v) _mm256_or_si256(_mm256_slli_epi32::<LEFT>(v), _mm256_srli_epi32::<RIGHT>(v));
    });
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outputs(job: &Job<'_>) -> Vec<([Row; 8], [Row; MAX_STREAMS])> {
        let mut paths: Vec<fn(&Job<'_>, &mut Output)> = vec![run_portable, run];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            paths.push(|job, out| unsafe { x86::run_avx2(job, out) });
        }
        let output = |path: fn(&Job<'_>, &mut Output)| {
            let mut out = Output { seeds: Default::default(), words: Default::default() };
            path(job, &mut out);
            (out.seeds, out.words)
        };
        paths.into_iter().map(output).collect()
    }

    fn outputs_of_keys(job: &KeysJob<'_>) -> Vec<[Row; MAX_STREAMS]> {
        let mut paths: Vec<fn(&KeysJob<'_>, &mut [Row; MAX_STREAMS])> =
            vec![generic_keys::<Portable>, run_keys];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was just detected.
            paths.push(|job, words| unsafe { x86::run_keys_avx2(job, words) });
        }
        let words = |path: fn(&KeysJob<'_>, &mut [Row; MAX_STREAMS])| {
            let mut words = Default::default();
            path(job, &mut words);
            words
        };
        paths.into_iter().map(words).collect()
    }

    proptest! {
        /// The same for keys; and a lane's words are those of its key alone, as positions have them.
        #[test]
        fn all_paths_of_keys_agree(keys in any::<[Row; 8]>(), ids in any::<[u32; 3]>(), token in any::<u32>(), lane in 0..LANES) {
            let mut message = [0; 16];
            message[..3].copy_from_slice(&ids);
            let job = KeysJob { keys: &keys, message: &message, message_len: 12, token, streams: &[0, 64] };
            let of_keys = outputs_of_keys(&job);
            prop_assert!(of_keys.iter().all(|output| *output == of_keys[0]));
            let alone = Job {
                key: &keys.map(|row| row[lane]),
                messages: &[message.map(|word| [word; LANES])],
                message_len: 12,
                tokens: &[token; LANES],
                streams: &[0, 64],
            };
            let words = outputs(&alone)[0].1.map(|row| row[0]);
            prop_assert_eq!(words, of_keys[0].map(|row| row[lane]));
        }

        /// Every vector width gives the same arithmetic.
        #[test]
        fn all_paths_agree(key in any::<[u32; 8]>(), messages in any::<[[Row; 2]; 3]>(), tokens in any::<Row>()) {
            let messages = messages.map(|words| {
                let mut block = [[0; LANES]; 16];
                block[..2].copy_from_slice(&words);
                block
            });
            let job = Job { key: &key, messages: &messages, message_len: 8, tokens: &tokens, streams: &[7, 8] };
            let outputs = outputs(&job);
            prop_assert!(outputs.iter().all(|output| *output == outputs[0]));
        }
    }
}
