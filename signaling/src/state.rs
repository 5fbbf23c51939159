//! What a server keeps between starts: files that only its user can read.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::access::AccessKey;
use crate::config::{Secret, ServerConfig, TurnFile};
use crate::error::StartError;
use crate::turn::TurnConfig;

/// HMAC-SHA256 gains nothing from fewer or from more (RFC 2104 §3).
const SECRET_BYTES: usize = 32;
const SECRET_BYTES_MIN: usize = 16;

/// Thirty-two bytes that nobody can guess.
pub(crate) fn random_seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).map_err(|_| StartError::Random)?;
    Ok(seed)
}

/// The secret of the resume tokens; made and kept where there was none.
pub(crate) fn load_secret(config: &ServerConfig) -> Result<Vec<u8>, StartError> {
    if let Some(secret) = known_secret(config)? {
        return Ok(secret);
    }
    let secret = random_seed()?[..SECRET_BYTES].to_vec();
    write_private(&secret_path(config)?, &secret)?;
    Ok(secret)
}

/// The TURN servers with their secret; none where none are named.
pub(crate) fn load_turn(config: &ServerConfig) -> Result<Option<TurnConfig>, StartError> {
    let Some(TurnFile { urls, secret: path, lifetime }) = &config.turn else { return Ok(None) };
    let content = fs::read(path).map_err(StartError::read(path))?;
    let secret = content.trim_ascii().to_vec();
    if secret.is_empty() {
        return Err(StartError::EmptyTurnSecret { path: path.clone() });
    }
    Ok(Some(TurnConfig { urls: urls.clone(), secret, lifetime: *lifetime }))
}

/// What access tokens are verified with; none where none are asked for.
pub(crate) fn load_access_key(config: &ServerConfig) -> Result<Option<AccessKey>, StartError> {
    let Some(path) = &config.access_key_file else { return Ok(None) };
    let content = fs::read(path).map_err(StartError::read(path))?;
    let key = AccessKey::from_file_content(&content);
    key.map(Some).map_err(|reason| StartError::AccessKey { path: path.clone(), reason })
}

/// Says what is wrong with the secret, where there is one.
pub(crate) fn check_secret(config: &ServerConfig) -> Result<(), StartError> {
    known_secret(config).map(drop)
}

/// The secret that is given or kept; none where one is to be made.
fn known_secret(config: &ServerConfig) -> Result<Option<Vec<u8>>, StartError> {
    if let Secret::Given(secret) = &config.secret {
        return Ok(Some(secret.clone()));
    }
    let path = secret_path(config)?;
    match read_if_there(&path)? {
        Some(secret) if secret.len() < SECRET_BYTES_MIN => Err(StartError::ShortSecret { path }),
        secret => Ok(secret),
    }
}

fn secret_path(config: &ServerConfig) -> Result<PathBuf, StartError> {
    match &config.secret {
        Secret::File(path) => Ok(path.clone()),
        Secret::StateDir | Secret::Given(_) => state_file(config, "secret"),
    }
}

/// The token for the metrics; none where they are for this machine only.
pub(crate) fn load_metrics_token(config: &ServerConfig) -> Result<Option<String>, StartError> {
    let Some(path) = &config.metrics_token_file else { return Ok(None) };
    let text = fs::read_to_string(path).map_err(StartError::read(path))?;
    let token = text.trim().to_owned();
    if token.len() < SECRET_BYTES_MIN { Err(StartError::ShortToken { path: path.clone() }) } else { Ok(Some(token)) }
}

/// What servers know each other's secret by, and nobody learns it from.
pub(crate) fn secret_fingerprint(secret: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, b"parlor secret fingerprint 1\0");
    tag.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A file of this name in the state folder.
pub(crate) fn state_file(config: &ServerConfig, name: &str) -> Result<PathBuf, StartError> {
    config.state_dir.as_ref().map(|dir| dir.join(name)).ok_or(StartError::NoStateDir)
}

/// The file's content; none where there is no such file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StartError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StartError::read(path)(error)),
    }
}

/// Writes a file that only this user can read. Whoever reads it meanwhile sees all of it or nothing.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), StartError> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(StartError::write(path))?;
    }
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = create_private(&unfinished)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, path));
    written.map_err(|error| {
        // Best effort: the error that is told is the first one.
        let _ = fs::remove_file(&unfinished);
        StartError::write(path)(error)
    })
}

fn create_private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path) -> ServerConfig {
        ServerConfig { state_dir: Some(dir.join("parlor")), ..ServerConfig::default() }
    }

    #[test]
    fn the_secret_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_secret(&config(dir.path())).unwrap();
        assert_eq!(first.len(), SECRET_BYTES);
        assert_eq!(load_secret(&config(dir.path())).unwrap(), first);
        assert_eq!(fs::read_dir(dir.path().join("parlor")).unwrap().count(), 1);
    }

    #[test]
    fn the_turn_secret_is_read_without_the_line_end_and_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("turn");
        let turn = TurnFile { urls: vec!["turn:a".into()], secret: path.clone(), lifetime: TurnConfig::LIFETIME };
        let config = ServerConfig { turn: Some(turn), ..config(dir.path()) };
        assert!(load_turn(&config).unwrap_err().to_string().contains("Cannot read"));
        fs::write(&path, "\n").unwrap();
        assert!(load_turn(&config).unwrap_err().to_string().contains("static-auth-secret"));
        fs::write(&path, "north\r\n").unwrap();
        assert_eq!(load_turn(&config).unwrap().unwrap().secret, b"north");
    }

    #[cfg(unix)]
    #[test]
    fn only_this_user_can_read_the_secret() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        load_secret(&config(dir.path())).unwrap();
        let mode = fs::metadata(dir.path().join("parlor/secret")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_secret_file_is_read_or_made_and_must_be_long_enough() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own");
        let config = ServerConfig { secret: Secret::File(path.clone()), ..config(dir.path()) };
        assert_eq!(load_secret(&config).unwrap(), fs::read(&path).unwrap());
        fs::write(&path, "short").unwrap();
        assert!(matches!(load_secret(&config), Err(StartError::ShortSecret { .. })));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("parlor"), "a file").unwrap();
        let error = load_secret(&config(dir.path())).unwrap_err();
        assert!(error.to_string().contains("parlor"), "{error}");
        let error = load_secret(&ServerConfig { state_dir: None, ..ServerConfig::default() }).unwrap_err();
        assert!(error.to_string().contains("--state-dir"), "{error}");
    }
}
