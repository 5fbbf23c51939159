//! Between each client and the server: WebSockets are read, and their candidates rewritten; everything else passes as bytes.

mod signaling;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::lab::Shared;

/// Connections at once; more are closed as they come.
const CONNECTIONS_MAX: u32 = 512;
/// The head of a request is looked at, not taken; a longer one passes as bytes.
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

async fn serve_one(mut client: TcpStream, shared: &Shared) {
    // A server that is away is one to the client too: its connection ends.
    let Ok(mut server) = TcpStream::connect(&shared.server).await else { return };
    for socket in [&client, &server] {
        // Signaling is small messages whose delay counts; where it can't be set they are only slower.
        let _ = socket.set_nodelay(true);
    }
    let Ok(Some(path)) = timeout(HEAD_TIMEOUT, websocket_path(&client)).await else {
        // Either end may go at any time.
        let _ = copy_bidirectional(&mut client, &mut server).await;
        return;
    };
    signaling::relay(client, server, &path, shared).await;
}

/// The path of a request for a WebSocket; none for any other.
async fn websocket_path(client: &TcpStream) -> Option<String> {
    let mut head = vec![0; HEAD_BYTES_MAX];
    loop {
        let length = client.peek(&mut head).await.ok().filter(|length| *length > 0)?;
        if let Some(end) = head[..length].windows(4).position(|four| four == b"\r\n\r\n") {
            return path_of(std::str::from_utf8(&head[..end]).ok()?);
        }
        if length == head.len() {
            return None;
        }
        // What was looked at is still there, so waiting for more to read would not wait.
        sleep(Duration::from_millis(1)).await;
    }
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

    #[test]
    fn only_a_request_for_a_websocket_is_one() {
        let upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nupgrade: WebSocket";
        assert_eq!(path_of(upgrade).as_deref(), Some("/ws"));
        for head in ["GET / HTTP/1.1\r\nHost: a", "POST /ws HTTP/1.1\r\nUpgrade: websocket", "", "GET", "\r\n"] {
            assert_eq!(path_of(head), None, "{head}");
        }
    }
}
