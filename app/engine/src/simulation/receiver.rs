//! The receiving side: what it reports, asks for and shows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rtc::interceptor::PacketReport;

use super::busy::Busy;
use super::sender::Sender;
use super::{Feedback, Second, Sent, What};

/// Between two reports.
const REPORT_MS: u128 = 100;
/// How long a repair is waited for before a key frame is asked for, and before it is asked for again.
const REPAIR_MS: u128 = 200;
/// How often a packet is asked for.
const TRIES_MAX: u32 = 5;

pub(super) struct Receiver {
    busy: [Busy; 2],
    /// Packets that came while there was no time.
    pub(super) waiting: VecDeque<usize>,
    report_at: u128,
    reported: usize,
    /// Packets of the picture that are here, by sequence number.
    arrived: BTreeSet<usize>,
    /// How often each was asked for.
    asked: BTreeMap<usize, u32>,
    /// How many packets of each frame are here.
    here: BTreeMap<u32, usize>,
    /// The first frame that was not looked at.
    next: u32,
    hole_since: Option<u128>,
    /// Waits for a key frame.
    is_broken: bool,
    asked_at: u128,
}

impl Receiver {
    pub(super) fn new(busy: [Busy; 2]) -> Self {
        Self {
            busy,
            waiting: VecDeque::new(),
            report_at: REPORT_MS,
            reported: 0,
            arrived: BTreeSet::new(),
            asked: BTreeMap::new(),
            here: BTreeMap::new(),
            next: 0,
            hole_since: None,
            is_broken: true,
            asked_at: 0,
        }
    }

    /// A millisecond.
    pub(super) fn step(
        &mut self,
        ms: u128,
        sent: &mut [Sent],
        sender: &Sender,
        second: &mut Second,
        feedback: &mut VecDeque<Feedback>,
    ) {
        if self.busy.each_mut().map(|busy| busy.is_busy(ms)).contains(&true) {
            return;
        }
        while let Some(id) = self.waiting.pop_front() {
            self.take(ms, &mut sent[id], sender, second);
        }
        if ms >= self.report_at {
            self.report_at = ms + REPORT_MS;
            let reports = self.report(sent, second);
            feedback.extend(reports.map(|reports| Feedback::Report { skipped: Vec::new(), reports }));
            let missing = self.missing();
            if !missing.is_empty() {
                feedback.push_back(Feedback::Nack(missing));
            }
        }
        self.look(ms, sender, second);
        if self.is_broken && ms >= self.asked_at + REPAIR_MS {
            self.asked_at = ms;
            feedback.push_back(Feedback::KeyFrame);
        }
    }

    fn take(&mut self, ms: u128, sent: &mut Sent, sender: &Sender, second: &mut Second) {
        // Its clock began long ago.
        sent.arrival = Some(Duration::from_secs(1_000) + Duration::from_millis(ms as u64));
        match sent.what {
            What::Sound => second.sound_ms_max = second.sound_ms_max.max(ms - sent.made_ms),
            What::Picture(number) | What::Repair(number) => {
                if self.arrived.insert(number) {
                    *self.here.entry(sender.packets[number].0).or_default() += 1;
                }
            }
        }
    }

    /// Everything up to the latest packet that came.
    fn report(&mut self, sent: &[Sent], second: &mut Second) -> Option<Vec<PacketReport>> {
        let latest = sent.iter().rposition(|sent| sent.arrival.is_some())?;
        let new = self.reported..latest + 1;
        self.reported = latest + 1;
        let reports = new.map(|id| {
            let sent = &sent[id];
            second.sounds_lost += u32::from(matches!(sent.what, What::Sound) && sent.arrival.is_none());
            PacketReport {
                ssrc: 1,
                id: id as u64,
                rtp_sequence_number: id as u16,
                is_twcc: true,
                twcc_sequence_number: id as u16,
                size: sent.size,
                arrived: sent.arrival.is_some(),
                departure: sent.departure,
                arrival: sent.arrival,
                ecn: Default::default(),
            }
        });
        Some(reports.collect()).filter(|reports: &Vec<_>| !reports.is_empty())
    }

    fn missing(&mut self) -> Vec<usize> {
        let highest = self.arrived.last().copied().unwrap_or_default();
        let first = highest.saturating_sub(100);
        let missing: Vec<usize> = (first..highest)
            .filter(|number| !self.arrived.contains(number))
            .filter(|number| self.asked.get(number).is_none_or(|times| *times < TRIES_MAX))
            .collect();
        missing.iter().for_each(|number| *self.asked.entry(*number).or_default() += 1);
        missing
    }

    fn is_whole(&self, frame: u32, packets: usize) -> bool {
        self.here.get(&frame).is_some_and(|here| *here == packets)
    }

    /// What it shows: whole frames in order; a hole that is not repaired lasts until a key frame.
    fn look(&mut self, ms: u128, sender: &Sender, second: &mut Second) {
        while let Some((&frame, is)) = sender.frames.range(self.next..).next() {
            if self.is_whole(frame, is.packets) {
                if is.key || !self.is_broken {
                    second.picture_ms_max = second.picture_ms_max.max(ms - is.captured_ms);
                    second.frames_seen += 1;
                    self.is_broken = false;
                }
            } else {
                let mut later = sender.frames.range(frame + 1..);
                if self.here.range(frame + 1..).next().is_none() {
                    break;
                }
                let since = *self.hole_since.get_or_insert(ms);
                let is_key_here = later.any(|(frame, is)| is.key && self.is_whole(*frame, is.packets));
                if ms < since + REPAIR_MS && !is_key_here {
                    break;
                }
                self.is_broken = true;
            }
            self.hole_since = None;
            self.next = frame + 1;
        }
    }
}
