//! WebSocket frames as a server reads and writes them (RFC 6455 §5), without I/O.
//!
//! Made for many connections that are quiet most of the time: between two messages a reader holds no buffer at all, and a
//! message that came in one piece is read where it lies. What it holds is bounded by [`MESSAGE_BYTES_MAX`] for the
//! fragments of a message, the same for a frame that is not complete, and what is fed at once.

use std::ops::ControlFlow;

use parlor_proto::MESSAGE_BYTES_MAX;

/// RFC 6455 §5.5: a control frame carries no more.
const CONTROL_BYTES_MAX: usize = 125;
const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// What kind of frame it is (RFC 6455 §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

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
    /// A message over [`MESSAGE_BYTES_MAX`].
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
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The beginning of a frame that is not complete.
    incomplete: Vec<u8>,
    /// The message that goes on in the next frame, and whether it is text.
    message: Option<(bool, Vec<u8>)>,
}

impl Reader {
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
            Opcode::Continuation if self.message.is_none() => Err(Broken::Protocol("a continuation of nothing")),
            Opcode::Text | Opcode::Binary if self.message.is_some() => {
                Err(Broken::Protocol("a message within a message"))
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary if before + header.payload > MESSAGE_BYTES_MAX => {
                Err(Broken::TooLarge)
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary | Opcode::Close | Opcode::Ping | Opcode::Pong => {
                Ok(())
            }
        }
    }

    fn handle_frame(
        &mut self,
        header: &Header,
        payload: &[u8],
        heard: &mut impl FnMut(Heard<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Broken> {
        Ok(match header.opcode {
            Opcode::Ping => heard(Heard::Ping(payload)),
            Opcode::Pong => heard(Heard::Pong),
            Opcode::Close => {
                // Whatever the caller says, nothing follows a close.
                let _ = heard(Heard::Close(close_code(payload)?));
                ControlFlow::Break(())
            }
            Opcode::Text | Opcode::Binary if header.is_final => whole(header.opcode == Opcode::Text, payload, heard)?,
            Opcode::Text | Opcode::Binary => {
                self.message = Some((header.opcode == Opcode::Text, payload.to_vec()));
                ControlFlow::Continue(())
            }
            Opcode::Continuation => match self.message.take() {
                Some((is_text, mut message)) => {
                    message.extend_from_slice(payload);
                    if header.is_final {
                        whole(is_text, &message, heard)?
                    } else {
                        self.message = Some((is_text, message));
                        ControlFlow::Continue(())
                    }
                }
                None => return Err(Broken::Protocol("a continuation of nothing")),
            },
        })
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
    let code = u16::from_be_bytes(*code);
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 if std::str::from_utf8(reason).is_ok() => Ok(Some(code)),
        _ => Err(Broken::Protocol("a close code that nobody may send, or a reason that is not UTF-8")),
    }
}

/// The beginning of a frame.
struct Header {
    /// Its own length.
    bytes: usize,
    opcode: Opcode,
    is_final: bool,
    /// What follows it, in bytes.
    payload: usize,
    mask: [u8; 4],
}

impl Header {
    /// None where it is not complete.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Broken> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
        let is_final = first & FINAL != 0;
        let opcode = opcode(first)?;
        if second & MASKED == 0 {
            return Err(Broken::Protocol("a client masks its frames"));
        }
        let (payload, rest) = match second & !MASKED {
            126 => match rest.split_first_chunk::<2>() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        // What does not fit here is far too large anyway.
        let payload = usize::try_from(payload).unwrap_or(usize::MAX).min(usize::MAX / 4);
        let is_control = matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong);
        if is_control && (!is_final || payload > CONTROL_BYTES_MAX) {
            return Err(Broken::Protocol("a control frame that is too long, or not whole"));
        }
        let Some((mask, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        Ok(Some(Self { bytes: bytes.len() - rest.len(), opcode, is_final, payload, mask: *mask }))
    }
}

fn opcode(first: u8) -> Result<Opcode, Broken> {
    if first & RESERVED != 0 {
        return Err(Broken::Protocol("reserved bits are set"));
    }
    Ok(match first & 0x0f {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(Broken::Protocol("a reserved opcode")),
    })
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
pub(crate) fn write_frame(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    let code = match opcode {
        Opcode::Continuation => 0,
        Opcode::Text => 1,
        Opcode::Binary => 2,
        Opcode::Close => 8,
        Opcode::Ping => 9,
        Opcode::Pong => 10,
    };
    out.reserve(payload.len() + 10);
    out.push(FINAL | code);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => out.push(length),
        (_, Ok(length)) => {
            out.push(126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(127);
            out.extend_from_slice(&u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Appends a close frame; the reason is cut where it is too long (RFC 6455 §5.5.1).
pub(crate) fn write_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    write_frame(Opcode::Close, &[&code.to_be_bytes()[..], &reason.as_bytes()[..end]].concat(), out);
}

#[cfg(test)]
mod tests;
