//! `bundle pack`: one file to be sent.

use anyhow::{Context, bail};
use touchmark::fingerprint::bundle::Packed;

use super::folder::{COMMITMENT, LEAVES, OUTCOME, TOKEN, TRANSCRIPT, optional};
use crate::args::{self, Global};
use crate::output::{self, Exit};
use crate::whole_file;

pub fn run(global: &Global, args: &args::bundle::Pack) -> anyhow::Result<Exit> {
    let folder = &args.bundle;
    if !folder.join(LEAVES).exists() {
        bail!(
            "nothing can be checked before it is opened: touchmark bundle reveal {}",
            folder.display()
        );
    }
    let mut packed = Packed { touchmark_bundle: 1, ..Packed::default() };
    for name in [COMMITMENT, LEAVES, TRANSCRIPT, OUTCOME] {
        if let Some(bytes) = optional(&folder.join(name))? {
            let text = String::from_utf8(bytes).with_context(|| format!("{name} is not text"))?;
            packed.files.insert(name.to_owned(), text);
        }
    }
    if let Some(token) = optional(&folder.join(TOKEN))? {
        packed.token = Some(token.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    whole_file::write(&args.output, &packed.to_file()?)?;
    output::note(
        global.quiet,
        &format!("Packed {} files, none of them secret", packed.files.len()),
    );
    Ok(Exit::Done)
}
