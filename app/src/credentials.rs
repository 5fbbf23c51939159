//! Password and access token: where the command line, the environment or a link has them.
//!
//! Neither is ever an argument itself, which everyone on the machine could read in the list of processes; a link that
//! carries them is, and its user's choice.

use std::io;
use std::path::{Path, PathBuf};

use parlor_engine::{Credentials, Secret};
use parlor_proto::RoomLink;

/// The password's variable.
const PASSWORD_VARIABLE: &str = "PARLOR_PASSWORD";
/// The access token's variable.
const ACCESS_VARIABLE: &str = "PARLOR_ACCESS";
/// A longer file is no password and no token: both are at most 2,048 bytes, and a line's end.
const FILE_BYTES_MAX: usize = 4_096;

/// Why there is no secret in a file.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("{} can't be read: {source}.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is too large or not text.
    #[error("{} has no password or token: one line of text is expected.", path.display())]
    NoLine {
        /// The file.
        path: PathBuf,
    },
}

impl PartialEq for CredentialsError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for CredentialsError {}

/// What flags and the environment give, before a link is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    flags: Credentials,
    environment: Credentials,
}

impl Given {
    /// Reads the files that flags name, and the variables.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(password_file: Option<&Path>, access_file: Option<&Path>) -> Result<Self, CredentialsError> {
        Self::read_with(password_file, access_file, |variable| std::env::var(variable).ok())
    }

    fn read_with(
        password_file: Option<&Path>,
        access_file: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, CredentialsError> {
        let variable = |name| variable(name).filter(|text| !text.is_empty()).map(Secret::from);
        Ok(Self {
            flags: Credentials {
                access: access_file.map(line_of).transpose()?,
                password: password_file.map(line_of).transpose()?,
            },
            environment: Credentials { access: variable(ACCESS_VARIABLE), password: variable(PASSWORD_VARIABLE) },
        })
    }

    /// What to show at the door: of each the flag's, else the link's, else the environment's.
    pub fn for_link(self, link: Option<&RoomLink>) -> Credentials {
        let linked = link.map(of_link).unwrap_or_default();
        let Self { flags, environment } = self;
        Credentials {
            access: flags.access.or(linked.access).or(environment.access),
            password: flags.password.or(linked.password).or(environment.password),
        }
    }
}

/// What a link carries.
pub fn of_link(link: &RoomLink) -> Credentials {
    let secret = |text: &Option<String>| text.clone().map(Secret::from);
    Credentials { access: secret(&link.access), password: secret(&link.password) }
}

/// The one line of a file, without its end.
fn line_of(path: &Path) -> Result<Secret, CredentialsError> {
    let no_line = || CredentialsError::NoLine { path: path.to_owned() };
    let bytes = std::fs::read(path).map_err(|source| CredentialsError::Unreadable { path: path.to_owned(), source })?;
    let text = String::from_utf8(bytes).map_err(|_| no_line())?;
    let line = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() || line.len() > FILE_BYTES_MAX || line.contains('\n') {
        return Err(no_line());
    }
    Ok(Secret::from(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_counts_before_the_link_and_the_link_before_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "from the file\r\n").unwrap();
        let variable = |name: &str| Some(format!("{name} itself"));
        let link: RoomLink = "https://a.example/r/tea#password=linked".parse().unwrap();
        let given = Given::read_with(Some(&file), None, variable).unwrap();
        assert_eq!(shown(given.for_link(Some(&link))), ("PARLOR_ACCESS itself".into(), "from the file".into()));
        let given = Given::read_with(None, None, variable).unwrap();
        assert_eq!(shown(given.clone().for_link(Some(&link))).1, "linked");
        assert_eq!(shown(given.for_link(None)).1, "PARLOR_PASSWORD itself");
        let nothing = Given::read_with(None, None, |_| Some(String::new())).unwrap();
        assert_eq!(nothing.for_link(None), Credentials::default());
    }

    #[test]
    fn a_file_holds_one_line_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, " three green apples ").unwrap();
        assert_eq!(line_of(&file).unwrap().reveal(), " three green apples ");
        for wrong in [&b""[..], b"\n", b"one\ntwo\n", b"\xff\xfe", &[b'x'; FILE_BYTES_MAX + 1]] {
            std::fs::write(&file, wrong).unwrap();
            let error = line_of(&file).unwrap_err().to_string();
            assert!(error.contains("one line of text"), "{error}");
        }
        let error = line_of(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("can't be read"), "{error}");
    }

    fn shown(credentials: Credentials) -> (String, String) {
        let reveal = |secret: Option<Secret>| secret.map_or(String::new(), |secret| secret.reveal().to_owned());
        (reveal(credentials.access), reveal(credentials.password))
    }
}
