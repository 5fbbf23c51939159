//! `parlor-lab-echo ADDRESS:PORT`: the floor. What a TCP server in Rust needs at the least: the echo server that tokio's own
//! introduction shows, a task and a buffer of 1 KiB for each connection.

use std::io::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(addr).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on tcp://{}", listener.local_addr()?)?;
    stdout.flush()?;
    loop {
        let (tcp, _) = listener.accept().await?;
        // As every contender does.
        tcp.set_nodelay(true)?;
        tokio::spawn(async move {
            // A broken connection ends by itself.
            let _ = echo(tcp).await;
        });
    }
}

async fn echo(mut tcp: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 1_024];
    loop {
        let read = tcp.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        tcp.write_all(&buffer[..read]).await?;
    }
}
