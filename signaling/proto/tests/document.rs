//! `PROTOCOL.md` and the types say the same.
#![allow(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use parlor_proto::{
    CHAT_CHARACTERS_MAX, ChatMessage, ClientMessage, ControlMessage, DecodeMessageError, ErrorCode, MESSAGE_BYTES_MAX,
    PeerId, ServerMessage, fuzz::fuzz_wire,
};
use serde_json::{Deserializer, Value};

/// A message of the document: the heading it stands under, and its JSON.
struct Example {
    heading: String,
    text: String,
}

fn document() -> String {
    let id = |bits| PeerId::from_random(bits).to_string();
    include_str!("../PROTOCOL.md")
        .replace("\"PEER2\"", &format!("{:?}", id(2)))
        .replace("\"PEER\"", &format!("{:?}", id(1)))
}

fn examples() -> Vec<Example> {
    let document = document();
    let (mut heading, mut block, mut examples) = (String::new(), None::<String>, Vec::new());
    for line in document.lines() {
        match (&mut block, line) {
            (None, "```json") => block = Some(String::new()),
            (Some(text), "```") => {
                // The examples shorten long values; a token is ASCII.
                let values = Deserializer::from_str(text).into_iter::<Value>();
                let texts =
                    values.map(|value| value.expect("the block is JSON").to_string().replace("AQAAAABo…", "AQAAAABo"));
                examples.extend(texts.map(|text| Example { heading: heading.clone(), text }));
                block = None;
            }
            (Some(text), line) => text.push_str(&format!("{line}\n")),
            (None, line) => {
                if let Some(title) = line.strip_prefix("## ") {
                    heading = title.to_owned();
                }
            }
        }
    }
    examples
}

/// Reads an example as what its heading says it is, and writes it again.
fn rewrite(example: &Example) -> Result<String, DecodeMessageError> {
    let text = &example.text;
    match example.heading.as_str() {
        "From client to server" => ClientMessage::decode(text).map(|message| message.encode()),
        "From server to client" => ServerMessage::decode(text).map(|message| message.encode()),
        "Between peers: data channels" => ControlMessage::decode(text)
            .map(|message| message.encode())
            .or_else(|_| ChatMessage::decode(text).map(|message| message.encode())),
        other => panic!("{other} has a JSON block, and no test reads it"),
    }
}

#[test]
fn every_json_block_of_the_document_is_read_and_written_again_unchanged() {
    for example in examples() {
        let written = rewrite(&example).unwrap_or_else(|error| panic!("{error}: {}", example.text));
        let (before, after): (Value, Value) =
            (serde_json::from_str(&example.text).unwrap(), serde_json::from_str(&written).unwrap());
        assert_eq!(before, after);
        fuzz_wire(example.text.as_bytes());
    }
}

#[test]
fn no_message_prints_a_secret_of_its_own() {
    let hidden = ["password", "access", "resume", "resume_token", "credential"];
    let mut found = 0;
    for example in examples() {
        let mut value: Value = serde_json::from_str(&example.text).unwrap();
        hide(&mut value, &hidden, &mut found);
        let text = value.to_string();
        let printed = match example.heading.as_str() {
            "From client to server" => format!("{0:?} {0:#?}", ClientMessage::decode(&text).unwrap()),
            "From server to client" => format!("{0:?} {0:#?}", ServerMessage::decode(&text).unwrap()),
            _ => continue,
        };
        assert!(!printed.contains("hunter2"), "{printed}");
    }
    assert!(found >= 8, "the document has {found} secrets");
}

/// Puts the same secret wherever one can stand.
fn hide(value: &mut Value, names: &[&str], found: &mut usize) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if names.contains(&name.as_str()) {
                    *value = "hunter2".into();
                    *found += 1;
                } else {
                    hide(value, names, found);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| hide(value, names, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_document_has_every_message() {
    let mut types: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for example in examples() {
        let value: Value = serde_json::from_str(&example.text).unwrap();
        types.entry(example.heading).or_default().insert(value["type"].as_str().unwrap().to_owned());
    }
    let types: Vec<Vec<&str>> = types.values().map(|types| types.iter().map(String::as_str).collect()).collect();
    assert_eq!(
        types,
        [
            vec!["bye", "hello", "media_state", "message", "video_reduced", "video_resumed", "video_suspended"],
            vec!["hello", "join", "leave", "refresh_ice_servers", "remove", "set_lock", "set_password", "signal"],
            vec![
                "error",
                "ice_servers",
                "joined",
                "peer_away",
                "peer_back",
                "peer_joined",
                "peer_left",
                "policy",
                "roster",
                "signal",
                "welcome",
            ],
        ]
    );
}

#[test]
fn unknown_fields_are_ignored_and_missing_options_are_none() {
    for example in examples() {
        let mut value: Value = serde_json::from_str(&example.text).unwrap();
        let object = value.as_object_mut().unwrap();
        object.insert("from_the_future".into(), Value::Bool(true));
        object.retain(|_, value| !value.is_null());
        let example = Example { text: value.to_string(), ..example };
        assert!(rewrite(&example).is_ok(), "{}", example.text);
    }
}

#[test]
fn a_strange_type_is_told_from_a_broken_message() {
    let decode = |text: &str| ClientMessage::decode(text).unwrap_err();
    for text in [r#"{"type":"dance"}"#, r#"{"type":"joined"}"#, r#"{"x":1,"type":"d\u0061nce"}"#] {
        assert!(matches!(decode(text), DecodeMessageError::UnknownType), "{text}");
    }
    for text in
        ["", "{", "[]", "{}", r#"{"type":7}"#, r#"{"type":"join"}"#, r#"{"type":"leave"} x"#, &"[".repeat(9_999)]
    {
        assert!(matches!(decode(text), DecodeMessageError::Malformed(_)), "{text}");
    }
}

#[test]
fn what_newer_programs_say_is_read_as_unknown() {
    for text in [
        r#"{"type":"peer_left","peer_id":"a","reason":"abducted"}"#,
        r#"{"type":"error","code":"tired","message":"I am tired."}"#,
        r#"{"type":"signal","from":"a","connection":"c","signal":{"kind":"offer","sdp":"","streams":[
            {"mid":"0","owner":"a","source":"hologram"}]}}"#,
    ] {
        let message = ServerMessage::decode(text).unwrap();
        assert!(message.encode().contains(r#""unknown""#), "{text}");
    }
    let text = r#"{"type":"media_state","microphone":"off","camera":"off","camera_reason":"asleep"}"#;
    assert!(ControlMessage::decode(text).unwrap().encode().contains(r#""camera_reason":"failed""#));
}

#[test]
fn the_table_of_error_codes_is_that_of_the_types() {
    let table = document();
    let rows = table.lines().filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 2);
    let mut codes = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let name = cells[0].trim_matches('`');
        let code: ErrorCode = serde_json::from_value(name.into()).unwrap();
        assert_ne!(code, ErrorCode::Unknown, "{name}");
        let close_code = cells[2].strip_prefix("closed, ").map(|code| code.parse().unwrap());
        assert_eq!(code.close_code(), close_code, "{name}");
        codes.insert(name.to_owned());
    }
    assert_eq!(codes.len(), 34, "{codes:?}");
}

#[test]
fn the_limits_of_the_document_hold() {
    let document = document();
    assert!(document.contains(&format!("\"message_bytes\": {MESSAGE_BYTES_MAX}")));
    assert!(document.contains(&format!("\"chat_characters\": {CHAT_CHARACTERS_MAX}")));
}

#[test]
fn bytes_that_are_nothing_are_refused_without_a_panic() {
    for bytes in
        [&b""[..], b"\xff\xfe", b"https://[::1]:1/r/a#fp=zz", b"{\"type\":\"\\ud800\"}", b"\0", "ﬀİK".as_bytes()]
    {
        fuzz_wire(bytes);
    }
}

#[test]
fn damaged_messages_are_refused_or_read_but_never_panic() {
    for example in examples() {
        let bytes = example.text.as_bytes();
        for place in 0..bytes.len() {
            fuzz_wire(&bytes[..place]);
            fuzz_wire(&[&bytes[..place], &bytes[place + 1..]].concat());
            for byte in [b'"', b'{', b'0', b'\\', 0, 0x80] {
                let mut damaged = bytes.to_vec();
                damaged[place] = byte;
                fuzz_wire(&damaged);
            }
        }
    }
}
