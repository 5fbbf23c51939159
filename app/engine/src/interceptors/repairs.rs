//! Makes retransmissions known to what numbers and counts packets.
//!
//! The stack's transport-wide numbering and its send history know a stream by its own SSRC alone, and let everything else pass
//! uncounted: its retransmissions (RFC 4588), which have one of their own, among them. But they take their part of the link, just when
//! it is full: half of a narrow link was measured to be missing from the estimate, which so fell further.

use std::time::Instant;

use rtc::interceptor::{Interceptor, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// An interceptor that takes the retransmissions of each stream we send for a stream of their own.
pub(crate) struct WithRepairs<I>(pub(crate) I);

/// The stream of its retransmissions, where there is one.
fn repairs(info: &StreamInfo) -> Option<StreamInfo> {
    info.ssrc_rtx.map(|ssrc| StreamInfo { ssrc, ssrc_rtx: None, ..info.clone() })
}

impl<I: Interceptor> Protocol<TaggedPacket, TaggedPacket, ()> for WithRepairs<I> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.0.handle_read(packet)
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.0.poll_read()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.0.handle_write(packet)
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.0.poll_write()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.0.handle_timeout(now)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.0.poll_timeout()
    }
}

impl<I: Interceptor> Interceptor for WithRepairs<I> {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.0.bind_local_stream(info);
        if let Some(repairs) = repairs(info) {
            self.0.bind_local_stream(&repairs);
        }
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.0.unbind_local_stream(info);
        if let Some(repairs) = repairs(info) {
            self.0.unbind_local_stream(&repairs);
        }
    }

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        self.0.bind_remote_stream(info);
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.0.unbind_remote_stream(info);
    }
}

#[cfg(test)]
mod tests {
    use rtc::interceptor::{RTPHeaderExtension, TwccSenderBuilder};

    use super::super::stage::tests::{header, rtp_packet, video_stream};
    use super::*;

    /// Whether a packet of this SSRC leaves with a transport-wide number.
    fn is_numbered(interceptor: &mut impl Interceptor, ssrc: u32) -> bool {
        interceptor.handle_write(rtp_packet(Instant::now(), ssrc, 1, b"abc")).unwrap();
        header(&interceptor.poll_write().unwrap()).get_extension(3).is_some()
    }

    #[test]
    fn retransmissions_are_numbered_as_all_else() {
        let uri = crate::peer_driver::configuration::TRANSPORT_CC_URI.to_owned();
        let info = StreamInfo { rtp_header_extensions: vec![RTPHeaderExtension { uri, id: 3 }], ..video_stream(1, 2) };
        let mut stock = TwccSenderBuilder::new().build();
        stock.bind_local_stream(&info);
        assert!(!is_numbered(&mut stock, 2), "the stack does it by itself now: this stage may go");
        let mut stage = WithRepairs(TwccSenderBuilder::new().build());
        stage.bind_local_stream(&info);
        assert!(is_numbered(&mut stage, 1) && is_numbered(&mut stage, 2));
        stage.unbind_local_stream(&info);
        assert!(!is_numbered(&mut stage, 1) && !is_numbered(&mut stage, 2));
    }
}
