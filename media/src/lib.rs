//! Parlor's media: devices, codecs, and the audio and video pipelines between them and RTP.

pub mod audio;
pub mod clock;
pub mod frame;
pub mod latest;
pub mod rtp;
pub mod source;
pub mod thread;

pub use audio::{
    AudioDeviceError, AudioSink, AudioSource, LocalAudio, LocalAudioConfig, LocalAudioStats, RemoteAudio,
    RemoteAudioStats,
};
pub use clock::MediaClock;
pub use frame::{EncodedAudio, EncodedFrame, I420, Layer, VideoFrame};
pub use rtp::packet::{MediaKind, MediaPacket, PacketizedFrame, RtpPacket, SenderReport};
pub use rtp::playout::{Playout, PlayoutConfig};
pub use source::{DeviceReason, SourceStatus};
