//! `touchmark attribute`: was a model trained on marked text?

mod asked;
mod marked;
mod plan;
mod read;
pub mod report;
mod show;
mod tested;

use touchmark::attribution::{Attribution, Verdict};

use crate::args::{Attribute, AttributeAction, Global, attribute::Run};
use crate::output::{self, Exit};
use crate::whole_file;

pub fn run(global: &Global, args: &Attribute) -> anyhow::Result<Exit> {
    match &args.action {
        AttributeAction::Run(args) => test(global, args),
        AttributeAction::Plan(args) => plan::run(global, args),
        AttributeAction::Report(args) => report::run(args),
    }
}

fn test(global: &Global, args: &Run) -> anyhow::Result<Exit> {
    if !(args.fpr > 0.0 && args.fpr < 1.0) {
        anyhow::bail!("--fpr is {}, but must lie between 0 and 1", args.fpr);
    }
    let mark = marked::Marked::open(global, args)?;
    let found = if args.texts.is_empty() {
        asked::test(global, args, &mark)?
    } else {
        read::test(global, args, &mark)?
    };
    tell(global, args, &found)?;
    let hit = args.fail_on.is_some() && found.judged.verdict == Verdict::Shown;
    Ok(if hit { Exit::Gate } else { Exit::Done })
}

fn tell(global: &Global, args: &Run, found: &Attribution) -> anyhow::Result<()> {
    if let Some(path) = &args.output {
        whole_file::write_json(path, found)?;
    }
    if global.json {
        return output::json(found);
    }
    Ok(show::write(&mut anstream::stdout(), found)?)
}

/// An object's fields.
fn fields(
    object: &impl serde::Serialize,
) -> anyhow::Result<serde_json::Map<String, serde_json::Value>> {
    match serde_json::to_value(object)? {
        serde_json::Value::Object(map) => Ok(map),
        _ => anyhow::bail!("internal fault: counts are no object"),
    }
}
