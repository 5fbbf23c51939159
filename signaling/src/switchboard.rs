//! The hub among its connections: one lock, never held over an await, and every output delivered before it is let go.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use parlor_proto::{ClientMessage, ErrorCode, RelayedSignal, ServerMessage};
use tokio::sync::Notify;

use crate::config::SocketConfig;
use crate::courier::{Lanes, Request};
use crate::hub::{Census, CloseKind, Comeback, ConnId, Hub, Output, error_message};
use crate::metrics::Metrics;
use crate::outbox::{AllOutboxes, Item, Outbox, Overflow, Pushed};
use crate::password::Stretch;

/// When the first may come back after a restart: what starts a server again takes about as long.
const COMEBACK_FIRST: Duration = Duration::from_millis(500);
/// From one to the next. 200 joins a second are nothing to a server, and TLS for them half a core.
const COMEBACK_INTERVAL: Duration = Duration::from_millis(5);

/// Hands what sockets hear to the hub, and what the hub says to the sockets' outboxes.
pub(crate) struct Switchboard {
    state: Mutex<State>,
    /// The time-out of the hub may have changed.
    timeout_changed: Notify,
    /// There is a password to be stretched.
    stretch_wanted: Arc<Notify>,
    outbox_bytes_max: usize,
    message_bytes_max: usize,
    all: Arc<AllOutboxes>,
    metrics: Arc<Metrics>,
}

struct State {
    hub: Hub,
    outboxes: HashMap<ConnId, Arc<Outbox>>,
    /// Those that are to be flushed when this lock is let go.
    to_flush: Vec<Arc<Outbox>>,
    all: Arc<AllOutboxes>,
    all_bytes_max: usize,
    metrics: Arc<Metrics>,
    /// To the other servers, while they can be reached.
    lanes: Option<Lanes>,
    /// The password to be stretched; the hub says the next one only after it.
    stretch: Option<Box<Stretch>>,
    stretch_wanted: Arc<Notify>,
    opened: u64,
    stopped: bool,
}

/// The outboxes to which one turn of a task has added something, each to be flushed at its end, with all that was added.
///
/// Bounded by what the turn says: a message is for the members of one room.
#[derive(Default)]
pub(crate) struct Turn(Vec<Arc<Outbox>>);

impl Turn {
    fn add(&mut self, outboxes: &mut Vec<Arc<Outbox>>) {
        for outbox in outboxes.drain(..) {
            note(&mut self.0, &outbox);
        }
    }
}

/// However the turn ends.
impl Drop for Turn {
    fn drop(&mut self) {
        self.0.iter().for_each(|outbox| outbox.flush());
    }
}

/// Once, where it comes several times in a row: a second flush does no harm.
fn note(outboxes: &mut Vec<Arc<Outbox>>, outbox: &Arc<Outbox>) {
    if !outboxes.last().is_some_and(|last| Arc::ptr_eq(last, outbox)) {
        outboxes.push(Arc::clone(outbox));
    }
}

impl Switchboard {
    pub(crate) fn new(hub: Hub, config: &SocketConfig, metrics: Arc<Metrics>) -> Self {
        let all = Arc::<AllOutboxes>::default();
        let message_bytes_max = hub.message_bytes_max();
        let stretch_wanted = Arc::<Notify>::default();
        let state = State {
            hub,
            outboxes: HashMap::new(),
            to_flush: Vec::new(),
            all: Arc::clone(&all),
            all_bytes_max: config.outboxes_bytes_max,
            metrics: Arc::clone(&metrics),
            lanes: None,
            stretch: None,
            stretch_wanted: Arc::clone(&stretch_wanted),
            opened: 0,
            stopped: false,
        };
        Self {
            state: Mutex::new(state),
            timeout_changed: Notify::new(),
            stretch_wanted,
            outbox_bytes_max: config.outbox_bytes_max,
            message_bytes_max,
            all,
            metrics,
        }
    }

    /// A new connection from this address; none where the server is stopping.
    pub(crate) fn open(&self, address: IpAddr) -> Option<(ConnId, Arc<Outbox>)> {
        let mut state = self.state();
        if state.stopped {
            return None;
        }
        state.opened += 1;
        let conn = ConnId(state.opened);
        let outbox = Arc::new(Outbox::new(self.outbox_bytes_max, Arc::clone(&self.all)));
        state.outboxes.insert(conn, Arc::clone(&outbox));
        state.hub.handle_open(conn, address, Instant::now());
        state.deliver(None);
        let turn = Turn(std::mem::take(&mut state.to_flush));
        drop(state);
        drop(turn);
        Some((conn, outbox))
    }

    /// A text message; what follows from it for others goes out at the end of the turn.
    pub(crate) fn message(&self, turn: &mut Turn, conn: ConnId, text: &str) {
        self.count(text.len());
        // All that needs no hub is done before anybody waits for it.
        let message = ClientMessage::decode(text);
        let relayed = match &message {
            Ok(ClientMessage::Signal { to: _, connection, signal }) => Some(RelayedSignal::new(connection, signal)),
            Ok(_) | Err(_) => None,
        };
        self.input_in(turn, relayed.as_ref(), |hub, now| hub.handle_read(conn, text.len(), message, now));
    }

    pub(crate) fn binary(&self, conn: ConnId, bytes: usize) {
        self.count(bytes);
        self.input(|hub, now| hub.handle_binary(conn, bytes, now));
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
    pub(crate) fn shut_down(&self, spread_max: Duration) {
        self.state().stopped = true;
        self.input(|hub, _| {
            let count = u32::try_from(hub.connection_count()).unwrap_or(u32::MAX);
            let spread = COMEBACK_INTERVAL.saturating_mul(count).min(spread_max);
            hub.shut_down(Some(Comeback { first: COMEBACK_FIRST, spread }));
        });
        // What they hold is still carried out; then they end.
        self.state().lanes = None;
    }

    /// Whether the server stops.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// The other servers can be reached, through these.
    pub(crate) fn reached(&self, lanes: Lanes) {
        let mut state = self.state();
        if state.stopped {
            return;
        }
        state.lanes = Some(lanes);
        drop(state);
        self.input(Hub::handle_reached);
    }

    /// They cannot be reached any more.
    pub(crate) fn lost(&self) {
        self.state().lanes = None;
        self.input(Hub::handle_lost);
    }

    /// What there is, counted.
    pub(crate) fn census(&self) -> Census {
        let state = self.state();
        self.metrics.outboxes_bytes.set(i64::try_from(self.waiting_bytes()).unwrap_or(i64::MAX));
        state.hub.census()
    }

    /// Ends what has had its time by now.
    pub(crate) fn handle_timeout(&self) {
        self.input(Hub::handle_timeout);
    }

    /// Bytes of one message of a client.
    pub(crate) fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    /// The bytes that wait in all outboxes.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.all.bytes()
    }

    fn count(&self, bytes: usize) {
        self.metrics.messages_received.inc();
        self.metrics.received_bytes.inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
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
                        self.handle_timeout();
                    }
                }
            }
        }
    }

    /// Stretches passwords where nobody waits for it; never returns.
    pub(crate) async fn run_stretches(&self) {
        loop {
            let wanted = self.stretch_wanted.notified();
            let stretch = self.state().stretch.take();
            let Some(stretch) = stretch else {
                wanted.await;
                continue;
            };
            match tokio::task::spawn_blocking(move || stretch.run()).await {
                Ok(stretched) => self.input(|hub, now| hub.handle_stretched(stretched, now)),
                // Only a runtime that ends leaves such a task undone.
                Err(error) => tracing::debug!(%error, "a password was not stretched"),
            }
        }
    }

    pub(crate) fn input(&self, input: impl FnOnce(&mut Hub, Instant)) {
        self.input_in(&mut Turn::default(), None, input);
    }

    /// `relayed` is the signal that the input says, where it says one.
    fn input_in(&self, turn: &mut Turn, relayed: Option<&RelayedSignal>, input: impl FnOnce(&mut Hub, Instant)) {
        let mut state = self.state();
        let before = state.hub.poll_timeout();
        input(&mut state.hub, Instant::now());
        state.deliver(relayed);
        turn.add(&mut state.to_flush);
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
    fn deliver(&mut self, relayed: Option<&RelayedSignal>) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { conn, message } => self.send(conn, &message, relayed),
                Output::Close { conn, code, reason } => {
                    if let Some(outbox) = self.outboxes.remove(&conn) {
                        outbox.close(Item::Close { code, reason });
                    }
                }
                Output::Claim { number, claim } => self.post(Request::Claim { number, claim }),
                Output::State(statement) => self.post(Request::State(statement)),
                Output::Forward(forward) => self.post(Request::Forward(forward)),
                Output::Stretch(stretch) => {
                    self.stretch = Some(stretch);
                    self.stretch_wanted.notify_one();
                }
            }
        }
    }

    fn send(&mut self, conn: ConnId, message: &ServerMessage, relayed: Option<&RelayedSignal>) {
        if let ServerMessage::Error { code, .. } = message {
            self.metrics.refused(*code);
        }
        let Some(outbox) = self.outboxes.get(&conn) else { return };
        let text = match (message, relayed) {
            (ServerMessage::Signal { from, .. }, Some(relayed)) => relayed.encode_from(from),
            (message, _) => message.encode(),
        };
        self.metrics.messages_sent.inc();
        self.metrics.sent_bytes.inc_by(u64::try_from(text.len()).unwrap_or(u64::MAX));
        match outbox.push(text) {
            Ok(Pushed { bytes, needs_flush }) => {
                self.metrics.note_outbox(bytes);
                if needs_flush {
                    note(&mut self.to_flush, outbox);
                }
            }
            Err(Overflow) => self.close_slow(conn),
        }
        while self.all.bytes() > self.all_bytes_max {
            // Only those that are being closed can be left: their last words are short and count for nobody.
            let Some(fullest) = self.fullest() else { break };
            self.close_slow(fullest);
        }
    }

    /// Who reads least of what is sent to them.
    fn fullest(&self) -> Option<ConnId> {
        let (bytes, conn) = self.outboxes.iter().map(|(conn, outbox)| (outbox.bytes(), *conn)).max()?;
        (bytes > 0).then_some(conn)
    }

    /// What finds no place in its lane is not waited for. A statement comes again by itself.
    fn post(&mut self, request: Request) {
        let refused = match &self.lanes {
            Some(lanes) => lanes.post(request).err(),
            None => Some(request),
        };
        match refused {
            Some(Request::Claim { number, .. }) => self.hub.handle_unclaimed(number, Instant::now()),
            Some(Request::Forward(forward)) => self.hub.handle_undelivered(*forward, Instant::now()),
            Some(Request::State(_)) | None => {}
        }
    }

    fn close_slow(&mut self, conn: ConnId) {
        let Some(outbox) = self.outboxes.remove(&conn) else { return };
        tracing::info!(%conn, "a client does not read what is sent to it");
        self.metrics.refused(ErrorCode::TooSlow);
        let (message, code, reason) = error_message(ErrorCode::TooSlow);
        outbox.close_now(message.encode(), Item::Close { code, reason });
        self.hub.handle_close(conn, CloseKind::Lost, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::hub::HubConfig;

    /// Somebody who has said all this; gives their outbox.
    fn someone(switchboard: &Switchboard, said: &[&str]) -> (ConnId, Arc<Outbox>) {
        let (conn, outbox) = switchboard.open(Ipv4Addr::LOCALHOST.into()).unwrap();
        for text in said {
            switchboard.message(&mut Turn::default(), conn, text);
        }
        (conn, outbox)
    }

    fn heard(outbox: &Outbox) -> Vec<String> {
        let texts = std::iter::from_fn(|| match outbox.take()? {
            Item::Message(text) => ServerMessage::decode(&text).ok(),
            Item::Close { .. } | Item::Stop => None,
        });
        texts.map(|message| format!("{message:?}").split([' ', '{']).next().unwrap_or_default().to_owned()).collect()
    }

    /// Passwords are stretched until something is said to this client.
    async fn stretch_until_heard(switchboard: &Switchboard, outbox: &Outbox) {
        let heard = std::future::poll_fn(|context| {
            outbox.watch(context);
            if outbox.bytes() > 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        tokio::select! {
            () = switchboard.run_stretches() => {}
            () = heard => {}
        }
    }

    #[tokio::test]
    async fn messages_go_on_while_a_password_is_being_looked_at() {
        const HELLO: &str = r#"{"type":"hello","versions":[1],"client":""}"#;
        let join = |room: &str, password: &str| {
            format!(r#"{{"type":"join","room":"{room}","name":"N","password":"{password}"}}"#)
        };
        let hub = Hub::new(HubConfig::default(), b"a secret of the tests", [1; 32], Instant::now(), 1_760_000_000);
        let switchboard = Switchboard::new(hub, &SocketConfig::default(), Arc::new(Metrics::new("test")));
        let (_, ana) = someone(&switchboard, &[HELLO, &join("a", ""), r#"{"type":"set_password","password":"right"}"#]);
        assert_eq!(heard(&ana), ["Welcome", "Joined"], "nobody stretches yet");
        let (_, cleo) = someone(&switchboard, &[HELLO, &join("b", ""), r#"{"type":"set_lock","locked":true}"#]);
        assert_eq!(heard(&cleo), ["Welcome", "Joined", "Policy"]);
        stretch_until_heard(&switchboard, &ana).await;
        assert_eq!(heard(&ana), ["Policy"]);
        let (_, eve) = someone(&switchboard, &[HELLO, &join("a", "wrong")]);
        assert_eq!(heard(&eve), ["Welcome"]);
        stretch_until_heard(&switchboard, &eve).await;
        assert_eq!(heard(&eve), ["Error"]);
    }
}
