#![allow(missing_docs, unused)]
use std::sync::Arc; use std::time::{Duration, Instant}; use parlor_media::*;
#[derive(Clone, Debug)] pub enum VideoSource { None, TestPattern { name: String } }
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)] #[error("x")] pub enum CameraError { Busy }
impl CameraError { pub fn reason(&self) -> DeviceReason { DeviceReason::Busy } }
#[derive(Clone, Copy, Debug, Default)] pub struct LocalVideoStats { pub bytes_encoded: u64, pub frames_encoded: u64 }
#[derive(Clone, Debug, Default)] pub struct RemoteVideoStats { pub frames_decoded: u64 }
pub struct LocalVideo;
impl LocalVideo { pub fn new(c: (), clock: MediaClock) -> Self { Self } pub fn set_source(&self, s: VideoSource) {} pub fn set_enabled(&self, b: bool) {} pub fn status(&self) -> SourceStatus<CameraError> { SourceStatus::Off }
 pub fn start_encoding(&self, f: Box<dyn FnMut(Arc<PacketizedFrame>) + Send>) {} pub fn stop_encoding(&self) {} pub fn request_key_frame(&self) {} pub fn set_target_bitrate_bps(&self, b: u32) {} pub fn stats(&self) -> LocalVideoStats { LocalVideoStats::default() } }
pub struct RemoteVideoEvents { pub key_frame_needed: Arc<dyn Fn() + Send + Sync>, pub frame_shown: Arc<dyn Fn() + Send + Sync> }
pub struct RemoteVideo;
impl RemoteVideo { pub fn new(p: Arc<Playout>, c: MediaClock, e: RemoteVideoEvents) -> Self { Self } pub fn push(&self, p: RtpPacket, at: Instant) {} pub fn set_rtt(&self, d: Duration) {} pub fn frames(&self) -> latest::Receiver<VideoFrame> { latest::slot().1 } pub fn stats(&self) -> RemoteVideoStats { RemoteVideoStats::default() } pub fn set_same_boot(&self, b: bool) {} }
