//! What a packet costs that is only sealed and sent.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::anyhow;
use cpu_time::ThreadTime;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const PACKETS: u32 = 20_000;
/// The header stays readable (RFC 7714 §8.1).
const HEADER_BYTES: usize = 12;

/// Processor time of one packet of this size: one AES-128-GCM seal and one send on a socket to this machine.
pub(crate) fn packet_cost(bytes: usize) -> anyhow::Result<Duration> {
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    sender.connect(receiver.local_addr()?)?;
    receiver.set_read_timeout(Some(Duration::from_millis(500)))?;
    // Somebody takes them, as in a call: into a full buffer it would be cheaper.
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while receiver.recv(&mut buffer).is_ok() {}
    });
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).map_err(|_| anyhow!("ring takes no key"))?;
    let key = LessSafeKey::new(key);
    let mut packet = vec![0; bytes.clamp(HEADER_BYTES + AES_128_GCM.tag_len() + 1, 1_500)];
    let start = ThreadTime::now();
    for number in 0..PACKETS {
        seal(&key, number, &mut packet).map_err(|_| anyhow!("ring does not seal"))?;
        sender.send(&packet)?;
    }
    let cost = start.elapsed() / PACKETS;
    reader.join().map_err(|_| anyhow!("the reader panicked"))?;
    Ok(cost)
}

fn seal(key: &LessSafeKey, number: u32, packet: &mut [u8]) -> Result<(), ring::error::Unspecified> {
    let mut nonce = [0; 12];
    nonce[8..].copy_from_slice(&number.to_be_bytes());
    let (header, rest) = packet.split_at_mut(HEADER_BYTES);
    let (body, tag) = rest.split_at_mut(rest.len() - AES_128_GCM.tag_len());
    let made = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&*header), body)?;
    tag.copy_from_slice(made.as_ref());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_costs_something_and_a_sealed_one_is_another_each_time() {
        let cost = packet_cost(1_000).unwrap_or_default();
        assert!(cost > Duration::from_nanos(200) && cost < Duration::from_millis(1), "{cost:?}");
        let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).map(LessSafeKey::new);
        let Ok(key) = key else { panic!("no key") };
        let (mut one, mut other) = (vec![0; 200], vec![0; 200]);
        assert!(seal(&key, 1, &mut one).is_ok() && seal(&key, 2, &mut other).is_ok());
        assert_eq!(one[..HEADER_BYTES], other[..HEADER_BYTES]);
        assert_ne!(one[HEADER_BYTES..], other[HEADER_BYTES..]);
    }
}
