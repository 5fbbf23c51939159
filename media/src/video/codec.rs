//! Which codecs there are.

/// A video codec; pipelines hold one of these, never the library behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264 in its constrained baseline profile, level 3.1 (`profile-level-id=42e01f`), by OpenH264.
    #[default]
    H264,
}

impl VideoCodec {
    /// The name in SDP (RFC 6184 §8.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
        }
    }

    /// The MIME type by which WebRTC finds it.
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::H264 => "video/H264",
        }
    }
}
