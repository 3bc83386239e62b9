//! # Large runs
//!
//! What `touchmark detect` offers for millions of documents.
//!
//! ## Forms
//!
//! `--format table|jsonl|csv|parquet`; without it the name of the `-o` file decides (`.csv`, `.parquet`, else JSON lines). All hold
//! the fields of a [`Row`](crate::detect::Row).
//!
//! | form | lists and objects |
//! |---|---|
//! | jsonl | as they are; what `--finish` reads |
//! | csv | `segments`, `payload`, `warnings` as JSON text, nulls as empty cells |
//! | parquet | `segments` a list of structs, `warnings` a list of texts, `payload` JSON text; zstd, row groups of at most 65,536 rows and 64 MB |
//!
//! A file named with `-o` is written beside its place and renamed when it is whole, so that a run which was killed leaves the file
//! of the run before. Pipes and devices are written as they are.
//!
//! ## Filters
//!
//! `--filter keep` writes the documents with a detection by any profile, `--filter drop` those without one. Lines of JSON are
//! written byte for byte; other records as `{"id", "text", "source"}`. A document that could not be examined is written by
//! neither: it is listed on standard error, and the exit code is 3. `drop` passes on documents with too little evidence.
//!
//! ## Attribute files
//!
//! `--attributes DIR` writes for each source a file with the attributes of its documents, in the layout of the dolma toolkit
//! (AI2, `docs/data-format.md`): as many lines as the source has records, in their order, each
//!
//! ```text
//! {"id": "…", "attributes": {"touchmark__<profile>__log10_p": [[0, length, log10 p]], "touchmark__<profile>__segment": [[start, end, log10 p], …]}}
//! ```
//!
//! Positions are in Unicode characters; log10 p is corrected for all that was looked at. Where several keys are tried, the name is
//! `touchmark__<profile>__<key>__…`. A record that could not be examined has no attributes. A file lies under DIR as its source
//! lies in the folder that was named, or else as the source was named; it is packed as the source is, and where the source is
//! not JSON lines, `.jsonl` is added to its name.
//!
//! ## Ranks
//!
//! `--rank R --world-size N`, for any scheduler: `--rank $SLURM_PROCID --world-size $SLURM_NTASKS`. With as many files as ranks, or
//! more, rank R takes the files R, R + N, …; with fewer, runs of `--shard-documents` records are dealt, and each rank passes over
//! the others'. Ranks share nothing but the list of files, so all must see the same one. Rows of all ranks go to
//! `detect --finish`.
//!
//! ## Going on after any end
//!
//! `--resume DIR` keeps what is finished. The same command, given again, goes on after it; so does a scheduler that starts a rank
//! anew.
//!
//! ```text
//! DIR/manifest.json             what decides about rows: profiles, commitments of keys, tokenizers, fields, sources with sizes and times
//! DIR/rank-00000/part-00000000  a finished shard: rows, attribute lines, failures, and a line of counts and a checksum
//! ```
//!
//! A shard is at most `--shard-documents` records of the rank's share, and is closed early at 64 MB of rows. It is written under
//! another name, synced, renamed, and its folder is synced: that it is there says that it is finished. At the end the output is made
//! of the shards alone, after their checksums have been checked; it has the bytes that an uninterrupted run gives, whatever the
//! number of threads. A run whose settings, keys or files are not those of the manifest is refused, and what differs is
//! named. A lock keeps two processes off one rank. A record that could not be examined is listed in its shard, and is not tried again.
//!
//! With several ranks each has its parts in the same folder, and `touchmark detect --finish DIR` reads them all; it refuses while
//! a rank has not finished. Ctrl-C and SIGTERM end a run with exit code 130.
