//! WebSocket frames as a server reads and writes them (RFC 6455 §5), without I/O.
//!
//! tungstenite reads and writes their headers; its own sockets keep a buffer for each connection, and this is made for many
//! that are quiet most of the time: between two messages a reader holds no buffer at all, and a message that came in one
//! piece is read where it lies. What it holds is bounded by the longest message for the
//! fragments of one, the same for a frame that is not complete, and what is fed at once.

use std::io::Cursor;
use std::ops::ControlFlow;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// RFC 6455 §5.5: a control frame carries no more.
const CONTROL_BYTES_MAX: usize = 125;

pub(crate) const TEXT: OpCode = OpCode::Data(Data::Text);
pub(crate) const CLOSE: OpCode = OpCode::Control(Control::Close);
pub(crate) const PING: OpCode = OpCode::Control(Control::Ping);
pub(crate) const PONG: OpCode = OpCode::Control(Control::Pong);

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard<'bytes> {
    Text(&'bytes str),
    /// This many bytes that are no text.
    Binary(usize),
    /// To be answered with a pong of the same content.
    Ping(&'bytes [u8]),
    Pong,
    /// The client ends the connection; nothing follows.
    Close(Option<u16>),
}

/// Why a connection cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// A message that is longer than the longest.
    #[error("a message is too large")]
    TooLarge,
    /// A text that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// Against RFC 6455.
    #[error("{0}")]
    Protocol(&'static str),
}

/// Reads the frames of one client.
#[derive(Debug)]
pub(crate) struct Reader {
    message_bytes_max: usize,
    /// The beginning of a frame that is not complete.
    incomplete: Vec<u8>,
    /// The message that goes on in the next frame, and whether it is text.
    message: Option<(bool, Vec<u8>)>,
}

impl Reader {
    pub(crate) fn new(message_bytes_max: usize) -> Self {
        Self { message_bytes_max, incomplete: Vec::new(), message: None }
    }

    /// Reads on. `heard` gets what is complete, in order, and breaks off where nothing more shall be read.
    ///
    /// # Errors
    /// [`Broken`]; nothing can be read after it.
    pub(crate) fn feed(
        &mut self,
        bytes: &mut [u8],
        mut heard: impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Broken> {
        if self.incomplete.is_empty() {
            let (used, flow) = self.read_frames(bytes, &mut heard)?;
            self.incomplete.extend_from_slice(&bytes[used..]);
            return Ok(flow);
        }
        self.incomplete.extend_from_slice(bytes);
        let mut all = std::mem::take(&mut self.incomplete);
        let (used, flow) = self.read_frames(&mut all, &mut heard)?;
        if used == 0 {
            self.incomplete = all;
        } else {
            self.incomplete.extend_from_slice(&all[used..]);
        }
        Ok(flow)
    }

    /// Bytes of what is not complete.
    pub(crate) fn held(&self) -> usize {
        self.incomplete.len() + self.message.as_ref().map_or(0, |(_, message)| message.len())
    }

    /// Reads what is complete; how many bytes that was.
    fn read_frames(
        &mut self,
        bytes: &mut [u8],
        heard: &mut impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) -> Result<(usize, ControlFlow<()>), Broken> {
        let mut used = 0;
        while let Some(header) = Header::read(&bytes[used..])? {
            self.check(&header)?;
            let start = used + header.bytes;
            let Some(payload) = bytes.get_mut(start..start + header.payload) else { break };
            unmask(payload, header.mask);
            used = start + header.payload;
            if self.handle_frame(&header, payload, heard)?.is_break() {
                return Ok((used, ControlFlow::Break(())));
            }
        }
        Ok((used, ControlFlow::Continue(())))
    }

    /// Refuses what is too large before it is there.
    fn check(&self, header: &Header) -> Result<(), Broken> {
        let before = self.message.as_ref().map_or(0, |(_, message)| message.len());
        match header.opcode {
            OpCode::Data(Data::Continue) if self.message.is_none() => {
                Err(Broken::Protocol("a continuation of nothing"))
            }
            OpCode::Data(Data::Text | Data::Binary) if self.message.is_some() => {
                Err(Broken::Protocol("a message within a message"))
            }
            OpCode::Data(_) if before + header.payload > self.message_bytes_max => Err(Broken::TooLarge),
            OpCode::Data(_) | OpCode::Control(_) => Ok(()),
        }
    }

    fn handle_frame(
        &mut self,
        header: &Header,
        payload: &[u8],
        heard: &mut impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Broken> {
        let kind = match header.opcode {
            OpCode::Control(Control::Ping) => return Ok(heard(Heard::Ping(payload))),
            OpCode::Control(Control::Pong) => return Ok(heard(Heard::Pong)),
            OpCode::Control(Control::Close) => {
                // Whatever the caller says, nothing follows a close.
                let _ = heard(Heard::Close(close_code(payload)?));
                return Ok(ControlFlow::Break(()));
            }
            OpCode::Control(Control::Reserved(_)) => return Err(Broken::Protocol("a reserved opcode")),
            OpCode::Data(kind) => kind,
        };
        let Some((is_text, mut message)) = self.message.take() else {
            let is_text = kind == Data::Text;
            if header.is_final {
                return whole(is_text, payload, heard);
            }
            self.message = Some((is_text, payload.to_vec()));
            return Ok(ControlFlow::Continue(()));
        };
        message.extend_from_slice(payload);
        if header.is_final {
            return whole(is_text, &message, heard);
        }
        self.message = Some((is_text, message));
        Ok(ControlFlow::Continue(()))
    }
}

fn whole(
    is_text: bool,
    message: &[u8],
    heard: &mut impl FnMut(Heard<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Broken> {
    if !is_text {
        return Ok(heard(Heard::Binary(message.len())));
    }
    let text = std::str::from_utf8(message).map_err(|_| Broken::NotUtf8)?;
    Ok(heard(Heard::Text(text)))
}

/// The code in the body of a close frame (RFC 6455 §7.4).
fn close_code(body: &[u8]) -> Result<Option<u16>, Broken> {
    let Some((code, reason)) = body.split_first_chunk::<2>() else {
        return if body.is_empty() { Ok(None) } else { Err(Broken::Protocol("half a close code")) };
    };
    let code = CloseCode::from(u16::from_be_bytes(*code));
    if !code.is_allowed() || std::str::from_utf8(reason).is_err() {
        return Err(Broken::Protocol("a close code that nobody may send, or a reason that is not UTF-8"));
    }
    Ok(Some(code.into()))
}

/// The beginning of a frame, as a client may send it.
struct Header {
    /// Its own length.
    bytes: usize,
    opcode: OpCode,
    is_final: bool,
    /// What follows it, in bytes.
    payload: usize,
    mask: [u8; 4],
}

impl Header {
    /// None where it is not complete.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Broken> {
        let header = FrameHeader::parse(&mut Cursor::new(bytes)).map_err(|_| Broken::Protocol("a reserved opcode"))?;
        let Some((header, payload)) = header else { return Ok(None) };
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Broken::Protocol("reserved bits are set"));
        }
        let Some(mask) = header.mask else { return Err(Broken::Protocol("a client masks its frames")) };
        // What does not fit here is far too large anyway.
        let length = usize::try_from(payload).unwrap_or(usize::MAX).min(usize::MAX / 4);
        let is_control = matches!(header.opcode, OpCode::Control(_));
        if is_control && (!header.is_final || length > CONTROL_BYTES_MAX) {
            return Err(Broken::Protocol("a control frame that is too long, or not whole"));
        }
        let (opcode, is_final) = (header.opcode, header.is_final);
        Ok(Some(Self { bytes: header.len(payload), opcode, is_final, payload: length, mask }))
    }
}

/// RFC 6455 §5.3.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    // Eight bytes at a time, which the compiler makes more of.
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        if let Ok(eight) = <[u8; 8]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u64::from_ne_bytes(eight) ^ wide).to_ne_bytes());
        }
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Appends a whole frame, as a server sends it: unmasked.
pub(crate) fn write_frame(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    let length = payload.len() as u64;
    out.reserve(header.len(length) + payload.len());
    // A vector takes everything.
    let _ = header.format(length, out);
    out.extend_from_slice(payload);
}

/// Appends a close frame; the reason is cut where it is too long (RFC 6455 §5.5.1).
pub(crate) fn write_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    write_frame(CLOSE, &[&code.to_be_bytes()[..], &reason.as_bytes()[..end]].concat(), out);
}

#[cfg(test)]
mod tests;
