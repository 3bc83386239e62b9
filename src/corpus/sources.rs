//! Which files are read.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::DocumentError;
use super::list::List;
use super::walk::Walk;

/// The files of `paths` and then those of `list`, in order, looked for as the stream gets there. A list is a file with a
/// path a line; `-` is standard input, among the paths and as the list.
///
/// Folders are walked by name, leaving out what ignore files name, hidden files, links to folders, and what is no file
/// (pipes, sockets, devices). A path that does not exist and has one of `*?[{` in it is a pattern for files: `*` and `?`
/// stay within a folder, `**` does not; hidden files are left out. A list has no patterns.
pub fn sources(paths: Vec<PathBuf>, list: Option<PathBuf>) -> Sources {
    Sources { paths: paths.into(), list: list.map(List::new), walk: None }
}

/// A stream of files.
pub struct Sources {
    paths: VecDeque<PathBuf>,
    list: Option<List>,
    walk: Option<Walk>,
}

impl Iterator for Sources {
    type Item = Result<PathBuf, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.walk.as_mut().and_then(Iterator::next) {
                return Some(item);
            }
            self.walk = None;
            let (path, pattern) = match self.paths.pop_front() {
                Some(path) => {
                    let pattern = Walk::pattern(&path);
                    (path, pattern)
                }
                None => match self.list.as_mut().and_then(Iterator::next)? {
                    Ok(path) => (path, None),
                    Err(error) => return Some(Err(error)),
                },
            };
            match pattern {
                Some(Ok(walk)) => self.walk = Some(walk),
                Some(Err(error)) => return Some(Err(error)),
                None if path.is_dir() => self.walk = Some(Walk::folder(&path)),
                None => return Some(Ok(path)),
            }
        }
    }
}
