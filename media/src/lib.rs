//! Parlor's media: devices, codecs, and the audio and video pipelines between them and RTP.
//!
//! Device and codec work runs on named threads of the operating system; everything under [`rtp`] is pure, with the
//! time passed in. There is no network and no async runtime in this crate: whoever embeds it carries the packets.

pub mod audio;
pub mod camera;
pub mod clock;
pub mod frame;
pub mod fuzz;
pub mod latest;
pub mod rtp;
pub mod source;
pub mod thread;
pub mod video;

pub use audio::{
    AudioDeviceError, AudioSink, AudioSource, LocalAudio, LocalAudioConfig, LocalAudioStats, RemoteAudio,
    RemoteAudioStats,
};
pub use clock::MediaClock;
pub use frame::{EncodedAudio, EncodedFrame, I420, Layer, VideoFrame};
pub use rtp::packet::{MediaKind, MediaPacket, PacketizedFrame, RtpPacket, SenderReport};
pub use rtp::playout::{Playout, PlayoutConfig};
pub use source::{DeviceReason, SourceStatus};
pub use video::barcode;
pub use video::local::{LocalVideo, LocalVideoConfig, LocalVideoStats};
pub use video::remote::{RemoteVideo, RemoteVideoEvents, RemoteVideoStats};
pub use video::source::{CameraError, CameraFormat, CameraInfo, PixelFormat, VideoSource, cameras};
