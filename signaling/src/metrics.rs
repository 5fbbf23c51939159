//! What an operator watches, in Prometheus' text format. `OPERATING.md` says what each means and what to do.
//!
//! Counting is one atomic addition; what needs a walk over the rooms is found out only when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};

use parlor_proto::ErrorCode;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::hub::Census;

/// One label and its value.
type Label = [(&'static str, String); 1];

/// All that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) connections: Counter,
    pub(crate) connections_cut: Counter,
    pub(crate) websockets: Gauge,
    pub(crate) messages_received: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) messages_sent: Counter,
    pub(crate) sent_bytes: Counter,
    pub(crate) tls_certificate_reloads: Counter,
    pub(crate) tls_certificate_reload_failures: Counter,
    pub(crate) ready: Gauge,
    pub(crate) outboxes_bytes: Gauge,
    refusals: Family<Label, Counter>,
    handshake_failures: Family<Label, Counter>,
    joins: Family<Label, Counter>,
    rooms: Gauge,
    rooms_bytes: Gauge,
    peers: Family<Label, Gauge>,
    outbox_high_water: Gauge,
    /// Of the fullest outbox since the last time somebody asked.
    fullest_outbox: AtomicU64,
}

/// What is counted of the link to the other servers, where there are any.
#[derive(Debug)]
pub(crate) struct BackplaneMetrics {
    pub(crate) up: Gauge,
    pub(crate) losses: Counter,
    pub(crate) claims: Counter,
    pub(crate) statements: Counter,
    pub(crate) forwarded: Counter,
    pub(crate) undelivered: Counter,
    pub(crate) round_trip: Histogram,
}

/// Where the opening of a connection failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handshake {
    /// In TLS.
    Tls,
    /// In the request's header, which was wrong or did not come in time.
    Request,
    /// After the answer to the upgrade.
    Upgrade,
}

impl Metrics {
    pub(crate) fn new(server: &str) -> Self {
        let mut registry = Registry::with_prefix("parlor");
        registry.register("build", "The running server", Info::new([("server", server.to_owned())]));
        let mut new = Maker(&mut registry);
        Self {
            connections: new.counter("connections", "TCP connections accepted"),
            connections_cut: new
                .counter("connections_cut", "TCP connections closed at once, for their address had too many"),
            websockets: new.gauge("websockets", "WebSockets open now"),
            messages_received: new.counter("messages_received", "Messages of clients"),
            received_bytes: new.bytes("received", "Bytes of the messages of clients"),
            messages_sent: new.counter("messages_sent", "Messages for clients, put into their outboxes"),
            sent_bytes: new.bytes("sent", "Bytes of the messages for clients"),
            refusals: new.family("refusals", "What was refused, by its code in PROTOCOL.md"),
            handshake_failures: new.family("handshake_failures", "Connections that failed while they were opened"),
            joins: new.family("joins", "Joins: new, resumed, or the code they were refused with"),
            rooms: new.gauge("rooms", "Rooms now"),
            rooms_bytes: new.gauge_bytes("rooms", "Bytes that rooms hold now, as they are counted"),
            peers: new.family("peers", "People in rooms now, here or away"),
            outboxes_bytes: new.gauge_bytes("outboxes", "Bytes that wait for all clients together"),
            outbox_high_water: new
                .gauge_bytes("outbox_high_water", "Bytes that waited in the fullest outbox since the last scrape"),
            ready: new.gauge("ready", "Whether /readyz says that the server takes new people"),
            tls_certificate_reloads: new.counter("tls_certificate_reloads", "New certificates taken from their files"),
            tls_certificate_reload_failures: new
                .counter("tls_certificate_reload_failures", "Changed certificate files that could not be used"),
            fullest_outbox: AtomicU64::new(0),
            registry,
        }
    }

    /// From now on the link to the other servers is told of too.
    pub(crate) fn backplane(&mut self) -> BackplaneMetrics {
        // From Redis on this machine to one on another continent, and to what counts as out of reach.
        let round_trip = Histogram::new([0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0]);
        let help = "From saying something through Redis to hearing it";
        self.registry.register_with_unit("backplane_round_trip", help, Unit::Seconds, round_trip.clone());
        let mut new = Maker(&mut self.registry);
        BackplaneMetrics {
            up: new.gauge("backplane_up", "Whether the other servers can be reached through Redis"),
            losses: new.counter("backplane_losses", "How often they could not be reached any more"),
            claims: new.counter("backplane_claims", "Places claimed in rooms that servers share"),
            statements: new.counter("backplane_statements", "Parts of rooms stated"),
            forwarded: new.counter("backplane_forwarded", "Messages sent on to other servers"),
            undelivered: new.counter("backplane_undelivered", "Those among them that no server heard"),
            round_trip,
        }
    }

    pub(crate) fn refused(&self, code: ErrorCode) {
        self.refusals.get_or_create(&[("code", name_of(code))]).inc();
    }

    pub(crate) fn handshake_failed(&self, at: Handshake) {
        let at = match at {
            Handshake::Tls => "tls",
            Handshake::Request => "request",
            Handshake::Upgrade => "upgrade",
        };
        self.handshake_failures.get_or_create(&[("stage", at.to_owned())]).inc();
    }

    /// So many bytes wait for one client.
    pub(crate) fn note_outbox(&self, bytes: usize) {
        self.fullest_outbox.fetch_max(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Everything as text, with what the hub says of its rooms.
    pub(crate) fn text(&self, census: &Census) -> String {
        self.rooms.set(to_i64(census.rooms));
        self.rooms_bytes.set(to_i64(census.rooms_bytes));
        for (presence, count) in [("here", census.here), ("away", census.away)] {
            self.peers.get_or_create(&[("presence", presence.to_owned())]).set(to_i64(count));
        }
        let refused = census.joins.refused.iter().map(|(code, count)| (name_of(*code), *count));
        let joined = [("new".to_owned(), census.joins.new), ("resumed".to_owned(), census.joins.resumed)];
        for (result, count) in joined.into_iter().chain(refused) {
            self.joins.get_or_create(&[("result", result)]).inner().store(count, Ordering::Relaxed);
        }
        let fullest = self.fullest_outbox.swap(0, Ordering::Relaxed);
        self.outbox_high_water.set(i64::try_from(fullest).unwrap_or(i64::MAX));
        let mut text = String::new();
        if let Err(error) = prometheus_text::encode(&mut text, &self.registry) {
            // Cannot happen: writing to a String does not fail.
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }
}

/// Registers what it makes.
struct Maker<'registry>(&'registry mut Registry);

impl Maker<'_> {
    fn counter(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.0.register(name, help, counter.clone());
        counter
    }

    fn bytes(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.0.register_with_unit(name, help, Unit::Bytes, counter.clone());
        counter
    }

    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.0.register(name, help, gauge.clone());
        gauge
    }

    fn gauge_bytes(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.0.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        gauge
    }

    fn family<M>(&mut self, name: &str, help: &str) -> Family<Label, M>
    where
        M: Default + Clone,
        Family<Label, M>: prometheus_client::registry::Metric,
    {
        let family = Family::default();
        self.0.register(name, help, family.clone());
        family
    }
}

/// A code as it is on the wire.
fn name_of(code: ErrorCode) -> String {
    serde_json::to_value(code).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn to_i64(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::JoinCounts;

    #[test]
    fn metrics_are_told_in_prometheus_text_with_their_units() {
        let metrics = Metrics::new("parlor-server 0.1.0");
        metrics.connections.inc();
        metrics.received_bytes.inc_by(12);
        metrics.refused(ErrorCode::RoomFull);
        metrics.handshake_failed(Handshake::Tls);
        metrics.note_outbox(70);
        metrics.note_outbox(30);
        let joins = JoinCounts { new: 3, resumed: 1, refused: [(ErrorCode::RoomFull, 2)].into() };
        let census = Census { rooms: 2, rooms_bytes: 9_216, here: 5, away: 1, joins };
        let text = metrics.text(&census);
        for line in [
            "# TYPE parlor_connections_total counter",
            "parlor_connections_total 1",
            "parlor_received_bytes_total 12",
            "parlor_refusals_total{code=\"room_full\"} 1",
            "parlor_handshake_failures_total{stage=\"tls\"} 1",
            "parlor_joins_total{result=\"new\"} 3",
            "parlor_joins_total{result=\"resumed\"} 1",
            "parlor_joins_total{result=\"room_full\"} 2",
            "parlor_rooms 2",
            "parlor_rooms_bytes 9216",
            "parlor_peers{presence=\"here\"} 5",
            "parlor_outbox_high_water_bytes 70",
            "parlor_build_info{server=\"parlor-server 0.1.0\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
        }
        assert!(metrics.text(&census).contains("parlor_outbox_high_water_bytes 0\n"), "anew after each scrape");
        let page = include_str!("../OPERATING.md");
        for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
            assert!(page.contains(&format!("`{name}`")), "{name} is not on the operator's page");
        }
    }
}
