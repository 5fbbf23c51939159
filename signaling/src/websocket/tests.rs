use std::ops::ControlFlow;

use parlor_proto::MESSAGE_BYTES_MAX;
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameSocket};

use super::*;

/// What was heard, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    Text(String),
    Binary(usize),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

impl Heard<'_> {
    fn keep(&self) -> Kept {
        match self {
            Heard::Text(text) => Kept::Text((*text).to_owned()),
            Heard::Binary(bytes) => Kept::Binary(*bytes),
            Heard::Ping(payload) => Kept::Ping(payload.to_vec()),
            Heard::Pong => Kept::Pong,
            Heard::Close(code) => Kept::Close(*code),
        }
    }
}

/// Feeds the bytes in pieces of these lengths in turn.
fn hear(bytes: &[u8], pieces: &[usize]) -> (Vec<Kept>, Result<(), Broken>, Reader) {
    let (mut reader, mut kept, mut rest, mut pieces) =
        (Reader::new(MESSAGE_BYTES_MAX), Vec::new(), bytes, pieces.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((*pieces.next().unwrap()).min(rest.len()));
        rest = after;
        let flow = reader.feed(&mut piece.to_vec(), |heard| {
            kept.push(heard.keep());
            ControlFlow::Continue(())
        });
        match flow {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(broken) => return (kept, Err(broken), reader),
        }
    }
    (kept, Ok(()), reader)
}

/// Frames as a client of another make writes them.
fn masked(frames: impl IntoIterator<Item = Frame>) -> Vec<u8> {
    let mut socket = FrameSocket::new(std::io::Cursor::new(Vec::new()));
    for mut frame in frames {
        frame.header_mut().mask = Some([7, 11, 13, 17]);
        socket.send(frame).unwrap();
    }
    socket.into_inner().0.into_inner()
}

fn data(text: &str, kind: Data, is_final: bool) -> Frame {
    Frame::message(text.as_bytes().to_vec(), OpCode::Data(kind), is_final)
}

#[test]
fn frames_of_another_make_are_read_whatever_pieces_they_come_in() {
    let bytes = masked([
        data("one", Data::Text, true),
        data("tw", Data::Text, false),
        Frame::ping(b"there?".to_vec()),
        data("o", Data::Continue, false),
        data(" – é", Data::Continue, true),
        data(&"x".repeat(70), Data::Binary, true),
        Frame::message(vec![b'y'; MESSAGE_BYTES_MAX], OpCode::Data(Data::Text), true),
        data("", Data::Text, true),
        Frame::pong(Vec::new()),
        Frame::close(None),
    ]);
    let expected = [
        Kept::Text("one".into()),
        Kept::Ping(b"there?".to_vec()),
        Kept::Text("two – é".into()),
        Kept::Binary(70),
        Kept::Text("y".repeat(MESSAGE_BYTES_MAX)),
        Kept::Text(String::new()),
        Kept::Pong,
        Kept::Close(None),
    ];
    for pieces in [&[usize::MAX][..], &[1], &[3, 1_000], &[16_384], &[2, 5, 60_000]] {
        let (kept, outcome, reader) = hear(&bytes, pieces);
        assert_eq!((kept.as_slice(), outcome), (&expected[..], Ok(())));
        assert_eq!((reader.held(), reader.incomplete.capacity()), (0, 0), "a quiet reader holds no buffer");
    }
}

#[test]
fn what_the_rfc_forbids_ends_the_reading() {
    let wrong: [&[u8]; 10] = [
        b"\x81\x02hi",
        b"\x83\x80\0\0\0\0",
        b"\xf1\x80\0\0\0\0",
        b"\x89\xfe\x01\x00\0\0\0\0",
        b"\x09\x80\0\0\0\0",
        b"\x80\x80\0\0\0\0",
        b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0",
        b"\x88\x81\0\0\0\0\x03",
        b"\x88\x82\0\0\0\0\x03\xed",
        b"\x88\x83\0\0\0\0\x03\xe8\xff",
    ];
    for bytes in wrong {
        let (kept, outcome, _) = hear(bytes, &[usize::MAX]);
        assert!(kept.is_empty() && matches!(outcome, Err(Broken::Protocol(_))), "{bytes:?}: {outcome:?}");
    }
    assert_eq!(hear(b"\x81\x82\0\0\0\0\xff\xff", &[1]).1, Err(Broken::NotUtf8));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_there() {
    let length = u64::try_from(MESSAGE_BYTES_MAX).unwrap() + 1;
    for length in [length, 1 << 62, u64::MAX] {
        let header = [&b"\x81\xff"[..], &length.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(hear(&header, &[1]).1, Err(Broken::TooLarge));
    }
    let half = "x".repeat(MESSAGE_BYTES_MAX / 2 + 1);
    let fragments = masked([data(&half, Data::Text, false), data(&half, Data::Continue, true)]);
    assert_eq!(hear(&fragments, &[10_000]).1, Err(Broken::TooLarge));
}

#[test]
fn nothing_is_read_after_a_close_or_where_the_caller_breaks_off() {
    let close = [&b"\x88\x82\0\0\0\0\x03\xe8"[..], b"\x81\x81\0\0\0\0a"].concat();
    assert_eq!(hear(&close, &[usize::MAX]).0, [Kept::Close(Some(1000))]);
    let mut two = masked([data("a", Data::Text, true), data("b", Data::Text, true)]);
    let mut heard = 0;
    let flow = Reader::new(MESSAGE_BYTES_MAX).feed(&mut two, |_| {
        heard += 1;
        ControlFlow::Break(())
    });
    assert_eq!((heard, flow), (1, Ok(ControlFlow::Break(()))));
}

#[test]
fn a_client_of_another_make_reads_what_is_written() {
    let mut bytes = Vec::new();
    for length in [0, 125, 126, 65_535, 65_536] {
        write_frame(TEXT, &vec![b'x'; length], &mut bytes);
    }
    write_frame(PING, b"", &mut bytes);
    write_close(4001, &"é".repeat(100), &mut bytes);
    let mut socket = FrameSocket::new(std::io::Cursor::new(bytes));
    for length in [0, 125, 126, 65_535, 65_536] {
        let frame = socket.read(None).unwrap().unwrap();
        assert_eq!((frame.header().opcode, frame.payload().len()), (OpCode::Data(Data::Text), length));
    }
    assert_eq!(socket.read(None).unwrap().unwrap().header().opcode, OpCode::Control(Control::Ping));
    let close = socket.read(None).unwrap().unwrap();
    assert_eq!(close.header().opcode, OpCode::Control(Control::Close));
    assert_eq!(close.payload(), [&4001_u16.to_be_bytes()[..], "é".repeat(61).as_bytes()].concat());
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_heard_the_same_in_any_pieces(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x81), Just(0x80), Just(0), Just(0x01)], 0..300),
    ) {
        crate::fuzz::fuzz_websocket(&bytes);
    }
}
