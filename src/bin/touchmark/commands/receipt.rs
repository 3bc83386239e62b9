//! `touchmark receipt`: which recorded answer a text came from, and whether the records are whole.

mod find;
mod verify;

use std::io::Write;
use std::path::{Path, PathBuf};

use touchmark::provenance::{Ledger, LedgerError, Receipt};
use touchmark::store::Store;
use touchmark::store::ledger::{LedgerReader, Listed, Shown};

use crate::args::{self, Global, ReceiptAction};
use crate::assemble;
use crate::output::{self, Exit};
use crate::whole_file::{self, WholeFile};

pub fn run(global: &Global, args: &args::Receipt) -> anyhow::Result<Exit> {
    let store = assemble::store(global)?;
    let path = args.ledger.clone().unwrap_or_else(|| store.ledger_path());
    let read = || store.read_ledger(&path);
    match &args.action {
        ReceiptAction::Find { text, limit } => {
            find::run(global, &read()?, text, usize::from(*limit))
        }
        ReceiptAction::Verify(args) => verify::run(global, &store, &path, args),
        ReceiptAction::Export { since, output } => export(&read()?, *since, output.as_ref()),
        ReceiptAction::Disclose { answer, choice, with_prompt, output } => {
            let envelope = read()?.disclose(answer, *choice, *with_prompt)?;
            write_json(&envelope, output.as_ref())?;
            output::note(
                global.quiet,
                "Whoever has this can check any text against the answer, and cannot read it from this.",
            );
            Ok(Exit::Done)
        }
        ReceiptAction::List { since, account, limit } => {
            list(global, &read()?, *since, account.as_deref(), *limit)
        }
        ReceiptAction::Show { answer } => show(global, &read()?.show(answer)?),
        ReceiptAction::Redact { answers } => redact(global, &store, &path, answers),
        ReceiptAction::Prune { before } => prune(global, &store, &path, *before),
        ReceiptAction::Checkpoint { output } => checkpoint(global, &read()?, output.as_ref()),
    }
}

/// A ledger to change, which must be there: only `serve` makes one.
fn open(store: &Store, path: &Path) -> anyhow::Result<impl Ledger + use<>> {
    store.read_ledger(path)?;
    Ok(store.open_ledger(path, false)?)
}

fn export(
    ledger: &LedgerReader,
    since: Option<jiff::Timestamp>,
    output: Option<&PathBuf>,
) -> anyhow::Result<Exit> {
    let write = |out: &mut dyn Write| {
        ledger.list(since, false, |listed| -> anyhow::Result<bool> {
            writeln!(out, "{}", serde_json::to_string(&listed)?)?;
            Ok(true)
        })
    };
    match output {
        None => write(&mut std::io::BufWriter::new(anstream::stdout()))?,
        Some(path) => {
            let mut file = WholeFile::create(path)?;
            write(&mut file)?;
            file.finish()?;
        }
    }
    Ok(Exit::Done)
}

fn list(
    global: &Global,
    ledger: &LedgerReader,
    since: Option<jiff::Timestamp>,
    account: Option<&str>,
    limit: usize,
) -> anyhow::Result<Exit> {
    let mut receipts = Vec::new();
    ledger.list(since, true, |listed| -> Result<bool, LedgerError> {
        if account.is_none_or(|account| listed.receipt.account.as_deref() == Some(account)) {
            receipts.push(listed);
        }
        Ok(receipts.len() < limit)
    })?;
    if global.json {
        output::json(&serde_json::json!({ "receipts": receipts }))?;
        return Ok(Exit::Done);
    }
    if receipts.is_empty() {
        output::note(global.quiet, "No receipts.");
    }
    let mut out = anstream::stdout();
    for Listed { receipt, redacted, .. } in &receipts {
        let redacted = if *redacted { "  redacted" } else { "" };
        writeln!(
            out,
            "{:>8}  {}  {:<40}  {:<16}  {}{redacted}",
            receipt.sequence,
            receipt.time,
            name(receipt),
            receipt.account.as_deref().unwrap_or("-"),
            marked(receipt),
        )?;
    }
    Ok(Exit::Done)
}

/// The answer's id, with the choice where there are several.
fn name(receipt: &Receipt) -> String {
    match receipt.choice {
        0 => receipt.answer.clone(),
        choice => format!("{} ({choice})", receipt.answer),
    }
}

/// What became of the mark.
fn marked(receipt: &Receipt) -> String {
    match (&receipt.mark, receipt.applied) {
        (Some(mark), true) => format!("marked, {} (key {})", mark.profile, mark.key_id),
        _ => match &receipt.reason {
            Some(reason) => format!("not marked: {reason}"),
            None => "not marked".to_owned(),
        },
    }
}

fn show(global: &Global, shown: &[Shown]) -> anyhow::Result<Exit> {
    if global.json {
        output::json(&serde_json::json!({ "receipts": shown }))?;
        return Ok(Exit::Done);
    }
    for answer in shown {
        show_one(answer)?;
    }
    Ok(Exit::Done)
}

fn show_one(shown: &Shown) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    let Listed { receipt, link, redacted } = &shown.listed;
    let tokens = &receipt.tokens;
    writeln!(out, "answer     {}", name(receipt))?;
    writeln!(out, "number     {}", receipt.sequence)?;
    writeln!(out, "time       {}", receipt.time)?;
    if let Some(account) = &receipt.account {
        writeln!(out, "account    {account}")?;
    }
    writeln!(out, "mark       {}", marked(receipt))?;
    writeln!(out, "model      {}", receipt.model.name)?;
    writeln!(
        out,
        "tokens     {} of the prompt, {} written, {} marked",
        tokens.prompt, tokens.output, tokens.marked
    )?;
    writeln!(out, "ended by   {}", receipt.finish_reason)?;
    writeln!(out, "link       {link}")?;
    if *redacted {
        writeln!(out, "redacted   what opens it was deleted")?;
    }
    for (what, text) in [("prompt", &shown.prompt), ("text", &shown.text)] {
        if let Some(text) = text {
            writeln!(out, "{what}:\n{text}")?;
        }
    }
    Ok(())
}

fn redact(global: &Global, store: &Store, path: &Path, answers: &[String]) -> anyhow::Result<Exit> {
    let ledger = open(store, path)?;
    let mut redacted = 0;
    for answer in answers {
        redacted += ledger.redact(answer)?;
    }
    if global.json {
        output::json(&serde_json::json!({ "redacted": redacted }))?;
    } else {
        output::note(global.quiet, &format!("Redacted receipts: {redacted}."));
    }
    Ok(Exit::Done)
}

fn prune(
    global: &Global,
    store: &Store,
    path: &Path,
    before: jiff::Timestamp,
) -> anyhow::Result<Exit> {
    store.read_ledger(path)?;
    let pruned = store.open_ledger(path, false)?.prune(before, assemble::now())?;
    if global.json {
        output::json(&pruned)?;
    } else {
        output::note(
            global.quiet,
            &format!("Pruned receipts: {}; all up to number {}.", pruned.receipts, pruned.through),
        );
    }
    Ok(Exit::Done)
}

fn checkpoint(
    global: &Global,
    ledger: &LedgerReader,
    output: Option<&PathBuf>,
) -> anyhow::Result<Exit> {
    let envelope = ledger.checkpoint(assemble::now())?;
    write_json(&envelope, output)?;
    let head = ledger.head()?;
    output::note(
        global.quiet,
        &format!(
            "Signed with the public key {}. Keep the checkpoint on another machine.",
            head.public_key
        ),
    );
    Ok(Exit::Done)
}

fn write_json(value: &impl serde::Serialize, output: Option<&PathBuf>) -> anyhow::Result<()> {
    let Some(path) = output else { return output::json(value) };
    whole_file::write_json(path, value)
}
