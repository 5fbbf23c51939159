//! How a peer connection of ours is made: codecs, header extensions, addresses, certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use parlor_proto::{IceServer, Secret};
use parlor_session::{TurnTransport, turn_transport};
use rtc::crypto::SignatureScheme;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::mdns::MulticastSocket;
use rtc::peer_connection::certificate::CertificateParams;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use webrtc::error::{Error, Result};
use webrtc::peer_connection::{
    MediaEngine, RTCCertificate, RTCConfigurationBuilder, RTCIceServer, RTCIceTransportPolicy, SettingEngine,
    SettingEngineBuilder,
};

use crate::policy::EnginePolicy;

/// As browsers number them.
const OPUS_PAYLOAD_TYPE: u8 = 111;
/// As browsers number it.
const RED_PAYLOAD_TYPE: u8 = 63;
/// As browsers number it.
const H264_PAYLOAD_TYPE: u8 = 102;
/// As browsers number it.
const H264_RTX_PAYLOAD_TYPE: u8 = 103;
/// Constrained baseline 3.1, non-interleaved (RFC 6184): what openh264 makes and every browser takes.
const H264_FMTP: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
/// Speech with in-band error correction (RFC 7587).
const OPUS_FMTP: &str = "minptime=10;useinbandfec=1";

/// Sound that carries the packets before it once more (RFC 2198). Offered behind Opus, so that nobody sends it all the
/// time.
pub(crate) const MIME_TYPE_RED: &str = "audio/red";

/// RFC 6464.
pub(crate) const AUDIO_LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
pub(crate) const TRANSPORT_CC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";

/// Between two connectivity checks of a pair. The stack's 200 ms are most of the time to the first picture on a quick
/// path; RFC 8445 §14.2 asks for no less than 5 ms between checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Checks of a pair before it is given up: for as long as the stack looks for a way at all, by [`EnginePolicy::ice_timeouts`]. A network that was
/// away longer than that many checks would otherwise be back and nobody would look.
const CHECKS_MAX: u16 = 240;

/// Bytes of data channel messages that may wait for one slow peer, each channel.
pub(crate) const CHANNEL_BUFFER_BYTES: usize = 256 * 1_024;
/// The largest SCTP message taken; ours are 20 KiB at most.
const RECEIVE_BUFFER_BYTES: u32 = 256 * 1_024;

pub(crate) fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: OPUS_FMTP.to_owned(),
        rtcp_feedback: vec![feedback("transport-cc", "")],
    }
}

pub(crate) fn h264() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_H264.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: H264_FMTP.to_owned(),
        rtcp_feedback: vec![
            feedback("transport-cc", ""),
            feedback("ccm", "fir"),
            feedback("nack", ""),
            feedback("nack", "pli"),
        ],
    }
}

fn feedback(kind: &str, parameter: &str) -> RTCPFeedback {
    RTCPFeedback { typ: kind.to_owned(), parameter: parameter.to_owned() }
}

/// The codecs and header extensions we speak.
///
/// # Errors
/// Only for a contradiction in the lists here.
pub(crate) fn media_engine() -> Result<MediaEngine> {
    let mut engine = MediaEngine::default();
    let rtx = RTCRtpCodec {
        mime_type: MIME_TYPE_RTX.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: format!("apt={H264_PAYLOAD_TYPE}"),
        rtcp_feedback: Vec::new(),
    };
    let red = RTCRtpCodec {
        mime_type: MIME_TYPE_RED.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: format!("{OPUS_PAYLOAD_TYPE}/{OPUS_PAYLOAD_TYPE}"),
        rtcp_feedback: Vec::new(),
    };
    for (rtp_codec, payload_type, kind) in [
        (opus(), OPUS_PAYLOAD_TYPE, RtpCodecKind::Audio),
        (red, RED_PAYLOAD_TYPE, RtpCodecKind::Audio),
        (h264(), H264_PAYLOAD_TYPE, RtpCodecKind::Video),
        (rtx, H264_RTX_PAYLOAD_TYPE, RtpCodecKind::Video),
    ] {
        engine.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type }, kind)?;
    }
    register_header_extensions(&mut engine)?;
    Ok(engine)
}

/// Gives the header extensions the ids that Chromium gives them; another numbering makes its rollback fail with
/// "RTP extension ID reassignment not supported". Ids follow the order, so the gaps are filled.
fn register_header_extensions(engine: &mut MediaEngine) -> Result<()> {
    const AUDIO: &[RtpCodecKind] = &[RtpCodecKind::Audio];
    const VIDEO: &[RtpCodecKind] = &[RtpCodecKind::Video];
    const BOTH: &[RtpCodecKind] = &[RtpCodecKind::Audio, RtpCodecKind::Video];
    const GAP: &[RtpCodecKind] = &[RtpCodecKind::Unspecified];
    let by_id: [(&str, &[RtpCodecKind]); 11] = [
        (AUDIO_LEVEL_URI, AUDIO),
        ("urn:parlor:gap:2", GAP),
        (TRANSPORT_CC_URI, BOTH),
        (MID_URI, BOTH),
        ("urn:parlor:gap:5", GAP),
        ("urn:parlor:gap:6", GAP),
        ("urn:parlor:gap:7", GAP),
        ("urn:parlor:gap:8", GAP),
        ("urn:parlor:gap:9", GAP),
        (RID_URI, VIDEO),
        (REPAIRED_RID_URI, VIDEO),
    ];
    for (uri, kinds) in by_id {
        for kind in kinds {
            engine.register_header_extension(RTCRtpHeaderExtensionCapability { uri: uri.to_owned() }, *kind, None)?;
        }
    }
    Ok(())
}

/// The certificate of a session, for all its connections.
///
/// # Errors
/// When there is no randomness, or the crypto provider is missing.
pub(crate) fn certificate() -> Result<RTCCertificate> {
    let failed = |error: &dyn std::fmt::Display| Error::Other(format!("no certificate could be made: {error}"));
    let provider = rtc::crypto::default_provider().map_err(|error| failed(&error))?;
    let params = CertificateParams::new(vec!["parlor".to_owned()]).map_err(|error| failed(&error))?;
    RTCCertificate::generate(provider.crypto(), SignatureScheme::EcdsaP256Sha256, params)
}

/// ICE servers of a connection, and whether only relays may be used. The certificate stays the one it was made with.
pub(crate) fn configuration(ice_servers: &[IceServer], relay_only: bool) -> RTCConfigurationBuilder {
    let policy = if relay_only { RTCIceTransportPolicy::Relay } else { RTCIceTransportPolicy::All };
    RTCConfigurationBuilder::new()
        .with_ice_servers(ice_servers.iter().filter_map(usable).collect())
        .with_ice_transport_policy(policy)
}

/// What the stack takes of a server: a single URL or missing password that it does not take would cost the connection.
fn usable(server: &IceServer) -> Option<RTCIceServer> {
    let IceServer { urls, username, credential } = server;
    let has_credentials = username.is_some() && credential.is_some();
    let is_usable = |url: &&String| match turn_transport(url) {
        Some(TurnTransport::Udp) => has_credentials,
        Some(TurnTransport::TcpOrTls) => false,
        None => url.starts_with("stun:"),
    };
    let is_sane = |url: &&String| rtc::ice::url::Url::parse_url(url).is_ok();
    let urls: Vec<String> = urls.iter().filter(is_usable).filter(is_sane).cloned().collect();
    (!urls.is_empty()).then(|| RTCIceServer {
        urls,
        username: username.clone().unwrap_or_default(),
        credential: credential.as_ref().map_or("", Secret::reveal).to_owned(),
    })
}

/// Whether the stack will ask one of them for a relayed address.
pub(crate) fn has_relay(ice_servers: &[IceServer]) -> bool {
    ice_servers.iter().filter_map(usable).flat_map(|server| server.urls).any(|url| turn_transport(&url).is_some())
}

/// Time-outs, and which candidates count when.
pub(crate) fn setting_engine(policy: &EnginePolicy, loopback: bool) -> SettingEngine {
    let [disconnected, failed, keep_alive] = policy.ice_timeouts;
    // A question on the local network would show that we are there, to whoever names a `.local` candidate.
    let is_hidden = policy.session.relay_only;
    let multicast_dns = if is_hidden { MulticastDnsMode::Disabled } else { multicast_dns_mode() };
    SettingEngineBuilder::new()
        .with_multicast_dns_mode(multicast_dns)
        .with_ice_timeouts(Some(disconnected), Some(failed), Some(keep_alive))
        .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(CHECKS_MAX))
        // Measured: waiting for better candidates costs 1.5 s of each connect.
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
        // Otherwise 2 s, in which a direct path may be found: there is none to wait for while only relays are used.
        .with_relay_acceptance_min_wait(is_hidden.then_some(Duration::ZERO))
        // An ICE restart looks at the interfaces anew: the machine may have moved to another network.
        .with_discard_local_candidates_during_ice_restart(true)
        .with_include_loopback_candidate(loopback)
        .with_sctp_max_receive_buffer_size(RECEIVE_BUFFER_BYTES)
        .build()
}

/// Browsers hide their addresses behind `.local` names, which multicast DNS resolves. Where the machine has no interface
/// for multicast, its socket can't be opened, and the stack would then refuse to make any connection.
fn multicast_dns_mode() -> MulticastDnsMode {
    match MulticastSocket::new().into_std() {
        Ok(_) => MulticastDnsMode::QueryOnly,
        Err(error) => {
            tracing::debug!(%error, "there is no multicast here: .local candidates are not resolved");
            MulticastDnsMode::Disabled
        }
    }
}

/// Where to listen: every interface the machine has, and loopback where it has no other.
pub(crate) struct BindAddresses {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) loopback: bool,
}

/// Looks at the machine as it is now.
pub(crate) fn bind_addresses() -> BindAddresses {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the network interfaces could not be listed");
        Vec::new()
    });
    bind_addresses_for(interfaces.iter().map(if_addrs::Interface::ip))
}

fn bind_addresses_for(local: impl Iterator<Item = IpAddr>) -> BindAddresses {
    let usable: Vec<IpAddr> = local.filter(|ip| !ip.is_loopback() && !is_link_local(*ip)).collect();
    let mut addresses = Vec::new();
    // The wildcards stand for all interfaces of their family, also those that come up before an ICE restart.
    if usable.iter().any(IpAddr::is_ipv4) {
        addresses.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    }
    if usable.iter().any(IpAddr::is_ipv6) {
        addresses.push(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    }
    let loopback = addresses.is_empty();
    if loopback {
        addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    }
    BindAddresses { addresses, loopback }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(local: &[&str]) -> (Vec<String>, bool) {
        let bind = bind_addresses_for(local.iter().map(|ip| ip.parse().unwrap()));
        (bind.addresses.iter().map(SocketAddr::to_string).collect(), bind.loopback)
    }

    #[test]
    fn each_family_that_the_machine_has_is_bound() {
        assert_eq!(bound(&["127.0.0.1", "192.0.2.7"]), (vec!["0.0.0.0:0".to_owned()], false));
        let both = vec!["0.0.0.0:0".to_owned(), "[::]:0".to_owned()];
        assert_eq!(bound(&["127.0.0.1", "192.0.2.7", "::1", "2001:db8::7"]), (both, false));
    }

    #[test]
    fn a_machine_alone_with_itself_talks_over_loopback() {
        let loopback = (vec!["127.0.0.1:0".to_owned()], true);
        assert_eq!(bound(&["127.0.0.1", "::1"]), loopback);
        assert_eq!(bound(&["127.0.0.1", "169.254.3.4", "fe80::1"]), loopback);
        assert_eq!(bound(&[]), loopback);
    }

    #[test]
    fn servers_that_the_stack_would_refuse_are_left_out() {
        let server = |urls: &[&str], name: Option<&str>| {
            let urls = urls.iter().map(|url| (*url).to_owned()).collect();
            IceServer { urls, username: name.map(Into::into), credential: name.map(Into::into) }
        };
        let taken = |urls: &[&str], name| usable(&server(urls, name)).map(|server| server.urls);
        let all = [
            "stun:a",
            "turn:b",
            "turn:c?transport=udp",
            "turn:d?transport=tcp",
            "turns:e",
            "http://f",
            "turn:g?x=y",
            "turn:",
        ];
        assert_eq!(taken(&all, Some("u")), Some(vec!["stun:a".into(), "turn:b".into(), "turn:c?transport=udp".into()]));
        assert_eq!(taken(&all, None), Some(vec!["stun:a".into()]));
        assert_eq!(taken(&["turns:e"], Some("u")), None);
    }

    #[test]
    fn our_codecs_and_header_extensions_do_not_contradict_each_other() {
        assert!(media_engine().is_ok());
        assert!(certificate().is_ok());
    }
}
