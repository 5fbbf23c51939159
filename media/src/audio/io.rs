//! The thread "audio-io": owns the devices' streams, opens them, watches them, replaces them.
//!
//! A device that was chosen by name and is pulled out is replaced by the default one until it is back. No system tells
//! cpal of devices that come and go, so this thread looks now and then, and only while a device is in use or missed.

mod pace;
mod slot;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use self::pace::Pace;
use self::slot::{Slot, Wanted};
use super::capture::{Capture, Input};
use super::device::{Backend, Found, OpenStream, Period, Plan};
use super::playback::{Output, Playback};
use super::ring::{self, Counters};
use super::status::{Choice, Direction, StatusBoard};
use super::wake::Waker;
use super::{AudioDeviceError, lock};
use crate::thread::{JoinOnDrop, spawn_named};

/// The thread, and what may be asked of it.
pub(crate) struct DeviceThread {
    shared: Arc<Shared>,
    _thread: Option<JoinOnDrop>,
}

struct Shared {
    requests: Mutex<Requests>,
    waker: Waker,
    input: Arc<Counters>,
    output: Arc<Counters>,
}

/// The latest wish for each direction, taken by the thread.
#[derive(Default)]
struct Requests {
    stop: bool,
    input: Option<(Choice, Option<Wanted>)>,
    output: Option<(Choice, Option<Wanted>)>,
}

impl DeviceThread {
    pub(crate) fn new(capture: Arc<Capture>, playback: Arc<Playback>, status: Arc<StatusBoard>) -> Self {
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            waker: Waker::default(),
            input: Arc::default(),
            output: Arc::default(),
        });
        let pace = Pace::default();
        let worker = Worker { shared: shared.clone(), capture, playback, status, backend: None, pace };
        let thread = spawn_named("audio-io", move || worker.run());
        let thread = thread.inspect_err(|error| tracing::error!(%error, "no thread for sound devices")).ok();
        Self { shared, _thread: thread }
    }

    /// Chooses a device: `None` none, `Some(None)` the default, else by id.
    pub(crate) fn set(&self, direction: Direction, choice: Choice, device: Option<Option<String>>) {
        let wanted = device.map(|id| id.map_or(Wanted::Default, Wanted::Id));
        let mut requests = lock(&self.shared.requests);
        match direction {
            Direction::Input => requests.input = Some((choice, wanted)),
            Direction::Output => requests.output = Some((choice, wanted)),
        }
        drop(requests);
        self.shared.waker.wake();
    }

    pub(crate) fn stop(&self) {
        lock(&self.shared.requests).stop = true;
        self.shared.waker.wake();
    }

    pub(crate) fn counters(&self, direction: Direction) -> &Counters {
        match direction {
            Direction::Input => &self.shared.input,
            Direction::Output => &self.shared.output,
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    capture: Arc<Capture>,
    playback: Arc<Playback>,
    status: Arc<StatusBoard>,
    /// The connection to the system's sound, while there is one.
    backend: Option<Backend>,
    /// How the speaker is served.
    pace: Pace,
}

/// A stream and what it is of.
struct Live {
    stream: OpenStream,
    id: String,
}

impl Worker {
    fn run(mut self) {
        self.shared.waker.attach();
        let mut slots = [(Slot::new(Direction::Input), None), (Slot::new(Direction::Output), None)];
        loop {
            let mut requests = std::mem::take(&mut *lock(&self.shared.requests));
            if requests.stop {
                return;
            }
            for (slot, live) in &mut slots {
                let request = match slot.direction() {
                    Direction::Input => requests.input.take(),
                    Direction::Output => requests.output.take(),
                };
                if let Some((choice, wanted)) = request {
                    if slot.direction() == Direction::Output {
                        self.pace = Pace::default();
                    }
                    slot.choose(choice, wanted, Instant::now());
                    *live = None;
                }
                self.tend(slot, live, Instant::now());
            }
            let next = slots.iter().filter_map(|(slot, _)| slot.deadline()).min();
            if next.is_none() {
                // Nothing is open and nothing is missed: no need to stay connected.
                self.backend = None;
            }
            Waker::wait(next.map(|next| next.saturating_duration_since(Instant::now())));
        }
    }

    /// Does what the slot's state asks for.
    fn tend(&mut self, slot: &mut Slot, live: &mut Option<Live>, now: Instant) {
        if let Some(stream) = live {
            log_stutter(slot.direction(), stream);
            if let Some(fault) = stream.stream.fault() {
                tracing::warn!(device = stream.id, reason = fault.text, "a sound device failed");
                *live = None;
                // The server itself may be gone.
                self.backend = None;
                self.disconnect(slot);
                slot.on_lost(now);
            }
        }
        if live.is_some() && slot.is_due_to_look(now) && self.should_move(slot, live, now) {
            *live = None;
            self.disconnect(slot);
        }
        if live.is_none() && slot.is_due_to_open(now) {
            let opened = self.open(slot);
            let status = slot.on_opened(opened.as_ref().map(|(_, name, is_wanted)| (name.as_str(), *is_wanted)), now);
            *live = opened.ok().map(|(live, ..)| live);
            self.status.set(slot.direction(), slot.choice(), status);
        }
    }

    /// Whether another device than the open one is to be used now: the wanted one is back, or gone, or not the default.
    fn should_move(&mut self, slot: &mut Slot, live: &Option<Live>, now: Instant) -> bool {
        let direction = slot.direction();
        if direction == Direction::Output && self.pace.on_look(self.shared.output.starved.load(Relaxed)) {
            tracing::info!("the speaker is given more at a time: this machine is too busy to serve it so often");
            slot.on_lost(now);
            return true;
        }
        let quick = self.backend().is_ok_and(|backend| backend.is_quick_to_list());
        slot.on_looked(now, quick);
        let best = match slot.wanted() {
            Some(Wanted::Id(id)) => self.backend().and_then(|backend| backend.find(direction, id)),
            Some(Wanted::Default) => self.backend().and_then(|backend| backend.default_device(direction)),
            None => return true,
        };
        let Some(live) = live else { return true };
        let moves = match best {
            Ok(Some(best)) => best.id != live.id,
            // What is gone is closed, unless it is already a replacement.
            Ok(None) => slot.is_on_wanted(),
            Err(_) => {
                // If the stream still runs, all is well; if not, it will tell.
                self.backend = None;
                false
            }
        };
        if moves {
            slot.on_lost(now);
        }
        moves
    }

    /// Opens the wanted device, or the default one in its place; tells its name and whether it is the wanted one.
    fn open(&mut self, slot: &Slot) -> Result<(Live, String, bool), AudioDeviceError> {
        let direction = slot.direction();
        let missing = AudioDeviceError::NoDevice { kind: direction.kind() };
        let backend = self.backend()?;
        let by_id = match slot.wanted() {
            Some(Wanted::Id(id)) => backend.find(direction, id)?,
            Some(Wanted::Default) | None => None,
        };
        let is_wanted = by_id.is_some() || matches!(slot.wanted(), Some(Wanted::Default));
        let found = match by_id {
            Some(found) => found,
            None if is_wanted || slot.may_fall_back() => backend.default_device(direction)?.ok_or(missing)?,
            None => return Err(missing),
        };
        let stream = self.start(slot, &found)?;
        tracing::info!(device = found.id, "a {} is open", direction.kind());
        Ok((Live { stream, id: found.id }, found.name, is_wanted))
    }

    /// Opens it in the way that we like, or else in its own.
    fn start(&mut self, slot: &Slot, found: &Found) -> Result<OpenStream, AudioDeviceError> {
        let period = match slot.direction() {
            Direction::Input => Period::Short,
            Direction::Output => self.pace.on_open(self.shared.output.starved.load(Relaxed)),
        };
        let mut refused = AudioDeviceError::NoDevice { kind: slot.direction().kind() };
        for plan in found.plans(slot.direction(), period)? {
            match self.start_as(slot, found, plan) {
                Err(error @ AudioDeviceError::Failed { .. }) => refused = error,
                result => return result,
            }
        }
        Err(refused)
    }

    fn start_as(&self, slot: &Slot, found: &Found, plan: Plan) -> Result<OpenStream, AudioDeviceError> {
        let waker = self.shared.waker.clone();
        let rate = plan.config.sample_rate;
        match slot.direction() {
            Direction::Input => {
                let (writer, reader) = ring::capture(rate, self.shared.input.clone(), self.capture.waker());
                let stream = found.open_input(plan, writer, waker)?;
                self.capture.set_input(slot.choice(), Input::Device(reader));
                Ok(stream)
            }
            Direction::Output => {
                let counters = self.shared.output.clone();
                let (writer, reader) = ring::playback(rate, plan.period(), counters, self.playback.waker());
                let stream = found.open_output(plan, reader, waker)?;
                self.playback.set_output(slot.choice(), Output::Device(writer));
                Ok(stream)
            }
        }
    }

    /// Goes on without a device, so that the others are at least measured while there is none.
    fn disconnect(&self, slot: &Slot) {
        match slot.direction() {
            Direction::Input => self.capture.set_input(slot.choice(), Input::Nothing),
            Direction::Output => self.playback.set_output(slot.choice(), Output::Nowhere),
        }
    }

    fn backend(&mut self) -> Result<&Backend, AudioDeviceError> {
        if self.backend.is_none() {
            self.backend = Some(Backend::open()?);
        }
        self.backend.as_ref().ok_or(AudioDeviceError::NoSoundServer)
    }
}

/// Stutters are logged at most as often as the devices are looked at.
fn log_stutter(direction: Direction, live: &Live) {
    let count = live.stream.take_harmless();
    if count > 0 {
        tracing::debug!(device = live.id, count, "a {} stuttered", direction.kind());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let missed = (self.shared.input.events.load(Relaxed), self.shared.output.events.load(Relaxed));
        if missed != (0, 0) {
            tracing::info!(overruns = missed.0, underruns = missed.1, "sound devices were not always kept up with");
        }
    }
}
