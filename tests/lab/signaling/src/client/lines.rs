//! Lines over TCP, in both directions.

use anyhow::bail;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// As much as a WebSocket client here reads at once.
const READ_BYTES: usize = 4_096;
/// Nobody sends longer lines.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Lines of text.
pub(super) struct Lines {
    tcp: TcpStream,
    read: Vec<u8>,
    /// How far `read` holds no line end.
    searched: usize,
}

impl Lines {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, read: Vec::new(), searched: 0 }
    }

    pub(super) async fn send(&mut self, mut line: String) -> anyhow::Result<()> {
        line.push('\n');
        Ok(self.tcp.write_all(line.as_bytes()).await?)
    }

    /// The next line; none at the end. Nothing is lost where the wait is given up.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(end) = self.read[self.searched..].iter().position(|&byte| byte == b'\n') {
                let rest = self.read.split_off(self.searched + end + 1);
                let mut line = std::mem::replace(&mut self.read, rest);
                line.pop();
                self.searched = 0;
                return Ok(Some(String::from_utf8(line)?));
            }
            self.searched = self.read.len();
            if self.searched > LINE_BYTES_MAX {
                bail!("a line does not end");
            }
            self.read.reserve(READ_BYTES);
            if self.tcp.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }
}
