//! Names of models and revisions, as the hub allows them.

use std::fmt;
use std::str::FromStr;

use super::HubError;

/// Which model of a hub: `org/name`, or `name` alone for the oldest ones; `org/name:file.gguf` names one of several GGUF
/// files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelId {
    repository: Box<str>,
    file: Option<Box<str>>,
}

impl ModelId {
    /// The repository, without a file: `org/name` or `name`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The GGUF file that was named.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The same repository with a GGUF file named.
    ///
    /// # Errors
    /// [`HubError::ModelId`] when it is not the name of a GGUF file in a repository.
    pub fn with_file(self, file: &str) -> Result<Self, HubError> {
        let why = check_file_name(file).err();
        if let Some(why) =
            why.or_else(|| (!is_gguf(file)).then_some("the file is not a .gguf file"))
        {
            return Err(HubError::ModelId { given: format!("{}:{file}", self.repository), why });
        }
        Ok(Self { file: Some(file.into()), ..self })
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        self.file.as_ref().map_or(Ok(()), |file| write!(f, ":{file}"))
    }
}

impl FromStr for ModelId {
    type Err = HubError;

    /// The hub's own rules: at most 96 characters of `A–Z a–z 0–9 - _ .` in at most two parts, none of which begins or
    /// ends with `-` or `.`; no `--`, no `..`, no ending `.git`.
    fn from_str(text: &str) -> Result<Self, HubError> {
        let (repository, file) = match text.split_once(':') {
            Some((repository, file)) => (repository, Some(file)),
            None => (text, None),
        };
        check_repository(repository)
            .map_err(|why| HubError::ModelId { given: text.to_owned(), why })?;
        let id = Self { repository: repository.into(), file: None };
        match file {
            Some(file) => id.with_file(file),
            None => Ok(id),
        }
    }
}

fn check_repository(text: &str) -> Result<(), &'static str> {
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() > 2 || text.starts_with('/') {
        return Err("it must have the form org/name; a folder on disk must exist");
    }
    if text.len() > 96 {
        return Err("it is longer than 96 characters");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    for part in parts {
        if part.is_empty() || !part.chars().all(allowed) {
            return Err("its parts are made of letters, digits, \"-\", \"_\" and \".\"");
        }
        if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
            return Err("no part begins or ends with \"-\" or \".\"");
        }
    }
    if text.contains("--") || text.contains("..") || text.ends_with(".git") {
        return Err("it must not contain \"--\" or \"..\", nor end with \".git\"");
    }
    Ok(())
}

/// A branch, a tag, or a commit; `main` by default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revision(Box<str>);

impl Revision {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a full commit hash, which never changes its meaning.
    pub fn is_commit(&self) -> bool {
        is_commit(&self.0)
    }
}

impl Default for Revision {
    fn default() -> Self {
        Self("main".into())
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Revision {
    type Err = HubError;

    /// Characters that git allows in a ref and every file system in a path.
    fn from_str(text: &str) -> Result<Self, HubError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./+@=,#".contains(c);
        let parts_fine = text
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with('.'));
        if text.len() > 255 || !text.chars().all(allowed) || !parts_fine || text.contains("..") {
            return Err(HubError::Revision { given: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

/// Whether a text is a full git commit hash in lower case.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn is_gguf(name: &str) -> bool {
    name.len() > 5 && name.to_ascii_lowercase().ends_with(".gguf")
}

/// Whether a file's name in a repository can be put below a folder and stays there, on every system.
pub(super) fn check_file_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > 1024 {
        return Err("the name is empty or longer than 1024 bytes");
    }
    if name.contains('\\') || name.chars().any(char::is_control) {
        return Err("the name has a backslash or a control character");
    }
    if name.split('/').any(|part| ["", ".", ".."].contains(&part)) {
        return Err("the name leaves its folder");
    }
    if name.as_bytes().get(1) == Some(&b':') {
        return Err("the name begins with a drive");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_hub_are_read_and_others_refused() {
        for good in ["gpt2", "org/name", "Qwen/Qwen2.5-0.5B-Instruct", "a/b_c.d-e"] {
            assert_eq!(good.parse::<ModelId>().unwrap().to_string(), good);
        }
        let file: ModelId = "org/name:q4/model-Q4_K.gguf".parse().unwrap();
        assert_eq!((file.repository(), file.file()), ("org/name", Some("q4/model-Q4_K.gguf")));
        for bad in [
            "",
            "/",
            "/org/name",
            "org/",
            "a/b/c",
            "../name",
            "org/..",
            "org/a..b",
            "org/-a",
            "org/a.",
            ".org/a",
            "a--b",
            "org/na me",
            "org/name.git",
            "org\\name",
            "org/näme",
            "org/n?me",
            "org/n#me",
            "org/name:../x.gguf",
            "org/name:/x.gguf",
            "org/name:model.bin",
            "org/name:.gguf",
            "C:\\model",
        ] {
            assert!(bad.parse::<ModelId>().is_err(), "{bad} was accepted");
        }
        assert!("a".repeat(97).parse::<ModelId>().is_err());
    }

    #[test]
    fn revisions_stay_below_the_refs_folder() {
        for good in ["main", "v1.0", "refs/pr/3", "feature/x-y", "0123abc"] {
            assert_eq!(good.parse::<Revision>().unwrap().as_str(), good);
        }
        for bad in [
            "", "/main", "main/", "a//b", "../x", "a/../b", "a..b", ".x", "-x", "a b", "a\\b",
            "a\n",
        ] {
            assert!(bad.parse::<Revision>().is_err(), "{bad} was accepted");
        }
        assert!(
            "0123456789abcdef0123456789abcdef01234567".parse::<Revision>().unwrap().is_commit()
        );
        assert!(!Revision::default().is_commit());
    }

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for bad in ["", "../x", "/etc/passwd", "a/../../x", "a//b", "./x", "a\\b", "C:x", "x\0"] {
            assert!(check_file_name(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(check_file_name("onnx/model.onnx").is_ok());
    }
}
