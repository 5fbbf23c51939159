//! WebSocket frames from bytes: the pieces they come in change nothing, and what is held stays bounded.

use std::ops::ControlFlow;

use parlor_proto::MESSAGE_BYTES_MAX;

use crate::websocket::{Broken, Reader};

/// Reads bytes as frames, once whole and once in pieces of the length that the first byte says; panics where the two differ.
pub fn fuzz_websocket(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else { return };
    let whole = hear(bytes, usize::MAX);
    let pieces = hear(bytes, usize::from(piece).max(1));
    assert_eq!(whole, pieces, "pieces of {piece}");
}

fn hear(bytes: &[u8], piece: usize) -> (Vec<String>, Result<(), Broken>) {
    let (mut reader, mut heard) = (Reader::new(MESSAGE_BYTES_MAX), Vec::new());
    for piece in bytes.chunks(piece.min(bytes.len().max(1))) {
        let outcome = reader.feed(&mut piece.to_vec(), |message| {
            heard.push(format!("{message:?}"));
            ControlFlow::Continue(())
        });
        // A frame's header has at most 14 bytes (RFC 6455 §5.2).
        assert!(reader.held() <= 2 * MESSAGE_BYTES_MAX + 14, "{} bytes are held", reader.held());
        match outcome {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(broken) => return (heard, Err(broken)),
        }
    }
    (heard, Ok(()))
}
