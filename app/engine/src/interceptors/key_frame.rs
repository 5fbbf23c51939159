//! Hears PLI (RFC 4585 §6.3.1) and FIR (RFC 5104 §4.3.1), which the stack keeps from the application.

use std::sync::Arc;

use rtc::interceptor::{Packet, TaggedPacket};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;

use super::stage::{Belt, Stage};

/// Calls back when the other side needs a key frame of our picture.
pub(crate) struct KeyFrameRequests {
    video_ssrc: u32,
    requested: Arc<dyn Fn() + Send + Sync>,
}

impl KeyFrameRequests {
    pub(crate) fn new(video_ssrc: u32, requested: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self { video_ssrc, requested }
    }

    fn asks(&self, packet: &dyn rtc::rtcp::Packet) -> bool {
        let any = packet.as_any();
        if let Some(pli) = any.downcast_ref::<PictureLossIndication>() {
            return pli.media_ssrc == self.video_ssrc;
        }
        any.downcast_ref::<FullIntraRequest>()
            .is_some_and(|fir| fir.fir.iter().any(|entry| entry.ssrc == self.video_ssrc))
    }
}

impl Stage for KeyFrameRequests {
    fn handle_read(&mut self, packet: TaggedPacket, belt: &mut Belt) {
        if let Packet::Rtcp(packets) = &packet.message.packet
            && packets.iter().any(|packet| self.asks(packet.as_ref()))
        {
            (self.requested)();
        }
        belt.read.push_back(packet);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use rtc::rtcp::payload_feedbacks::full_intra_request::FirEntry;

    use super::super::stage::tests::rtcp_packet;
    use super::*;

    #[test]
    fn requests_for_our_picture_are_heard_and_others_are_not() {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let mut stage = KeyFrameRequests::new(7, Arc::new(move || _ = counted.fetch_add(1, Ordering::Relaxed)));
        let mut belt = Belt::default();
        let now = Instant::now();
        let fir =
            |ssrc| FullIntraRequest { sender_ssrc: 1, media_ssrc: 0, fir: vec![FirEntry { ssrc, sequence_number: 0 }] };
        stage.handle_read(rtcp_packet(now, PictureLossIndication { sender_ssrc: 1, media_ssrc: 7 }), &mut belt);
        stage.handle_read(rtcp_packet(now, PictureLossIndication { sender_ssrc: 1, media_ssrc: 8 }), &mut belt);
        stage.handle_read(rtcp_packet(now, fir(7)), &mut belt);
        stage.handle_read(rtcp_packet(now, fir(8)), &mut belt);
        assert_eq!(count.load(Ordering::Relaxed), 2);
        assert_eq!(belt.read.len(), 4, "others in the chain still see them");
    }
}
