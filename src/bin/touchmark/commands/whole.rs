//! Files that appear whole or not at all.

use std::io::Write;
use std::path::Path;

use anyhow::Context;

/// Writes a file over the one that is there, if there is one.
pub fn write(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".touchmark-");
    as_any_new_file(&mut builder);
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let temporary = builder.tempfile_in(folder).with_context(failed)?;
    let mut out = std::io::BufWriter::new(temporary);
    content(&mut out).with_context(failed)?;
    let temporary = out.into_inner().with_context(failed)?;
    temporary.as_file().sync_all().with_context(failed)?;
    temporary.persist(path).with_context(failed)?;
    Ok(())
}

/// Temporary files are private by default; results are not.
#[cfg(unix)]
fn as_any_new_file(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;

    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn as_any_new_file(_: &mut tempfile::Builder<'_, '_>) {}
