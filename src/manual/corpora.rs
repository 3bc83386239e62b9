//! # Many documents
//!
//! ## From Python, Ray, Spark, datatrove
//!
//! `src/manual/detect.py`, to be copied:
//!
//! ```python
#![doc = include_str!("detect.py")]
//! ```
//!
//! One process reads a whole partition, so its keyring and tokenizers are read once, and its memory is bounded:
//!
//! ```python
//! rows = dataset.to_spark().rdd.mapPartitions(lambda part: detect(row.asDict() for row in part))   # Spark
//! rows = ray.data.read_parquet(path).map_batches(                                                  # Ray Data
//!     lambda batch: {"row": [json.dumps(row) for row in detect({"id": i, "text": t} for i, t in zip(batch["id"], batch["text"]))]})
//! rows = detect({"id": d.id, "text": d.text} for d in documents)                                   # a step of datatrove
//! ```
//!
//! A row's `log10_p_corrected` is of its document alone; q-values need all rows: keep them as JSON lines and give them to
//! `touchmark detect --finish`.
//!
//! ## What was found, and what was not there
//!
//! `experiments/corpus_fdr` puts marked texts and passages among distinct human documents and counts both kinds of error at a
//! nominal false discovery rate of 1 %.
//!
#![doc = include_str!("corpora_measured.md")]
