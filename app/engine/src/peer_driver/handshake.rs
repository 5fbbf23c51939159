//! What of a DTLS handshake waits for its answer, sent again sooner than the stack would.
//!
//! The stack waits a second before it sends a flight again (RFC 6347 §4.2.4.1), and that cannot be set: where a tenth of all packets is lost, most calls
//! began a second late. So each socket keeps the flight that it sent last, and sends the same records again while nothing new comes from
//! the other end. Who has them already drops them unread, as replays (§4.1.2.6); so what is not needed costs bytes, and nothing else. A flight is
//! answered only when all of it came, and what of the answer is lost the other end sends again, by its own clock.
//!
//! Pure: datagrams and the time go in; when to send again, and what, comes out.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// After the first time; each further pause is twice as long. Shorter than a long round trip: then each flight goes out twice.
const PAUSE: Duration = Duration::from_millis(100);
/// So often: the fourth time would be after the stack's own.
const TIMES: u32 = 3;
/// Datagrams of one flight, and bytes of all: a flight with a certificate has two or three. What is beyond is left to the stack.
const DATAGRAMS_MAX: usize = 8;
const BYTES_MAX: usize = 16_000;
/// What is sent so much after the flight began is another one, or the stack's own repetition.
const FLIGHT_LASTS: Duration = Duration::from_millis(50);

/// Content types of DTLS records that belong to a handshake (RFC 5246 §6.2.1): the change of ciphers, and the messages.
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
/// Type, version, epoch, sequence number and length.
const RECORD_HEADER_BYTES: usize = 13;

/// One socket's side of the handshake.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    flight: Option<Flight>,
    /// Epoch and number of the newest record that came.
    newest: Option<u64>,
}

#[derive(Debug)]
struct Flight {
    began_at: Instant,
    datagrams: Vec<(SocketAddr, Vec<u8>)>,
    times: u32,
    due_at: Instant,
}

/// Epoch and number of a datagram's first record (RFC 6347 §4.1), if it is DTLS.
fn record_number(datagram: &[u8]) -> Option<u64> {
    let is_dtls = matches!(datagram.first(), Some(20..=63)) && datagram.len() >= RECORD_HEADER_BYTES;
    let number = datagram.get(3..11).filter(|_| is_dtls)?;
    number.try_into().ok().map(u64::from_be_bytes)
}

impl Handshake {
    /// A datagram left.
    pub(crate) fn handle_sent(&mut self, now: Instant, destination: SocketAddr, datagram: &[u8]) {
        if !matches!(datagram.first(), Some(&(CHANGE_CIPHER_SPEC | HANDSHAKE))) || record_number(datagram).is_none() {
            return;
        }
        let is_another = |flight: &Flight| now.saturating_duration_since(flight.began_at) > FLIGHT_LASTS;
        if self.flight.as_ref().is_none_or(is_another) {
            self.flight = Some(Flight { began_at: now, datagrams: Vec::new(), times: 0, due_at: now + PAUSE });
        }
        let Some(flight) = &mut self.flight else { return };
        let bytes: usize = flight.datagrams.iter().map(|(_, datagram)| datagram.len()).sum();
        if flight.datagrams.len() < DATAGRAMS_MAX && bytes + datagram.len() <= BYTES_MAX {
            flight.datagrams.push((destination, datagram.to_vec()));
        }
    }

    /// A datagram came: what is new answers the flight.
    pub(crate) fn handle_received(&mut self, datagram: &[u8]) {
        let Some(number) = record_number(datagram) else { return };
        if self.newest.is_none_or(|newest| number > newest) {
            self.newest = Some(number);
            self.flight = None;
        }
    }

    /// Nothing is to be sent again any more.
    pub(crate) fn end(&mut self) {
        self.flight = None;
    }

    /// When something is to be sent again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.flight.as_ref().filter(|flight| flight.times < TIMES).map(|flight| flight.due_at)
    }

    /// What is to be sent again now.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> &[(SocketAddr, Vec<u8>)] {
        let is_due = self.poll_timeout().is_some_and(|due_at| due_at <= now);
        let Some(flight) = self.flight.as_mut().filter(|_| is_due) else { return &[] };
        flight.times += 1;
        flight.due_at = now + PAUSE * 2_u32.pow(flight.times);
        &flight.datagrams
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A record of this type, epoch and number.
    fn record(kind: u8, epoch: u16, number: u8) -> Vec<u8> {
        let mut record = vec![kind, 254, 253];
        record.extend(epoch.to_be_bytes());
        record.extend([0, 0, 0, 0, 0, number, 0, 1, 0]);
        record
    }

    fn peer() -> SocketAddr {
        ([127, 0, 0, 1], 9).into()
    }

    /// The numbers of what is sent again, by the millisecond, within a second and a half.
    fn again(handshake: &mut Handshake, begin: Instant) -> Vec<(u32, Vec<u8>)> {
        let at = |ms| {
            let sent: Vec<u8> = handshake.handle_timeout(begin + MS * ms).iter().map(|(_, sent)| sent[10]).collect();
            (!sent.is_empty()).then_some((ms, sent))
        };
        (0..1_500).filter_map(at).collect()
    }

    #[test]
    fn a_flight_without_an_answer_is_sent_again_three_times_whole() {
        let (mut handshake, begin) = (Handshake::default(), Instant::now());
        handshake.handle_sent(begin, peer(), &record(22, 0, 4));
        handshake.handle_sent(begin + MS, peer(), &record(20, 0, 5));
        assert_eq!(handshake.poll_timeout(), Some(begin + PAUSE));
        assert_eq!(again(&mut handshake, begin), [(100, vec![4, 5]), (300, vec![4, 5]), (700, vec![4, 5])]);
        assert_eq!(handshake.poll_timeout(), None);
    }

    #[test]
    fn what_is_new_answers_it_and_what_came_before_does_not() {
        let (mut handshake, begin) = (Handshake::default(), Instant::now());
        handshake.handle_received(&record(22, 0, 1));
        handshake.handle_sent(begin, peer(), &record(22, 0, 2));
        // The other end repeats itself; checks and media are no answer either.
        for other in [&record(22, 0, 1)[..], &record(22, 0, 0), &[0, 1, 0], &[0x80; 40], &[22], &[]] {
            handshake.handle_received(other);
        }
        assert!(handshake.poll_timeout().is_some());
        handshake.handle_received(&record(22, 0, 2));
        assert_eq!(again(&mut handshake, begin), []);
        // Encrypted from then on, numbers begin anew with the epoch.
        handshake.handle_sent(begin + MS * 400, peer(), &record(22, 1, 0));
        handshake.handle_received(&record(23, 1, 0));
        assert_eq!(handshake.poll_timeout(), None);
    }

    #[test]
    fn what_the_stack_sends_again_replaces_what_was_kept() {
        let (mut handshake, begin) = (Handshake::default(), Instant::now());
        handshake.handle_sent(begin, peer(), &record(22, 0, 1));
        handshake.handle_sent(begin + MS * 60, peer(), &record(22, 0, 2));
        assert_eq!(again(&mut handshake, begin)[0], (160, vec![2]));
    }

    #[test]
    fn only_handshakes_are_kept_and_not_without_bound() {
        let (mut handshake, begin) = (Handshake::default(), Instant::now());
        for other in [&record(23, 1, 1)[..], &record(21, 0, 1), &[0, 1, 0], &[0x80; 40], &[22; 5], &[]] {
            handshake.handle_sent(begin, peer(), other);
        }
        assert_eq!(handshake.poll_timeout(), None);
        (0..100).for_each(|number| handshake.handle_sent(begin, peer(), &record(22, 0, number)));
        assert_eq!(again(&mut handshake, begin)[0].1.len(), DATAGRAMS_MAX);
    }

    /// Two ends answer each other's flights, each of two datagrams, over a way that loses each third datagram at random; how long the last of
    /// six flights takes to come whole.
    fn handshake_ms(seed: u32) -> Option<u32> {
        let begin = Instant::now();
        let mut random = seed;
        let mut is_lost = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16).is_multiple_of(3)
        };
        let mut ends = [Handshake::default(), Handshake::default()];
        // Of each end: what came of the other's flight, by number; and its own.
        let (mut come, mut flight) = ([[false; 2]; 2], 0_u8);
        let mut on_the_way: Vec<(u32, usize, Vec<u8>)> = Vec::new();
        let mut begins = true;
        for ms in 0..3_000 {
            let now = begin + MS * ms;
            let sender = usize::from(flight % 2);
            if std::mem::take(&mut begins) {
                for part in 0..2 {
                    let datagram = record(22, 0, flight * 2 + part);
                    ends[sender].handle_sent(now, peer(), &datagram);
                    on_the_way.push((ms + 10, 1 - sender, datagram));
                }
                on_the_way.retain(|(at, ..)| *at != ms + 10 || !is_lost());
            }
            for (number, end) in ends.iter_mut().enumerate() {
                for (_, datagram) in end.handle_timeout(now) {
                    if !is_lost() {
                        on_the_way.push((ms + 10, 1 - number, datagram.clone()));
                    }
                }
            }
            for (_, to, datagram) in on_the_way.extract_if(.., |(at, ..)| *at == ms) {
                ends[to].handle_received(&datagram);
                if datagram[10] / 2 == flight {
                    come[to][usize::from(datagram[10] % 2)] = true;
                }
            }
            if come[1 - sender] == [true; 2] {
                if flight == 5 {
                    return Some(ms);
                }
                (come, flight, begins) = ([[false; 2]; 2], flight + 1, true);
            }
        }
        None
    }

    #[test]
    fn where_a_third_is_lost_a_handshake_takes_less_than_the_stacks_first_pause() {
        let mut took: Vec<u32> = (0..50).filter_map(handshake_ms).collect();
        took.sort_unstable();
        assert!(took.len() >= 40 && took[took.len() / 2] < 1_000, "{took:?}");
    }
}
