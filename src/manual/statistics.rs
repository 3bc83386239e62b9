//! # Statistics
//!
//! ## What a p-value here means
//!
//! The null hypothesis is that the text is independent of the key. Under it the p-value is exact, or an upper bound,
//! *averaged over the random choice of a key that was fixed before the text*: among unmarked texts, each read with a key
//! of its own, at most one in a million has p ≤ 10⁻⁶. `log10_p` is what is kept and compared; p itself underflows.
//!
//! It does not say how probable it is that a text is marked; that depends on how common marked texts are where it comes
//! from. And it says nothing about text written by machines that do not carry this mark.
//!
//! Keys are committed when they are made (`touchmark key show`): publish the commitment to show later that the key was
//! fixed before a text. Reports say "assumes the key was fixed before the text; not shown".
//!
//! ## Laws
//!
//! | evidence | law of the sum | function |
//! |---|---|---|
//! | green tokens, won bits | binomial | [`binomial_sf_ge`](crate::stats::binomial_sf_ge) |
//! | tokens on lists of a fixed size | at most binomial from the mean plus 1 on, 1 below | the same |
//! | exponential | gamma, an upper bound for 32-bit words | [`gamma_sf_ge`](crate::stats::gamma_sf_ge) |
//! | two exponentials | sum of two gammas | [`two_gamma_sf_ge`](crate::stats::two_gamma_sf_ge) |
//! | weighted bits | lattice convolution | [`WeightedBits`](crate::stats::WeightedBits) |
//!
//! Tails are computed in log space and checked against arbitrary-precision values from log10 p = −0.001 to −10,000: the
//! relative error of log10 p stays below 10⁻⁹. No normal approximation is used: at γ = 0.25 the usual z > 4 (nominal 3·10⁻⁵)
//! is exceeded by chance in 2·10⁻⁴ of texts of 25 tokens.
//!
//! ## What counts once
//!
//! What the PRF reads, together with the token: the effective seed, not the raw context. The special tokens of the tokenizer
//! and the first h tokens never count.
//!
//! ## Choices made after looking
//!
//! Each is paid for: with several profiles a document's p-value is multiplied by their number (Bonferroni), and the row says
//! so in `family`. `--fpr` is the chance that an unmarked document has any detected row. Among many documents expect
//! documents × fpr false alarms; the table says how many.
//!
//! ## Among many documents
//!
//! `touchmark detect --finish FILE…` reads the rows of all runs over a corpus and adds `log10_q` and `fdr_verdict`. A document's
//! p-value is the smallest `log10_p_corrected` of its rows, which has paid for the profiles and keys of its run. Over the m
//! documents the false discovery rate is controlled at `--fdr`, 0.01 unless told otherwise: of the documents with q at or
//! below it, R in number, the share that is not marked is at most that on average over keys, so at most about R × fdr of them
//! are false alarms.
//!
//! ```text
//! q(p) = min_j  m · max(p, p₍ⱼ₎) / j        p₍₁₎ ≤ p₍₂₎ ≤ … the documents' p-values
//! ```
//!
//! For a document's best row this is the q-value of Benjamini & Hochberg (1995). For another row of a document it is the least
//! level at which the document is selected and the row rejected within it (Benjamini & Bogomolov 2014), so that a document found
//! for one profile does not count as found for all. Benjamini–Hochberg wants documents that are independent or positively
//! dependent. Under a profile whose seeds read one token or none all documents meet the same lists with the same frequent words:
//! there m Σ 1/i takes the place of m (Benjamini & Yekutieli 2001), valid under any dependence. `--correction` overrules.
//! Everything is computed on log₁₀ p, so q below 10⁻³⁰⁸ are as good as others; adjusted values agree with those of
//! statsmodels and SciPy ([`StepUp`](crate::stats::StepUp)).
//!
//! Files are read twice and never held: 16 bytes a document stay in memory. Rows of one document in two places are refused and
//! named; a line that is torn or of another schema is listed and left out, with exit code 3.
//!
//! It also says how many documents are marked at least, with 95 % confidence and whatever marked documents' p-values are: at
//! twenty levels t = 10⁻ᵏ fixed beforehand, the documents with p ≤ t less the most that chance gives there
//! ([`false_hypotheses_at_least`](crate::stats::false_hypotheses_at_least); Genovese & Wasserman 2004, Meinshausen & Rice 2006).
//! The first figure holds however documents depend on each other (Markov's inequality); copies of one text do. The second, greater
//! or equal, holds for independent ones (the binomial law), and is left out for narrow seeds. How many documents are discovered
//! is no such bound: the share of false ones is controlled on average only.
//!
//! ## A corpus as one text
//!
//! "This dataset contains our text" needs one p-value for all documents, and boilerplate that stands in each of them must count
//! once: adding up the documents' evidence made 5 % false alarms into more than 15 % in the test that guards this. A
//! [`Sketch`](crate::detect::Sketch) keeps distinct (seed, token) pairs with their evidence, those with the smallest hashes if there
//! are more than its limit. Sketches of parts, merged in any order, are the sketch of the whole to the last byte; memory is 32
//! bytes for each pair of the limit. p stays valid because the hash reads what the PRF reads and never what it gives, so the
//! pairs kept are like any chosen beforehand; a collision of hashes, or rounding to 32 bits, only drops evidence.
//!
//! `touchmark claim DOCS…` prints it, corrected for the profiles and keys looked for; every way a document is read (as it is,
//! normalised, as a whole answer) adds its pairs, so that no reading is chosen by its evidence. `detect --claim FILE` writes the
//! sketches of a run besides its rows, and `claim --merge FILE…` makes one claim of those of all runs, in any order. A sketch of
//! another profile, key, tokenizer or way of reading is refused. With it come
//!
//! - a lower bound of the number of marked documents, as `--finish` has it, of the documents' own p-values;
//! - with `--reference FILE`, texts known to be marked, an estimate of the share of pairs that are:
//!   (mean of the corpus − mean without a mark) / (mean of the reference − mean without a mark). The interval joins one for the
//!   corpus's mean that holds whatever the laws are ([`empirical_bernstein`](crate::stats::empirical_bernstein)) and a bootstrap
//!   over the reference's documents, 97.5 % each. It is an estimate, no proof: it takes for granted that the marked part of the corpus
//!   carries as much evidence for each pair as the reference, being of the same model, settings and kind of text, and as little edited.
//!   Edited text counts for less than it is. No p-value and no lower bound rests on it;
//! - with `--boilerplate N`, the N runs of h + 1 tokens that stand in most documents, and what they would have added to the evidence
//!   if every document counted. Counts come from a summary of bounded size ([`Boilerplate`](crate::detect::Boilerplate); Misra & Gries
//!   1982): they are lower bounds, exact up to 131,072 different runs, and their greatest error is printed.
//!
//! The claim says that marked text is in the corpus. It does not say who put it there, that a model was trained on it, or which
//! document it is: that is what rows are for. Documents that could not be examined are no part of it.
//!
//! ## Without a law
//!
//! Whoever doubts the null laws can compare the key with keys that nobody marked with: `detect --decoys N` adds `decoy_p` to each
//! row, (1 + decoys with as much evidence) / (1 + N), ties counting against us, times the profiles and keys looked for
//! ([`Decoys`](crate::detect::Decoys)). It asks only that the key was drawn at random, and cannot go below 1/(1 + N). Decoys are drawn
//! anew for each run and never shown. With `--decoy-seed` they follow from a number, so that others can compute the same p; the
//! number is no secret, but it must be fixed before looking: who tries several has chosen among several p-values. It is of the text as
//! a whole, never of its passages, and verdicts do not read it. All rows of a run share the decoys, so their decoy p depend on each
//! other. The cost is N + 1 more scorings of each text; at a few hundred decoys they, not the tokenizer, set the pace.
//!
//! ## Passages
//!
//! A marked passage in a long text is diluted by the rest of it. So texts of more than 256 tokens are looked at twice: as a
//! whole, and by windows. Windows are runs of scored tokens. Their lengths are 32·2^(k/2) up to the text's own, their starts lie a
//! quarter of the length apart, about 13.7·n/32 windows for n scored tokens; how many they are follows from n. With W of them
//!
//! ```text
//! p = min(1, 2·p_whole, 2·W·min p_window)
//! ```
//!
//! and `family` names the factors: "2 looks (whole, windows)", and "W windows" where a window spoke most. Shorter texts are looked
//! at once and pay nothing; `--segments N` looks for passages of N tokens in every longer text, `--segments off` never.
//!
//! *Why a window's p is valid.* A draw counts once in the whole document, at its first occurrence. Which positions count, and so
//! how many scored tokens a window has, depends on the text, or on the part of the key that chooses seeds, never on the words that
//! give evidence. Given them, a window of n scored tokens holds evidence of n distinct draws, whose sum follows the law of n tokens
//! exactly as the whole's does. (Counting once in each window instead would be valid too, but the sum of a window would no longer
//! be a difference of two prefix sums.) The price: what a passage repeats of the text before it is no evidence there. For
//! `unigram`, which counts each token id once, this leaves a passage next to nothing.
//!
//! Marks that judge whole texts (`mpac`, `kuditipudi`, any mark with a message) have no windows.
//!
//! *Which passages are told.* All windows are corrected together, so all that stay significant may be told. The most significant
//! is taken, drawn to its likeliest boundaries, and the rest of the text is searched on. Boundaries maximise the likelihood of a
//! passage whose tokens follow the null's exponential tilt to the passage's own mean; `start_between` and `end_between` hold the
//! boundaries whose log-likelihood is within 2 of the best. They say where, not whether: a passage's `log10_p` is that of a window
//! of which at least half lies in it, corrected for everything. The h tokens of context before the first scored one are part of
//! the passage.
//!
//! Of 200 passages of 120 tokens each, written by the bundled model and put into 4,880 tokens of human text, at `--fpr 1e-6` (`start`
//! and `end`: mean distance from the true boundary in tokens; `between`: share of true boundaries within the stated ranges):
//!
//! | scheme | found | by the whole alone | start | end | between |
//! |---|---|---|---|---|---|
//! | gumbel | 199 | 99 | 1.5 | 6.2 | 0.89 |
//! | kgw δ = 2 | 178 | 0 | 7.7 | 6.9 | 0.82 |
//! | kgw δ = 3 | 200 | 0 | 2.5 | 2.7 | 0.84 |
//! | kgw δ = 4 | 200 | 2 | 1.4 | 1.6 | 0.85 |
//! | synthid | 196 | 2 | 1.4 | 2.9 | 0.84 |
//! | unigram | 10 | 0 | 65.5 | 20.4 | 0.65 |
//!
//! ## Too short to say
//!
//! `insufficient_evidence` is said when p misses the threshold and a text marked at the profile's reference evidence would
//! have been found less than half the time at this length; the row says about how many more tokens would do. The reference
//! is a simulation for a stated entropy, not a measurement of your model: it never enters a p-value.
//!
//! ## Calibration
//!
//! `tests/it/calibration.rs` reads 4,220 windows of 200 tokens of human text, each with 5 fresh keys, and 1,000 of them with
//! 100 fresh keys each, for every scheme; and lists, boilerplate and a paragraph repeated forty times with 2,000 fresh keys
//! each. Rates at 5 %, 1 % and 0.1 % and the Kolmogorov–Smirnov distance all lie within what chance allows, at a family-wise
//! error of 0.001.
//!
//! ## One key is not all keys
//!
//! For one fixed key the rate on one kind of text varies around the nominal one, because its lists meet the same frequent
//! words again and again. Share of windows with p ≤ 0.01, over 200 keys × 4,220 windows
//! (`experiments/key_spread`, measured with this program):
//!
#![doc = include_str!("key_spread.md")]
//!
//! The narrower the seed's view, the wider the spread: `min` and `self` look at four tokens but read one of them, and stray
//! as h = 1 does. Hence they, h = 1 and `unigram` are never defaults, and their profiles carry a warning: calibrate such a key
//! on text of your own kind first. (Independent windows alone would give 0.7 to 1.3 %; discrete laws alarm a little less than
//! 1 % on average.)
//!
//! `touchmark calibrate DOCS… -o FILE` does that: it reads texts that carry no mark as `detect` would, each key by itself, and
//! tells for every profile, key and length how many have p ≤ 5 %, 1 % and 0.1 %, with exact intervals (Clopper & Pearson 1934).
//! Copies (the same letters and digits) count once. A key is unhealthy where one of its rates is above nominal beyond chance; in the
//! whole of a calibration without such a key one is called so with probability 1 % at most. `--fresh-keys N` also tries N random keys
//! that nobody keeps: how much keys of these parameters differ, which is what to choose parameters by.
//!
//! `detect --calibration FILE` cites it in every row (`calibration`, the first digits of the file's BLAKE3), after checking that
//! profile, key, tokenizer and way of looking are those that were calibrated; unhealthy keys are refused, or with
//! `--allow-unhealthy` used with a warning in each row. `calibrated` says whether the rate at a nominal 1 % is shown to be 2 % at
//! most (the upper end of the 95 % interval), which takes some 700 documents. Where every row of a narrow-seed profile is, `--finish`
//! uses Benjamini–Hochberg: documents depend on each other through the key alone, and of a given key those that are drawn
//! independently are independent. What that trusts is that this key's p-values hold at the levels the procedure reaches, and
//! that the corpus is of the kind that was calibrated on. Neither is proved: n documents say nothing of rates far below 1/n, and
//! `--correction by` needs neither. The calibration of one kind of text says nothing of another.
