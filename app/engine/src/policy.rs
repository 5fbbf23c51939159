//! The numbers of the engine, each with its reason.

use std::time::Duration;

use parlor_session::SessionConfig;

/// How a call is run. `Default` is what Parlor uses.
#[derive(Clone, Debug)]
pub struct EnginePolicy {
    /// What the state machines of the call go by.
    pub session: SessionConfig,
    /// How the capacity of a connection is estimated.
    pub estimator: EstimatorPolicy,
    /// How packets are spread over time.
    pub pacer: PacerPolicy,
    /// The signaling socket.
    pub signaling: SignalingPolicy,
    /// ICE: silence before `disconnected`, before `failed`, and between keep-alives.
    ///
    /// Measured: the stack's defaults notice a dead peer after 5 s and 30 s, these after 2.5 s and 11.5 s.
    pub ice_timeouts: [Duration; 3],
    /// Whether level and frequency of everyone's last second are in the snapshots, renewed each second: for peers without a
    /// window, who report them. It takes about a millisecond of each peer.
    pub describe_sound: bool,
}

impl Default for EnginePolicy {
    fn default() -> Self {
        Self {
            session: SessionConfig::default(),
            estimator: EstimatorPolicy::default(),
            pacer: PacerPolicy::default(),
            signaling: SignalingPolicy::default(),
            ice_timeouts: [Duration::from_secs(3), Duration::from_secs(9), Duration::from_secs(1)],
            describe_sound: false,
        }
    }
}

impl EnginePolicy {
    /// The same, with our address hidden from the others or not: then only relays are used.
    #[must_use]
    pub fn relay_only(mut self, relay_only: bool) -> Self {
        self.session.relay_only = relay_only;
        self
    }
}

/// Bounds and speeds of the capacity estimate.
#[derive(Clone, Copy, Debug)]
pub struct EstimatorPolicy {
    /// The first guess: 360p at good quality and sound, which most links carry.
    pub start_bps: f64,
    /// The lowest estimate: one voice at its least, and a little more. The stack's own floor of 100 kbps is above what a link
    /// for sound alone has.
    pub min_bps: f64,
    /// The highest estimate; nothing here sends more.
    pub max_bps: f64,
    /// What an overused link is cut to, as a share of what arrives (the GCC draft's beta).
    pub decrease_factor: f64,
    /// Growth a second while far from the last known limit.
    pub growth_per_second: f64,
    /// Growth near the last known limit, as a share of the rate each second.
    pub approach_per_second: f64,
    /// The most of it, in bits a second each second.
    pub approach_bps_per_second: f64,
    /// Loss alone does not press the estimate below this while it stays under [`Self::loss_severe`]: a link that loses
    /// packets at random loses the same share of fewer packets.
    pub loss_floor_bps: f64,
    /// The share of lost packets that counts as congestion.
    pub loss_high: f64,
    /// The share at which loss may press the estimate to its minimum. Below it a picture is worth its repairs: they cost as
    /// much again at a half.
    pub loss_severe: f64,
    /// How long a limit that was met is approached with care only.
    pub limit_memory: Duration,
    /// Growth a second at a limit that was met longer ago, until it is passed: the link may carry more now, but if not, this is
    /// slow enough to be noticed in time.
    pub retry_per_second: f64,
    /// How long a limit that was met stays in memory.
    pub limit_forgotten: Duration,
}

impl Default for EstimatorPolicy {
    fn default() -> Self {
        Self {
            start_bps: 1_000_000.0,
            min_bps: 25_000.0,
            max_bps: 2_500_000.0,
            decrease_factor: 0.85,
            growth_per_second: 1.5,
            approach_per_second: 0.05,
            approach_bps_per_second: 50_000.0,
            loss_floor_bps: 250_000.0,
            loss_high: 0.10,
            loss_severe: 0.50,
            limit_memory: Duration::from_secs(10),
            retry_per_second: 1.15,
            limit_forgotten: Duration::from_secs(60),
        }
    }
}

/// How the pacer spreads packets.
#[derive(Clone, Copy, Debug)]
pub struct PacerPolicy {
    /// Pace over estimate: a key frame of many packets shall not wait for the average.
    pub factor: f64,
    /// The slowest pace, for estimates near the floor.
    pub min_bps: f64,
    /// What may leave at once, as time at the pace.
    pub burst: Duration,
    /// How much of a timer's lateness is made up for by leaving at once. Measured on a busy machine: tens of milliseconds, by which
    /// the pace fell to a fraction.
    pub lateness_max: Duration,
    /// Video packets held at most; full: the arriving one is dropped. Frames are dropped long before, by
    /// [`Self::backlog_max`].
    pub packets_max: usize,
    /// Retransmissions held at most; full: the oldest is dropped.
    pub retransmissions_max: usize,
    /// A retransmission older than this helps nobody.
    pub retransmission_age_max: Duration,
    /// The pace of retransmissions over the estimate. Where a third is lost each way, and packets are asked for again before the answer can
    /// be there, repairs are two thirds of the picture; with less than they need they come too late, and key frames take their place.
    pub retransmission_factor: f64,
    /// Whole frames are dropped, before they get sequence numbers, while the pacer needs longer than this.
    pub backlog_max: Duration,
    /// After that the picture begins again, with a key frame, when the pacer needs less than this.
    pub backlog_low: Duration,
    /// What waits is given up where the estimate proves so wrong that the pacer would need longer than this for it.
    pub backlog_hopeless: Duration,
}

impl Default for PacerPolicy {
    fn default() -> Self {
        Self {
            factor: 2.5,
            min_bps: 200_000.0,
            burst: Duration::from_millis(5),
            lateness_max: Duration::from_millis(50),
            packets_max: 1_024,
            retransmissions_max: 128,
            retransmission_age_max: Duration::from_millis(500),
            retransmission_factor: 0.75,
            backlog_max: Duration::from_millis(250),
            backlog_low: Duration::from_millis(50),
            backlog_hopeless: Duration::from_millis(2_000),
        }
    }
}

/// How the signaling socket is kept.
#[derive(Clone, Copy, Debug)]
pub struct SignalingPolicy {
    /// From the first packet to the open WebSocket.
    pub connect_timeout: Duration,
    /// Between pings, which keep middle boxes and the server awake.
    pub ping_interval: Duration,
    /// Silence after which the socket counts as dead.
    pub silence_max: Duration,
}

impl Default for SignalingPolicy {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(8),
            ping_interval: Duration::from_secs(5),
            silence_max: Duration::from_secs(12),
        }
    }
}
