//! The hub among its connections: one lock, never held over an await, and every output delivered before it is let go.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use parlor_proto::ErrorCode;
use tokio::sync::Notify;

use crate::hub::{CloseKind, ConnId, Hub, Output, error_message};
use crate::outbox::{Item, Outbox};

/// Hands what sockets hear to the hub, and what the hub says to the sockets' outboxes.
pub(crate) struct Switchboard {
    state: Mutex<State>,
    /// The time-out of the hub may have changed.
    timeout_changed: Notify,
    outbox_bytes_max: usize,
}

struct State {
    hub: Hub,
    outboxes: BTreeMap<ConnId, Arc<Outbox>>,
    opened: u64,
    stopped: bool,
}

impl Switchboard {
    pub(crate) fn new(hub: Hub, outbox_bytes_max: usize) -> Self {
        let state = State { hub, outboxes: BTreeMap::new(), opened: 0, stopped: false };
        Self { state: Mutex::new(state), timeout_changed: Notify::new(), outbox_bytes_max }
    }

    /// A new connection from this address; none where the server is stopping.
    pub(crate) fn open(&self, address: IpAddr) -> Option<(ConnId, Arc<Outbox>)> {
        let mut state = self.state();
        if state.stopped {
            return None;
        }
        state.opened += 1;
        let conn = ConnId(state.opened);
        let outbox = Arc::new(Outbox::new(self.outbox_bytes_max));
        state.outboxes.insert(conn, Arc::clone(&outbox));
        state.hub.handle_open(conn, address, Instant::now());
        state.deliver();
        Some((conn, outbox))
    }

    pub(crate) fn message(&self, conn: ConnId, text: &str) {
        self.input(|hub, now| hub.handle_message(conn, text, now));
    }

    pub(crate) fn binary(&self, conn: ConnId) {
        self.input(|hub, now| hub.handle_binary(conn, now));
    }

    pub(crate) fn refuse(&self, conn: ConnId, code: ErrorCode) {
        self.input(|hub, now| hub.refuse(conn, code, now));
    }

    /// The client has ended the connection: nothing more is sent.
    pub(crate) fn close(&self, conn: ConnId, kind: CloseKind) {
        self.close_with(conn, kind, Item::Stop);
    }

    /// The connection ends in `last`, for a reason that the hub does not know.
    pub(crate) fn close_with(&self, conn: ConnId, kind: CloseKind, last: Item) {
        if let Some(outbox) = self.state().outboxes.remove(&conn) {
            outbox.close(last);
        }
        self.input(|hub, now| hub.handle_close(conn, kind, now));
    }

    /// Tells everyone that the server is going away, and takes nobody new.
    pub(crate) fn shut_down(&self, retry_after: Option<Duration>) {
        self.state().stopped = true;
        self.input(|hub, _| hub.shut_down(retry_after));
    }

    /// Ends memberships when their time is up; never returns.
    pub(crate) async fn run_timeouts(&self) {
        loop {
            let timeout = self.state().hub.poll_timeout();
            let changed = self.timeout_changed.notified();
            match timeout {
                None => changed.await,
                Some(at) => {
                    if tokio::time::timeout_at(at.into(), changed).await.is_err() {
                        self.input(Hub::handle_timeout);
                    }
                }
            }
        }
    }

    fn input(&self, input: impl FnOnce(&mut Hub, Instant)) {
        let mut state = self.state();
        let before = state.hub.poll_timeout();
        input(&mut state.hub, Instant::now());
        state.deliver();
        if state.hub.poll_timeout() != before {
            self.timeout_changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts every output where it belongs. A client that is too slow is closed here, which the hub then tells others.
    fn deliver(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { conn, message } => {
                    let overflow =
                        self.outboxes.get(&conn).is_some_and(|outbox| outbox.push(message.encode()).is_err());
                    if overflow {
                        self.close_slow(conn);
                    }
                }
                Output::Close { conn, code, reason } => {
                    if let Some(outbox) = self.outboxes.remove(&conn) {
                        outbox.close(Item::Close { code, reason });
                    }
                }
            }
        }
    }

    fn close_slow(&mut self, conn: ConnId) {
        let Some(outbox) = self.outboxes.remove(&conn) else { return };
        tracing::info!(%conn, "a client does not read what is sent to it");
        let (message, code, reason) = error_message(ErrorCode::TooSlow);
        outbox.close_now(message.encode(), Item::Close { code, reason });
        self.hub.handle_close(conn, CloseKind::Lost, Instant::now());
    }
}
