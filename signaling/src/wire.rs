//! A connection as the task of a WebSocket has it: encrypted ones are the task's alone, the writing half of others lies in
//! the outbox while the task has nothing to write (see [`crate::outbox`]).

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::outbox::Outbox;

/// Reads and writes, and may let others write.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// From here on only the task writes; gives what is to be written first.
    fn take_pen(&mut self, outbox: &Outbox) -> Vec<u8>;

    /// Lets others write. False where there is something for the task to write after all.
    fn lay_down(&mut self, outbox: &Outbox) -> bool;
}

impl Wire for TokioIo<Upgraded> {
    fn take_pen(&mut self, _: &Outbox) -> Vec<u8> {
        Vec::new()
    }

    fn lay_down(&mut self, _: &Outbox) -> bool {
        true
    }
}

/// A connection that is not encrypted.
pub(crate) struct Tcp {
    reads: OwnedReadHalf,
    /// None while it lies in the outbox; then the task writes nothing.
    pen: Option<OwnedWriteHalf>,
}

impl Tcp {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        let (reads, pen) = tcp.into_split();
        Self { reads, pen: Some(pen) }
    }

    fn pen(&mut self) -> Result<Pin<&mut OwnedWriteHalf>> {
        let pen = self.pen.as_mut().ok_or_else(|| Error::new(ErrorKind::NotConnected, "the task has no pen"))?;
        Ok(Pin::new(pen))
    }
}

impl Wire for Tcp {
    fn take_pen(&mut self, outbox: &Outbox) -> Vec<u8> {
        let Some((pen, rest)) = outbox.take_pen() else { return Vec::new() };
        self.pen = Some(pen);
        rest
    }

    fn lay_down(&mut self, outbox: &Outbox) -> bool {
        let Some(pen) = self.pen.take() else { return true };
        self.pen = outbox.lay_down(pen).err();
        self.pen.is_none()
    }
}

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.reads).poll_read(context, bytes)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.pen()?.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        // TCP keeps nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.pen()?.poll_shutdown(context)
    }
}
