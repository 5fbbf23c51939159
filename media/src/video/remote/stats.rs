//! What happened to a peer's picture.

/// Counters since the peer's picture was set up. Of each picture of which a packet came, exactly one of
/// `frames_decoded`, `decode_errors` and the `frames_dropped_` counters tells, unless it is still on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RemoteVideoStats {
    /// RTP packets, duplicates included.
    pub packets: u64,
    /// Their payload in bytes.
    pub bytes: u64,
    /// Pictures put together from packets.
    pub frames_assembled: u64,
    /// Pictures decoded.
    pub frames_decoded: u64,
    /// Pictures put into the slot from which the window takes them.
    pub frames_shown: u64,
    /// Pictures replaced by a later one before the window took them.
    pub frames_overwritten: u64,
    /// Whole pictures dropped since the one they refer to was lost.
    pub frames_dropped_no_reference: u64,
    /// Pictures dropped since a packet of them did not come in time.
    pub frames_dropped_incomplete: u64,
    /// Pictures dropped since too many waited, or the stream began anew.
    pub frames_dropped_queue: u64,
    /// Pictures whose packets do not follow RFC 6184.
    pub frames_dropped_malformed: u64,
    /// Pictures that the decoder could make nothing of.
    pub decode_errors: u64,
    /// Packets dropped before the decoder's thread took them.
    pub packets_dropped_queue: u64,
    /// Packets that never came, though others after them did.
    pub packets_missing: u64,
    /// Packets that came twice, or too late.
    pub duplicates: u64,
    /// Requests for a key frame.
    pub key_frames_requested: u64,
    /// Key frames decoded.
    pub key_frames_decoded: u64,
    /// How often the picture froze (W3C webrtc-stats, `freezeCount`).
    pub freezes: u64,
    /// For how long altogether, in milliseconds (W3C webrtc-stats, `totalFreezesDuration`).
    pub frozen_ms: u64,
    /// Width in pixels of the last picture.
    pub width: u32,
    /// Height in pixels of the last picture.
    pub height: u32,
    /// Median time from capture to showing, in milliseconds, read from the barcode; only between peers on one boot.
    pub latency_ms_p50: Option<f64>,
}
