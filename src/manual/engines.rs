//! # Engines
//!
//! Marks of other engines that are read and made here, bit for bit, and what their own statistics get wrong.
//!
//! ## vLLM
//!
//! `vllm-gumbel` with the function `philox4x32-10-v1` is what vLLM 0.33.0 writes with `--watermark-config`, algorithms
//! `gumbel` and `dual_key_gumbel`. Contexts are of output tokens alone, padded with −1, so a text that is a whole answer is
//! scored from its first token on. The p-value of `dual_key_gumbel` is a gamma law of equal mean and variance there: with
//! α = 0.1 and 20 tokens, texts that it calls one in a million are 1.5 in a million.
//!
//! `repeats = "single-turn"` is vLLM's `deduplicate_contexts: single_turn`, `"all-turns"` its `all` (contexts of the prompt
//! count as used and the first `context_width` tokens are unmarked), `"score-once"` the nearest to `none`. `max_history` is
//! its `deduplicate_contexts_max_history`. The choice between two keys is a random number there and here, and neither
//! detector can see it. Tokens that vLLM's GPU kernels pick where two candidates tie within the rounding of 32-bit floats may
//! differ; the detector does not care.
//!
//! ## transformers, lm-watermarking, text-generation-inference, MarkLLM: green lists of torch
//!
//! `transformers-kgw` is what `generate(watermarking_config=WatermarkingConfig(..))` of transformers 5.17.0 writes,
//! `lm-watermarking` what the code of Kirchenbauer et al. writes with any of its seeding schemes, and, with `additive_prf`, one id and
//! γ = 0.5, what text-generation-inference does; `markllm-kgw` is MarkLLM's `KGW`, which is another scheme. Their lists are
//! the beginnings of `randperm(V)`: V must be theirs, the model's `vocab_size` for transformers and the width of the logits for
//! text-generation-inference, the length of the tokenizer's vocabulary for lm-watermarking. With another V nothing is found.
//!
//! **Only lists made on a CPU can be read.** `randperm` has another generator on CUDA and on MPS, and these tools make their
//! lists on the device of the model. Text that was marked on a GPU is not found by a detector on a CPU, theirs or ours, and
//! no setting helps: read it with their detector on such a device. To write marks that can be read everywhere, make the
//! processor on the CPU and give it the ids and logits there (for transformers: a processor of one's own around
//! `WatermarkLogitsProcessor(vocab_size, device="cpu", ..)`), or mark with a scheme whose function does not depend on the device.
//!
//! **Keys.** Of a seed the generator uses 32 bits. lm-watermarking's functions that end in a hash have 1,000,003 seeds at most,
//! MarkLLM V, the same ones under every key. Such keys keep an honest reader from mistaking one mark for another; they
//! do not keep anybody out who wants to find them. In `lefthash` the id 0 gives the seed 0, and so the same list, under every
//! key: what follows it is marked, but is no evidence here. `selfhash` with transformers' usual width of 1 reads the
//! candidate alone, so that one list holds for the whole text, as in `unigram`. A negative `hashing_key` of `lefthash` is entered as
//! itself plus 2⁶⁴ − 1.
//!
//! **p-values.** That of transformers is 1 − ½(1 + sign(z)(1 − exp(−2z²/π))), which is no normal tail: 28 green tokens of 50
//! at γ = 0.25 are 4.1e-8 there, a normal tail says 2.1e-7, and the lists' own law 2.9e-6, 70 times the first. From z = 7.6
//! on it is 0. `ignore_repeated_ngrams` of transformers does nothing, since it compares tensors by identity: a sentence
//! forty times over counts forty times. lm-watermarking counts an n-gram once and takes the normal tail; its
//! maximum over windows is not corrected, as its authors say. MarkLLM counts repeats, and stops at z > 4.
//!
//! Here each (seed, token) counts once. A list has a fixed size, so the tokens of one list are drawn without replacement,
//! and the count is a sum of hypergeometric ones. Its tail is at most the binomial one from the mean plus 1 on (Hoeffding 1956);
//! below that p is reported as 1.
//!
//! **Cost.** A token's place in a list takes a walk through the list's shuffle: sixteen are walked at once, and a list whose seed comes again is
//! kept, in 256 MiB at most. `selfhash` tests 40 candidates a step (lm-watermarking 41, MarkLLM all), each with a list of
//! its own; where none of the 40 is on its list transformers stops with an IndexError, and the step stays unmarked here. A
//! prompt of exactly `context_width` − 1 ids is marked from its first token on here, from the second on there. Contexts
//! whose candidate takes part have 8 ids at most.
//!
//! ## SGLang
//!
//! `sglang-gumbel` with the function `sglang-murmur3-v1` is what SGLang 0.5.23 writes with `--enable-watermark`. Contexts
//! reach into the prompt and are shorter at its beginning, so a text with its prompt is scored from its first token on, and
//! one without from the token after the first whole context on; SGLang does the same. `mixing_probability` is given where
//! there is a `key_b`: the key is then two numbers. The coin between them depends on the context, so nothing is lost to it.
//! `repeats = "single-turn"` is SGLang's rule: only marked contexts are remembered, by their 32-bit hash, and after 4,096 of
//! them nothing more is marked.
//!
//! SGLang's p-values are right one by one (evidence there is above Exp(1) by half a step of 2⁻³²). It reports five of them
//! with two keys and corrects none: of unmarked texts 1.99 % have a p of 1 % or less for one of the two keys over all
//! positions. Only `combined` is computed here. Two differences remain. SGLang stops after 4,096 distinct contexts; all are
//! scored here. SGLang takes contexts for repeated by their ids, here by the hash that decides their words, which differs for
//! two contexts in 2³². Its sampler applies top-p to the mass of the whole vocabulary, ours to what top-k left, so with both
//! set the same logits may be truncated otherwise; that changes what may be picked, not what is read.
//!
//! ## TextSeal
//!
//! `textseal` with the function `textseal-v1` is TextSeal 0.0.5 with `watermark_type` `gumbelmax` or `greenlist`. Its words
//! have 8,191 levels, so a token's score is at most 9.01. Its SynthID tournaments are not read: round l takes token + l for
//! the token there, so neighbouring ids share most of their bits and a text's evidence is not that of independent tokens.
//!
//! TextSeal drops repeats only if its caller hands over a set to remember them in. Without one, a text of 100 tokens with
//! p = 0.05 has p = 0.011 when it is written out twice. The p-value of `greenlist` is a mid-p: a single green token with
//! γ = 0.5 gives 0.25, which half of all unmarked texts of one token have.
//!
//! ## vLLM: SBW, a pull request
//!
//! `vllm-sbw` with the function `vllm-sbw-pr56859` is `algorithm: sbw` of vLLM's pull request 56859 at commit d6d2f2c. No release
//! of vLLM has it, and its function may change before one does: a profile names the pull request, and a release would be
//! another function. Parameters have the names of `--watermark-config`. A key is one number below 2⁶³; the tool takes greater
//! ones for valid and stops when it makes a tensor of them.
//!
//! **`lefthash` is not what its detector reads.** The generator multiplies the key by the sum of the ids, the detector by the
//! sum of their hashes, so that the tool cannot find what it marks. `sbw_scheme = "lefthash"` is what marks texts;
//! `"lefthash-detector"` is what the detector expects and no text has.
//!
//! **What is read.** Contexts are of output ids alone, padded with −1; h(−1) is 0, so a few of the first tokens have a seed of 0,
//! under any key the same words, and do not count. Repeated contexts are marked like others, because the bias comes before the rule
//! that would leave them out. At this commit vLLM stops with a NameError as soon as a step is not greedy (`gpu_sampler.py` passes
//! on a name that it does not have), so texts can come of greedy decoding, of another commit, or of the authors' own plugin.
//!
//! **Its p.** `selfhash` reads no context at all where the product of the token's hash with itself is the least, one time in h, and
//! never the oldest id. The detector counts every new context all the same: of 16 human texts of 200 tokens under 2,000 keys each
//! 2.6 % had p ≤ 0.01 and 0.43 % p ≤ 0.001. Here a pair of seed and token counts once.
//!
//! ## MarkLLM: EXP
//!
//! `markllm-exp` with the function `markllm-exp-torch-cpu` is `EXP` of the package markllm 0.1.5; its key is `hash_key`, of whose
//! products 32 bits count. V is `vocab_size` of the tool's `TransformersConfig`, by which seeds are reduced and numbers drawn. Its
//! numbers come of torch's CPU generator wherever the model runs, so all its texts can be read. It samples at temperature 1;
//! any `top_k` but 0 stops it with a RuntimeError.
//!
//! A seed is the key times the product of four ids modulo V. The product is 0 after any id 0, and wherever V divides it: such
//! positions have the same numbers under every key and do not count here. Of even ids a product has many factors of two, and a V
//! such as 50,272 has five, so seeds recur more often than contexts do. The tool's p is the gamma tail, which is right for positions
//! that differ; it counts repeats each time.
//!
//! ## three_bricks
//!
//! `three-bricks` with the function `three-bricks-torch-cpu` is facebookresearch/three_bricks with `--method openai` or `maryland`
//! and `--seeding hash`, its default. Parameters have the names of its command line, where `--hash_key` is a factor and no secret;
//! the key is `--seed`, a negative one modulo 2⁶⁴−1. Its generator is torch's on the CPU wherever the model runs. V is the size of
//! the tokenizer; only the generator of `maryland` takes the width of the logits, so of a model whose logits are wider its detector
//! reads other lists than were written. Keys are weak: 0 by default, and of neighbouring ones see the function's page.
//!
//! The seedings `additive`, `skip` and `min` go through `randperm(1000003)` from torch's global generator, which generator and
//! detector each draw anew: their own detector cannot find them, and nobody can here.
//!
//! `openai` and `maryland` have right p-values for one payload with `--scoring_method v2`; without it repeats count each time.
//! `openaiz` and `marylandz` are normal tails. A payload is a parameter here: `payload = m` reads m alone, and a text of unknown
//! payload takes a profile for each, every look paid for. The tool takes M·p for M payloads below 1e-5, and above it
//! 1 − (1 − p)^M, as if their scores were independent.
//!
//! ## Importing
//!
//! `touchmark profile import --for TOOL FILE --tokenizer PATH` makes a profile of a tool's own configuration and keeps its
//! key in the keyring; `touchmark profile export ID --for TOOL -o FILE` writes it back. JSON, YAML and Python dicts are read
//! as data: no code, no tags, no aliases, at most 1 MiB. Keys of 64 bits survive to the last bit, negative ones in two's
//! complement, or modulo 2⁶⁴−1 where the tool seeds so. What a tool does not know is an error and not passed over, because
//! a parameter that is misread is a mark that is missed. No message shows a value of the file.
//!
//! | `--for` | what is read | scheme |
//! |---|---|---|
//! | `transformers` | `watermarking_config.json`, or the `generation_config.json` that holds it | `transformers-kgw`, `synthid-text` |
//! | `vllm` | `--watermark-config`, alone or in the YAML of `--config` | `vllm-gumbel` |
//! | `sglang` | `--watermark-config`, at most 4,096 bytes | `sglang-gumbel` |
//! | `synthid` | arguments of `SynthIDLogitsProcessor`; `--hash table` is the package, `iv` the repository since June 2025 | `synthid-text` |
//! | `lm-watermarking` | arguments of `WatermarkDetector`, or of the older one with `hash_key` | `lm-watermarking` |
//! | `markllm` | a file of MarkLLM's folder `config`: `KGW`, `EXP`, `Unigram`, `DIP` | `markllm-kgw`, `markllm-exp`, `unigram-watermark`, `dip` |
//! | `tgi` | `WATERMARK_GAMMA`, `WATERMARK_DELTA` as lines of an environment or JSON | `lm-watermarking` |
//! | `llama-cpp` | the list of `--synthid-keys`, a proposal (pull request 28350): `--hash` and `--ngram-len` must be given | `synthid-text` |
//!
//! Three things are in no configuration and must be right all the same:
//!
//! - The tokenizer, to which the profile is bound.
//! - V. Lists and permutations are drawn over the width of the model's logits, which is often more than the tokenizer has
//!   ids (151,936 against 151,643 for Qwen 2.5): give the model with `--model`, or `--vocab-size`. lm-watermarking alone
//!   takes the size of the tokenizer.
//! - The device. transformers, TGI, lm-watermarking and synthid-text 0.2.1 draw their lists or tables with torch on the device of
//!   the model, and torch's CUDA generator is another one: such text cannot be read here. vLLM, SGLang and synthid-text's
//!   `iv` do not depend on the device.
//!
//! A key that a tool takes when it is given none, or that its documentation shows, is everybody's: `profile import`,
//! `profile lint` and the rows of `detect` say whose it is (15485863 of transformers and lm-watermarking, 42 of vLLM's
//! documentation, SynthID's demonstration and others). A key of one or two numbers of 64 bits, or of small ones that a table
//! of SynthID reads one by one, can be searched for in marked text, and is warned of too.
//!
//! `touchmark identify` reads a text; token ids, as an engine returns them, are identified with `touchmark detect
//! --profile all --tokens-field ids FILE.jsonl`, a record `{"ids": [311, 92, ...]}` a line. Ids skip the tokenizer, so nothing is
//! lost to text that is split otherwise when it is read again; `ids_lost_in_text` counts what would have been.
//!
//! A configuration says nothing of sampling: temperature and truncation shape how strong a mark is, and detection does
//! not need them. `touchmark profile export ID --bundle DIR` writes the profile and its tokenizer, never the key, for who
//! shall detect with a key that they have.
//!
//! ## Unigram-Watermark
//!
//! `unigram-watermark` with the function `numpy-shuffle-v1` is the mark of XuandongZhao/Unigram-Watermark and of MarkLLM's
//! `Unigram`: one green list for a key. Its key is the integer of `--wm_key`; only 32 bits of its hash matter. The list has
//! exactly ⌊fraction·V⌋ tokens, and a text's distinct tokens are drawn from V without replacement: p is the hypergeometric
//! tail. The tool's `detect` counts a word as often as it occurs: a text of one green token, a hundred times, has z = 10
//! (p = 8e-24), where a list of half the vocabulary has that token one time in two. Its `unidetect` counts distinct tokens,
//! with a normal law: 20 green of 20 is z = 4.47 and p = 3.9e-6, where the hypergeometric tail at V = 50,257 is 9.5e-7.
//!
//! A key that meets frequent words well makes false alarms on all texts of a language; the rate is right on average over keys
//! only. See the page on statistics.
//!
//! ## MPAC
//!
//! `mpac` with the function `mpac-v1` is the multi-bit mark of bangawayoo/mb-lm-watermarking, with the lists of
//! lm-watermarking that a CPU's generator gives. Lists made on a GPU cannot be reproduced here: write and read with
//! `device="cpu"`. Its key is the `hash_key` of the seeding scheme.
//!
//! The tool's z counts the tokens of the decoded message's colours and compares them with γ, though the decoding chose the
//! colours: with 32 bits and 200 tokens, 93 in 100 unmarked texts pass its threshold z = 4, which it states as p = 3.2e-5.
//! Here p is the exact tail of the sum of the largest counts, so it holds for whatever message is decoded.
//!
//! Two more defects. With `lefthash` and the default `use_position_prf` the processor chooses digits by two ids and the
//! detector by one: of 207 right colours in a vector of ours, it sees 158. Messages of fewer than 16 digits stop the detector
//! with an `IndexError`. Both are read here as they were written. After token 0 `lefthash` has one list for all keys; such
//! tokens do not count.
//!
//! The posterior of a digit takes the bias for what it does to flat distributions; where the model is sure of its next token,
//! less can be known than it says.
//!
//! ## DiPmark and the unbiased watermark
//!
//! `dip` with the function `dip-v1` is MarkLLM's `DIP` with permutations of a CPU's generator (`device="cpu"`); α = ½ is the
//! γ-reweight. Its key is the integer `key` of MarkLLM's configuration. The commits after 876ccb9 make no key bytes: `DIP`
//! stops with an error, and `Unbiased` draws a new key at each start, so that no other process can read its texts. The
//! δ-reweight and MarkLLM's likelihood ratio need the model's distribution of each token and are not read here.
//!
//! MarkLLM's z is (G − (1−γ)n)/√n, without √(γ(1−γ)): at γ = ½ it is half of what it is called, and its threshold 1.513 is
//! a z of 3.03. 136 green of 150 is z = 9.96 and not the 4.98 that it prints; the exact tail is 1.4e-26.
//!
//! ## Kuditipudi
//!
//! `kuditipudi` with the function `key-sequence-v1` reads the sequences of jthickstun/watermark: `gumbel`, `transform` and the
//! demo's numbers, with or without gaps. Its key is the seed, of which 32 bits count. Its statistic is the least cost, so
//! small is strong there; the sum shown here is its negative. p is (1 + #{as strong}) / (1 + draws), draws being fresh numbers
//! for the same tokens, and twice the smaller of that and a bound where one is known.
//!
//! The tool's `permutation_test` and `fast_permutation_test` leave out both ones: with its 100 runs an unmarked text has p = 0
//! once in 101 times. Its demos have them; the one in JavaScript takes the median over blocks where the others take the
//! smallest cost, and reads what they write with less power. Marking here begins at a fixed row, so two answers begin with the
//! same numbers; the tool's default is a random one for each.
//!
//! ## SynthID-Text: transformers and Google's repository
//!
//! `synthid-text` is what transformers 5.17.0 writes with `SynthIDTextWatermarkingConfig`, and synthid-text 0.2.1 with its
//! `SynthIDLogitsProcessor`. Parameters have the tools' names; the key is their list `keys`, up to 64 numbers in their order;
//! `repeats = "single-turn"` is their rule for repeated contexts, with `context_history_size` as the memory.
//!
//! **Two hashes, one version.** `hash = "table"` (`synthid-table`) is transformers and the published package. `hash = "iv"`
//! (`synthid-iv`) is the repository since June 2025: it calls itself 0.2.1 too, was never published as a package, and shares
//! no bit with the other. A text of the one is nothing to the other, so ask which of them wrote it.
//!
//! **What is read.** Contexts are the `ngram_len` − 1 tokens before; the prompt takes no part. Generation begins with a context of
//! zeros, the tools' detectors with the first full n-gram. So does this one for a text that may begin anywhere; of a text that
//! is known to be a whole answer it reads the first `ngram_len` − 1 tokens as well. With `skip_first_ngram_calls` these carry
//! no mark.
//!
//! **No p-value in the tools.** They give a mean score Σ g / (m·n), a weighted mean, or a posterior. A mean score of 0.52 with 30
//! layers is p = 0.06 over 50 tokens, 0.001 over 200 and 2·10⁻¹² over 1,000, so no threshold on it has a false-alarm rate. Both
//! means are tested to be the tools' own to 1e-6. The tools count a context again when it has left their memory; p counts it once.
//!
//! **Sixteen bits.** With the usual table of 65,536 only the low 16 bits of a token, a key and a hash matter: ids 65,536 apart have the
//! same bits, and so have the layers of two numbers of the key that are, which then count as one layer of double weight. By chance
//! 1,000 tokens hold 7.6 pairs of n-grams that read the same bits under every key. Of 50,000 tokens, counted as the tools
//! count, the mean score has 1.76 times the binomial variance: what looks like 1e-6 is 2e-4. Here n-grams that read the same
//! entries count once. A detector that says more than yes or no gives such a key away soon.
//!
//! **Bits that are not independent.** Two n-grams' hashes differ by what no key changes, and each difference has its own small
//! correlation (root mean square 0.004 for the table, 0.030 for `iv`, greatest seen 0.09), over keys. Of ordinary text this
//! comes to nothing: variance 1.00 ± 0.04 of binomial. Text *marked* with one key has n-grams that were chosen for it, and looks a
//! little marked under every other key of the same function. Variance of a layer's sum over 3,000 random numbers, relative to
//! binomial, 16 texts of about 192 scored tokens of each kind:
//!
//! | text | read as `iv` | read as table |
//! |---|---|---|
//! | human | 1.00 (at most 1.07) | 1.00 (1.04) |
//! | unmarked, by a model | 1.03 (1.21) | 1.00 (1.04) |
//! | marked, table, 30 keys | 0.99 (1.09) | 1.05 (1.11) |
//! | marked, `iv`, 30 keys | 1.72 (2.80) | 1.01 (1.05) |
//!
//! It grows with length. With a binomial law 13 % of keys call a 200-token text of another `iv` key marked at a level of 5 %. So
//! p here is of a law with 1 + 3.5·√2·ρ + 12·ρ²·n times the variance: 3.4 times for `iv` at n = 200, 1.06 for the table.
//! The price is length: in `iv` texts very weak marks are not found however long they are. Over layers of one key the same
//! correlations are at work; for the 30 usual keys they make the variance of a token's sum 1.065 times binomial (`iv`).
//!
//! **Posterior.** `detect --bayesian WEIGHTS.json` adds what transformers' `BayesianDetectorModel` says, given its state dictionary as
//! nested lists (`prior`, `likelihood_model_watermarked.beta`, `likelihood_model_watermarked.delta`). Tokens from the first
//! special one on are left out. It is a posterior under a prior and training texts of the user's choosing, for the one key that
//! it was trained with. It bounds no rate of false alarms and decides nothing here.
//!
//! **Files.** transformers 5.17.0 cannot read its own `generation_config.json` back: it takes every `watermarking_config` for
//! one of the green-list kind and stops with a TypeError.
//!
//! **CUDA.** transformers makes its table with `torch.Generator(device=device)` on the device where the model runs. CUDA's generator is
//! Philox, not the CPU's MT19937: under the same seed its table is another one, and marks made with it are not read here. They were
//! not reproduced: which thread draws which bit depends on how the kernel is launched, and there was no table from a GPU to check
//! against. synthid-text 0.2.1 seeds a generator of the device in the same way; `iv` has no table and is the same everywhere.
//!
//! ## Their p-values and ours
//!
//! One worked number for each statistic: what the tool says of a text, and the exact tail, which is what `detect` says. A
//! test computes every number of this table again (`tests/it/peers/p_values.rs`).
//!
#![doc = include_str!("peer_p_values.md")]
//!
//! Right are vLLM's `gumbel`, SGLang's `combined`, three_bricks' `maryland` and `openai` with `--scoring_method v2`, and
//! MarkLLM's threshold for DiP, which is a valid bound. The faults of the others are of four kinds:
//!
//! - *Normal tails for counts*: lm-watermarking, MarkLLM KGW, three_bricks' `…z` detectors, and transformers, whose formula is no
//!   normal tail either. Unigram-Watermark's `dynamic_threshold` is off by so little that 100,000 texts do not show it.
//! - *Repeats counted*: transformers, MarkLLM KGW and EXP, Unigram-Watermark's `detect`, three_bricks and TextSeal unless told
//!   otherwise. A repeated pair of context and token is the same coin shown twice.
//! - *The best of several looks, unpaid*: lm-watermarking's windows, SGLang's three answers read together, TextSeal's two scores,
//!   MPAC's decoded message.
//! - *One gamma law for a sum of unlike ones*: vLLM's two keys, TextSeal's weights. Small near the middle, it grows with the
//!   evidence.
//!
//! ### On unmarked texts
//!
//! 100,000 texts a cell, each read with a fresh key: share with p ≤ 0.001 (nominal 0.1 %), by kind of text. "×" marks what
//! exceeds its nominal rate at 10⁻², 10⁻³, 10⁻⁴ or 10⁻⁵ by more than chance allows; the whole experiment would blame any valid
//! p-value with a probability of at most 0.001. Exact intervals, all levels and 2,000,000 short texts for the moment-matched laws
//! are in `experiments/peer_p_values`.
//!
#![doc = include_str!("peer_rates.md")]
