//! The access tokens of the fuzzed world: good, forged and expired ones.

use parlor_proto::{ErrorCode, PeerId, RoomId};

use crate::access::{AccessKey, AccessSigner, InvitedIds};

const KEY: &[u8] = b"a key for fuzzing with 32 bytes.";
const OTHER_KEY: &[u8] = b"another key, which nobody trusts";

/// One access token.
pub(super) struct Pass {
    pub(super) text: String,
    room: RoomId,
    jti: &'static str,
    /// What it is refused with everywhere.
    flaw: Option<ErrorCode>,
}

pub(super) fn key() -> Option<AccessKey> {
    AccessKey::from_file_content(KEY).ok()
}

/// All there are.
pub(super) fn all() -> Vec<Pass> {
    let far = u64::from(u32::MAX);
    let good = [("a", "1", true), ("a", "2", false), ("a", "3", false), ("a", "4", true), ("b", "1", true)];
    let mut passes: Vec<_> = good.iter().map(|(room, jti, moderate)| pass(KEY, room, jti, *moderate, far)).collect();
    passes.push(Pass { flaw: Some(ErrorCode::AccessInvalid), ..pass(OTHER_KEY, "a", "1", true, far) });
    passes.push(Pass { flaw: Some(ErrorCode::AccessExpired), ..pass(KEY, "a", "1", true, 1) });
    passes
}

fn pass(key: &[u8], room: &'static str, jti: &'static str, moderate: bool, exp: u64) -> Pass {
    let signer = AccessSigner::from_file_content(key).unwrap_or_else(|error| panic!("{error}"));
    let claims = format!(r#"{{"room":"{room}","jti":"{jti}","moderate":{moderate},"exp":{exp}}}"#);
    Pass { text: signer.sign_json(&claims), room: room.parse().expect("a letter"), jti, flaw: None }
}

impl Pass {
    /// Whose it is in this room, or the code that it is refused with.
    pub(super) fn peer_id(&self, ids: &InvitedIds, room: &RoomId) -> Result<PeerId, ErrorCode> {
        match self.flaw {
            Some(flaw) => Err(flaw),
            None if self.room != *room => Err(ErrorCode::AccessWrongRoom),
            None => Ok(ids.peer_id(room, self.jti)),
        }
    }
}
