//! Tokens made here, made elsewhere, and made to deceive.

use super::*;

pub(crate) const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// Of these tests only.
const PRIVATE_PEM: &[u8] = b"-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEII645whYDNK6bLZmbNTswYpKD6O2lJjjlsTUwRx/UJEb
-----END PRIVATE KEY-----
";
const PUBLIC_PEM: &[u8] = b"-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA3mY0C+hnHuHIDsoZ+iQcBUIrCtMIOua8t1/Joi1DRKs=
-----END PUBLIC KEY-----
";
/// P-256.
const OTHER_PEM: &[u8] = b"-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAED6uQQl/1T1Wr2rDEb9GV2DWLFDnb
lni1OPW6kUQOG67m2RyV82X/9rc3oK+ie452nH3N5WEjaa/4E1hrm9Z+xg==
-----END PUBLIC KEY-----
";
/// Made with the standard library of Python and with OpenSSL: `room` Quiet-Otter, `exp` 1000000000.5, `jti` a, `name`
/// Ana, `moderate`, and a claim of somebody else.
const FOREIGN_HS256: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJyb29tIjoiUXVpZXQtT3R0ZXIiLCJleHAiOjEwMDAwMDAwMDAuNSwianRpIjoiYSIsIm5hbWUiOiJBbmEiLCJtb2RlcmF0ZSI6dHJ1ZSwiaXNzIjoic29tZWJvZHkifQ.JABpk8fNMKtvXbJKUMOQBOFze-mSyUIx2M_Gs6z48Zo";
const FOREIGN_EDDSA: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.eyJyb29tIjoiUXVpZXQtT3R0ZXIiLCJleHAiOjEwMDAwMDAwMDAuNSwianRpIjoiYSIsIm5hbWUiOiJBbmEiLCJtb2RlcmF0ZSI6dHJ1ZSwiaXNzIjoic29tZWJvZHkifQ.PAcM_0E9jWxtdyBQdbLW4qnVxvPTT2yyzEoTDeegfAj5-kNVRCK594anqvv2yF3icrVW8ohCcMS4jpTyXpmSBA";
const END: u64 = 1_000_000_000;

fn keys() -> [(AccessSigner, AccessKey, &'static str); 2] {
    [(SECRET, SECRET, FOREIGN_HS256), (PRIVATE_PEM, PUBLIC_PEM, FOREIGN_EDDSA)].map(|(signing, verifying, foreign)| {
        let signer = AccessSigner::from_file_content(signing).unwrap_or_else(|error| panic!("{error}"));
        (signer, AccessKey::from_file_content(verifying).unwrap(), foreign)
    })
}

fn room() -> RoomId {
    "quiet-otter".parse().unwrap()
}

#[test]
fn tokens_made_elsewhere_are_read() {
    for (_, key, foreign) in keys() {
        let invitation = key.verify(foreign, &room(), END).unwrap();
        let name = Some("Ana".parse().unwrap());
        assert_eq!(invitation, Invitation { expires_at: END, jti: "a".into(), name, moderate: true });
    }
}

#[test]
fn tokens_made_here_are_each_for_another_person() {
    for (signer, key, _) in keys() {
        let claims = AccessClaims { room: room(), expires_at: END, name: None, moderate: false };
        let [one, two] = [(); 2].map(|()| key.verify(&signer.sign(&claims).unwrap(), &room(), END - 1).unwrap());
        assert_eq!((one.expires_at, &one.name, one.moderate), (END, &None, false));
        assert_ne!(one.jti, two.jti);
        let ids = InvitedIds::new(b"secret");
        assert_eq!(ids.peer_id(&room(), &one.jti), InvitedIds::new(b"secret").peer_id(&room(), &one.jti));
        assert_ne!(ids.peer_id(&room(), &one.jti), ids.peer_id(&room(), &two.jti));
        assert_ne!(ids.peer_id(&room(), &one.jti), ids.peer_id(&"another".parse().unwrap(), &one.jti));
        assert_ne!(ids.peer_id(&room(), &one.jti), InvitedIds::new(b"other").peer_id(&room(), &one.jti));
    }
}

#[test]
fn a_token_holds_for_its_time_and_half_a_minute_around_it() {
    for (signer, key, _) in keys() {
        let token = signer.sign_json(r#"{"room":"quiet-otter","jti":"a","nbf":1000,"exp":2000}"#);
        let verify = |now| key.verify(&token, &room(), now).map(|_| ());
        let expired = Err(ErrorCode::AccessExpired);
        assert_eq!([969, 970, 2_029, 2_030].map(verify), [expired, Ok(()), Ok(()), expired]);
    }
}

#[test]
fn a_token_for_another_room_has_its_own_code() {
    for (_, key, foreign) in keys() {
        let elsewhere = "elsewhere".parse().unwrap();
        assert_eq!(key.verify(foreign, &elsewhere, END), Err(ErrorCode::AccessWrongRoom));
        assert_eq!(key.verify(foreign, &elsewhere, END * 2), Err(ErrorCode::AccessExpired));
    }
}

#[test]
fn no_byte_of_a_token_can_be_altered() {
    for (_, key, foreign) in keys() {
        for place in 0..foreign.len() {
            for other in [b'A', b'.', b'_', b'~'] {
                let mut altered = foreign.as_bytes().to_vec();
                if altered[place] == other {
                    continue;
                }
                altered[place] = other;
                let altered = String::from_utf8(altered).unwrap();
                assert_eq!(key.verify(&altered, &room(), END), Err(ErrorCode::AccessInvalid), "{altered}");
            }
        }
        for end in 0..foreign.len() {
            assert_eq!(key.verify(&foreign[..end], &room(), END), Err(ErrorCode::AccessInvalid), "{end}");
        }
    }
}

#[test]
fn the_algorithm_is_the_keys_and_never_the_tokens() {
    let [(hs256, hs256_key, _), (_, eddsa_key, _)] = keys();
    let claims = r#"{"room":"quiet-otter","jti":"a","exp":1000000000}"#;
    // Signed with the public key as if it were a secret.
    let confused = AccessSigner(Algorithm::Hs256(hmac::Key::new(hmac::HMAC_SHA256, PUBLIC_PEM))).sign_json(claims);
    assert_eq!(eddsa_key.verify(&confused, &room(), END), Err(ErrorCode::AccessInvalid));
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"EdDSA"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        "[]",
    ] {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let Algorithm::Hs256(key) = &hs256.0 else { panic!("not HS256") };
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(key, signed.as_bytes()));
        for token in [format!("{signed}.{signature}"), format!("{signed}.")] {
            assert_eq!(hs256_key.verify(&token, &room(), END), Err(ErrorCode::AccessInvalid), "{header}");
        }
    }
}

#[test]
fn claims_of_the_wrong_form_are_invalid_though_they_are_signed() {
    let [(signer, key, _), _] = keys();
    let long_jti = format!(r#"{{"room":"quiet-otter","jti":"{}","exp":1000000000}}"#, "a".repeat(65));
    let long_claim = format!(r#"{{"room":"quiet-otter","jti":"a","exp":1000000000,"x":"{}"}}"#, "a".repeat(2_000));
    for claims in [
        r#"{"room":"quiet-otter","jti":"a"}"#,
        r#"{"room":"quiet-otter","exp":1000000000}"#,
        r#"{"jti":"a","exp":1000000000}"#,
        r#"{"room":"quiet-otter","jti":"","exp":1000000000}"#,
        r#"{"room":"quiet-otter","jti":"a","exp":"1000000000"}"#,
        r#"{"room":"quiet-otter","jti":"a","exp":1000000000,"exp":9000000000}"#,
        r#"{"room":"quiet-otter","jti":"a","exp":1000000000,"name":""}"#,
        r#"{"room":"quiet-otter","jti":"a","exp":1000000000,"name":"a\nb"}"#,
        r#"{"room":"quiet-otter","jti":"a","exp":1000000000,"moderate":"yes"}"#,
        &long_jti,
        &long_claim,
        "null",
    ] {
        assert_eq!(key.verify(&signer.sign_json(claims), &room(), END), Err(ErrorCode::AccessInvalid), "{claims}");
    }
}

#[test]
fn key_files_of_the_wrong_kind_are_told_apart_in_words() {
    let server = |content: &[u8]| AccessKey::from_file_content(content).map(|key| format!("{key:?}"));
    let signer = |content: &[u8]| AccessSigner::from_file_content(content).map(|_| ());
    assert_eq!(server(SECRET).as_deref(), Ok("AccessKey(HS256)"));
    assert_eq!(server(PUBLIC_PEM).as_deref(), Ok("AccessKey(EdDSA)"));
    assert_eq!(server(&SECRET[1..]), Err(InvalidAccessKey::Short));
    assert_eq!(server(&[&SECRET[1..], b"\r\n\n"].concat()), Err(InvalidAccessKey::Short));
    assert_eq!(server(PRIVATE_PEM), Err(InvalidAccessKey::Private));
    assert_eq!(server(OTHER_PEM), Err(InvalidAccessKey::Pem));
    assert_eq!(server(b"-----BEGIN nothing"), Err(InvalidAccessKey::Pem));
    assert_eq!((signer(SECRET), signer(PRIVATE_PEM)), (Ok(()), Ok(())));
    assert_eq!(signer(PUBLIC_PEM), Err(InvalidAccessKey::Public));
    assert_eq!(signer(&SECRET[1..]), Err(InvalidAccessKey::Short));
    let key = AccessKey::from_file_content(&[SECRET, b"\n"].concat()).unwrap();
    assert!(key.verify(FOREIGN_HS256, &room(), END).is_ok());
}
