//! `touchmark receipt verify`: is a ledger, an export of it or one disclosed receipt what it was when it was written?

use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use touchmark::provenance::{
    Agreement, Anchor, ChainError, Checkpoint, Comparison, Digest, Disclosure, Envelope,
    LedgerError, PublicKey, Receipt, SignatureError, Standing, Walk, genesis,
};
use touchmark::store::Store;
use touchmark::store::ledger::Verified;

use crate::args::{Global, ReceiptVerify};
use crate::output::{self, Exit};

/// What is said of it.
#[derive(Serialize)]
struct Verdict<T> {
    valid: bool,
    /// What it means.
    meaning: String,
    #[serde(flatten)]
    details: Option<T>,
}

pub fn run(
    global: &Global,
    store: &Store,
    path: &Path,
    args: &ReceiptVerify,
) -> anyhow::Result<Exit> {
    match (&args.disclosure, &args.export) {
        (Some(disclosure), _) => verdict(global, disclosed(disclosure, args)),
        (_, Some(export)) => verdict(global, exported(export, args)),
        _ => verdict(global, ledger(store, path, args)),
    }
}

/// Says how it stands; a fault that was found is a verdict, what could not be read is an error.
fn verdict<T: Serialize>(
    global: &Global,
    result: anyhow::Result<Verdict<T>>,
) -> anyhow::Result<Exit> {
    let verdict = match result {
        Ok(verdict) => verdict,
        Err(error) if is_fault(&error) => {
            Verdict { valid: false, meaning: format!("{}.", output::causes(&error)), details: None }
        }
        Err(error) => return Err(error),
    };
    if global.json {
        output::json(&verdict)?;
    } else {
        let word = if verdict.valid { "valid" } else { "INVALID" };
        writeln!(anstream::stdout(), "{word}: {}", verdict.meaning)?;
    }
    Ok(if verdict.valid { Exit::Done } else { Exit::Invalid })
}

fn is_fault(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<LedgerError>().is_some_and(LedgerError::is_fault)
            || cause.is::<ChainError>()
            || cause.is::<SignatureError>()
    })
}

fn ledger(store: &Store, path: &Path, args: &ReceiptVerify) -> anyhow::Result<Verdict<Verified>> {
    let ledger = store.read_ledger(path)?;
    let key = ledger.head()?.public_key;
    if let Some(wanted) = args.public_key.filter(|wanted| *wanted != key) {
        return Err(SignatureError::OtherKey { claimed: key, wanted }.into());
    }
    let checkpoint =
        args.checkpoint.as_deref().map(|file| open_checkpoint(file, &key)).transpose()?;
    let verified = ledger.verify(checkpoint.as_ref())?;
    let mut meaning = format!(
        "{} receipts follow one another up to number {}; redacted: {}.",
        verified.receipts, verified.head.sequence, verified.redacted
    );
    if verified.pruned_through > 0 {
        meaning.push_str(&format!(
            " Those up to number {} were pruned, and that is signed.",
            verified.pruned_through
        ));
    }
    meaning.push(' ');
    meaning.push_str(standing_words(verified.standing));
    let valid = verified.standing.is_none_or(Standing::is_valid);
    Ok(Verdict { valid, meaning, details: Some(verified) })
}

fn standing_words(standing: Option<Standing>) -> &'static str {
    standing.map_or(
        "Without a checkpoint that was kept elsewhere, nothing shows that the end was not cut off.",
        Standing::words,
    )
}

fn open_checkpoint(file: &Path, key: &PublicKey) -> anyhow::Result<Checkpoint> {
    let envelope: Envelope = read_json(file)?;
    Checkpoint::open(&envelope, key).with_context(|| format!("{} is not accepted", file.display()))
}

fn read_json<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = read(file)?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not a signed statement", file.display()))
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// A line of an export; whether the receipt is redacted cannot be checked without the ledger.
#[derive(Deserialize)]
struct Line {
    link: Digest,
    receipt: Receipt,
}

#[derive(Serialize)]
struct Export {
    receipts: u64,
    first: u64,
    last: u64,
    link: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<Standing>,
}

fn exported(file: &Path, args: &ReceiptVerify) -> anyhow::Result<Verdict<Export>> {
    let checkpoint = args.checkpoint.as_deref().map(|path| {
        let envelope: Envelope = read_json(path)?;
        let key = args.public_key.map_or_else(|| envelope.claimed_key(), Ok)?;
        anyhow::Ok((Checkpoint::open(&envelope, &key)?, key))
    });
    let checkpoint = checkpoint.transpose()?;
    let open =
        std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut lines = BufReader::new(open).lines().enumerate();
    let mut next = || -> anyhow::Result<Option<Line>> {
        let Some((number, line)) = lines.next() else { return Ok(None) };
        let at = || format!("{}, line {}", file.display(), number + 1);
        Ok(Some(serde_json::from_str(&line.with_context(at)?).with_context(at)?))
    };
    let Some(first) = next()? else { bail!("{} holds no receipt", file.display()) };
    let start = start(&first.receipt, checkpoint.as_ref())?;
    let mut walk = Walk::after(start);
    let mut comparison = checkpoint.as_ref().map(|(it, _)| Comparison::new(it, &it.ledger, start));
    let mut line = Some(first);
    while let Some(Line { link, receipt }) = line {
        walk.step(&receipt.canonical()?)?;
        if walk.last().link != link {
            return Err(ChainError::Link { sequence: receipt.sequence }.into());
        }
        if let Some(comparison) = &mut comparison {
            comparison.pass(walk.last());
        }
        line = next()?;
    }
    Ok(said(start, walk.last(), comparison.map(|it| it.standing())))
}

/// Where an export begins: of the first receipt, what it names as before it, which must be the ledger's beginning.
fn start(
    first: &Receipt,
    checkpoint: Option<&(Checkpoint, PublicKey)>,
) -> Result<Anchor, ChainError> {
    if let (1, Some((checkpoint, key))) = (first.sequence, checkpoint)
        && first.previous != genesis(&checkpoint.ledger, key)
    {
        return Err(ChainError::Link { sequence: 1 });
    }
    Ok(Anchor { sequence: first.sequence.saturating_sub(1), link: first.previous })
}

fn said(start: Anchor, last: Anchor, standing: Option<Standing>) -> Verdict<Export> {
    let first = start.sequence + 1;
    let receipts = last.sequence - start.sequence;
    let meaning = format!(
        "{receipts} receipts follow one another, numbers {first} to {}. {}",
        last.sequence,
        standing_words(standing)
    );
    let details = Export { receipts, first, last: last.sequence, link: last.link, standing };
    Verdict { valid: standing.is_none_or(Standing::is_valid), meaning, details: Some(details) }
}

#[derive(Serialize)]
struct Disclosed {
    agreement: Agreement,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<bool>,
    public_key: PublicKey,
    receipt: Receipt,
}

fn disclosed(file: &Path, args: &ReceiptVerify) -> anyhow::Result<Verdict<Disclosed>> {
    let envelope: Envelope = read_json(file)?;
    let key = args.public_key.map_or_else(|| envelope.claimed_key(), Ok)?;
    let shown = Disclosure::open(&envelope, &key)?;
    let Some(text) = &args.text else { bail!("--disclosure needs --text") };
    let agreement = shown.text(&read(text)?);
    let prompt =
        match &args.prompt {
            None => None,
            Some(prompt) => {
                let is_prompt = shown.is_prompt(&read(prompt)?);
                Some(is_prompt.context(
                    "the prompt was not disclosed; ask for a disclosure made --with-prompt",
                )?)
            }
        };
    let answer = &shown.receipt.answer;
    let mut meaning = match agreement {
        Agreement::Exact => format!("the text is answer {answer} of {}.", shown.receipt.time),
        Agreement::Trimmed => format!(
            "the text is answer {answer} of {} but for blanks at the ends.",
            shown.receipt.time
        ),
        Agreement::Different => format!("the text is not answer {answer}."),
    };
    match prompt {
        Some(true) => meaning.push_str(" The prompt is the one it answers."),
        Some(false) => meaning.push_str(" The prompt is not the one it answers."),
        None => {}
    }
    if args.public_key.is_none() {
        meaning.push_str(&format!(
            " Signed with the key {key}: compare it with the one that the operator published."
        ));
    }
    let valid = agreement != Agreement::Different && prompt != Some(false);
    let details = Disclosed { agreement, prompt, public_key: key, receipt: shown.receipt };
    Ok(Verdict { valid, meaning, details: Some(details) })
}
