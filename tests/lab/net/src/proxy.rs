//! Between each client and the server: WebSockets are read, and their candidates rewritten; everything else passes as bytes.

mod signaling;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, copy_bidirectional, join};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::lab::Shared;

/// Connections at once; more are closed as they come.
const CONNECTIONS_MAX: u32 = 512;
/// The longest head of a request that is looked at; what has a longer one passes as bytes.
const HEAD_BYTES_MAX: usize = 16_384;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return eprintln!("the proxy can't listen: {error}"),
    };
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                eprintln!("the proxy could not take a connection: {error}");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if shared.add_connection() >= CONNECTIONS_MAX {
            shared.end_connection();
            continue;
        }
        let shared = shared.clone();
        tokio::spawn(async move {
            serve_one(client, &shared).await;
            shared.end_connection();
        });
    }
}

async fn serve_one(client: TcpStream, shared: &Shared) {
    // A server that is away is one to the client too: its connection ends.
    let Ok(mut server) = TcpStream::connect(&shared.server).await else { return };
    for socket in [&client, &server] {
        // Signaling is small messages whose delay counts; where it can't be set they are only slower.
        let _ = socket.set_nodelay(true);
    }
    let (mut from_client, to_client) = client.into_split();
    let mut head = Vec::new();
    let is_whole = timeout(HEAD_TIMEOUT, read_head(&mut from_client, &mut head)).await.is_ok();
    let path = is_whole.then(|| websocket_path(&head)).flatten();
    // What was read of it comes first once more.
    let mut client = join(std::io::Cursor::new(head).chain(from_client), to_client);
    match path {
        Some(path) => signaling::relay(client, server, &path, shared).await,
        // Either end may go at any time.
        None => drop(copy_bidirectional(&mut client, &mut server).await),
    }
}

/// Reads to the end of a request's head, or to the end of what is looked at, or to the end of all.
async fn read_head(from: &mut (impl AsyncRead + Unpin), head: &mut Vec<u8>) {
    while head.len() < HEAD_BYTES_MAX && end_of_head(head).is_none() {
        if !from.read_buf(head).await.is_ok_and(|length| length > 0) {
            return;
        }
    }
}

fn end_of_head(head: &[u8]) -> Option<usize> {
    head.windows(4).position(|four| four == b"\r\n\r\n")
}

/// The path of a request for a WebSocket; none for any other.
fn websocket_path(head: &[u8]) -> Option<String> {
    path_of(std::str::from_utf8(&head[..end_of_head(head)?]).ok()?)
}

fn path_of(head: &str) -> Option<String> {
    let mut lines = head.split("\r\n");
    let mut request = lines.next()?.split(' ');
    let (method, path) = (request.next()?, request.next()?);
    let is_upgrade = lines
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case("upgrade") && value.trim().eq_ignore_ascii_case("websocket"));
    (method == "GET" && is_upgrade).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_head_that_comes_in_pieces_is_read_to_its_end() {
        let whole = b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
        let (mut first, second) = whole.split_at(17);
        let mut head = Vec::new();
        read_head(&mut first.chain(second), &mut head).await;
        assert_eq!(websocket_path(&head).as_deref(), Some("/ws"));
        let mut endless = tokio::io::repeat(b'a');
        let mut head = Vec::new();
        read_head(&mut endless, &mut head).await;
        assert_eq!(websocket_path(&head), None);
        let mut head = Vec::new();
        read_head(&mut first, &mut head).await;
        assert_eq!((head.as_slice(), websocket_path(&head)), (&whole[..17], None));
    }

    #[test]
    fn only_a_request_for_a_websocket_is_one() {
        let upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nupgrade: WebSocket";
        assert_eq!(path_of(upgrade).as_deref(), Some("/ws"));
        for head in ["GET / HTTP/1.1\r\nHost: a", "POST /ws HTTP/1.1\r\nUpgrade: websocket", "", "GET", "\r\n"] {
            assert_eq!(path_of(head), None, "{head}");
        }
    }
}
