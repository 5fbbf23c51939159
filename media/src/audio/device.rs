//! Microphones and speakers of this machine, by way of cpal.

mod stream;

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{BufferSize, ErrorKind, SampleFormat, SupportedBufferSize, SupportedStreamConfigRange};

pub(crate) use self::stream::OpenStream;
use super::error::AudioDeviceError;
use super::ring::{CaptureWriter, PlaybackReader};
use super::status::Direction;
use super::wake::Waker;
use super::{BLOCK, SAMPLE_RATE};

/// How much a device is to move in one callback. PulseAudio keeps two of them for a speaker; its own choice gives two seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    /// 10 ms: from mouth to ear 30 ms less than with 20.
    Short,
    /// 20 ms: for ALSA itself, which stumbled over shorter ones, and for a machine that is too busy for them.
    Long,
}

impl Period {
    fn frames(self, sample_rate: u32) -> u32 {
        let blocks = match self {
            Self::Short => 1,
            Self::Long => 2,
        };
        (blocks * BLOCK as u64 * u64::from(sample_rate) / u64::from(SAMPLE_RATE)) as u32
    }
}

/// A microphone or speaker that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioDeviceInfo {
    /// What to choose it by; the same after a restart.
    pub id: String,
    /// What the user knows it as.
    pub name: String,
    /// Whether it is the one that the system prefers.
    pub is_default: bool,
}

/// The microphones of this machine; what records a speaker's sound comes last, and is never the default.
///
/// # Errors
///
/// Where there is no sound server, or it does not answer.
pub fn microphones() -> Result<Vec<AudioDeviceInfo>, AudioDeviceError> {
    Backend::open()?.list(Direction::Input)
}

/// The speakers of this machine.
///
/// # Errors
///
/// Where there is no sound server, or it does not answer.
pub fn speakers() -> Result<Vec<AudioDeviceInfo>, AudioDeviceError> {
    Backend::open()?.list(Direction::Output)
}

/// The connection to the system's sound.
pub(crate) struct Backend {
    host: cpal::Host,
    is_pulse: bool,
}

/// A device that was found.
pub(crate) struct Found {
    device: cpal::Device,
    pub(crate) id: String,
    pub(crate) name: String,
}

impl Backend {
    /// PulseAudio (or PipeWire in its stead) where it runs, else what the system has.
    pub(crate) fn open() -> Result<Self, AudioDeviceError> {
        let pulse = cpal::available_hosts().into_iter().find(|id| id.name().eq_ignore_ascii_case("pulseaudio"));
        if let Some(host) = pulse.and_then(|id| cpal::host_from_id(id).ok()) {
            return Ok(Self { host, is_pulse: true });
        }
        let other = cpal::available_hosts().into_iter().find(|id| Some(*id) != pulse);
        let host = other.filter(|_| has_sound_card()).and_then(|id| cpal::host_from_id(id).ok());
        host.map(|host| Self { host, is_pulse: false }).ok_or(AudioDeviceError::NoSoundServer)
    }

    /// Whether looking at the devices is cheap: elsewhere each is opened to see what it can do.
    pub(crate) fn is_quick_to_list(&self) -> bool {
        self.is_pulse
    }

    fn list(&self, direction: Direction) -> Result<Vec<AudioDeviceInfo>, AudioDeviceError> {
        let default = self.default_device(direction)?.map(|found| found.id);
        let info = |found: Found| AudioDeviceInfo {
            is_default: default.as_ref() == Some(&found.id),
            name: if is_monitor(&found.id) { format!("{} (what is played)", found.name) } else { found.name },
            id: found.id,
        };
        let mut devices: Vec<_> = self.devices(direction)?.into_iter().map(info).collect();
        devices.sort_by_key(|device| is_monitor(&device.id));
        Ok(devices)
    }

    /// The device with this id, or with this id without the name of the host before it.
    pub(crate) fn find(&self, direction: Direction, id: &str) -> Result<Option<Found>, AudioDeviceError> {
        let host = format!("{}:", self.host.id());
        let is_meant = |found: &Found| found.id == id || found.id.strip_prefix(&host) == Some(id);
        Ok(self.devices(direction)?.into_iter().find(is_meant))
    }

    /// The device that the system prefers. Never one that records a speaker: everybody would hear themselves.
    pub(crate) fn default_device(&self, direction: Direction) -> Result<Option<Found>, AudioDeviceError> {
        let preferred = match direction {
            Direction::Input => self.host.default_input_device(),
            Direction::Output => self.host.default_output_device(),
        };
        let preferred = preferred.and_then(Found::new).filter(|found| !is_monitor(&found.id));
        if preferred.is_some() || !self.is_pulse {
            return Ok(preferred);
        }
        Ok(self.devices(direction)?.into_iter().find(|found| !is_monitor(&found.id)))
    }

    fn devices(&self, direction: Direction) -> Result<Vec<Found>, AudioDeviceError> {
        let devices = match direction {
            Direction::Input => self.host.input_devices().map(|devices| devices.filter_map(Found::new).collect()),
            Direction::Output => self.host.output_devices().map(|devices| devices.filter_map(Found::new).collect()),
        };
        devices.map_err(|error| in_words(direction, &error))
    }
}

impl Found {
    fn new(device: cpal::Device) -> Option<Self> {
        let id = device.id().ok()?.to_string();
        let name = device.to_string();
        Some(Self { device, id, name })
    }

    /// How it will be opened; the second way is for when it refuses the first.
    pub(crate) fn plans(&self, direction: Direction, period: Period) -> Result<Vec<Plan>, AudioDeviceError> {
        let period = if self.id.starts_with("alsa:") { Period::Long } else { period };
        let plan = self.plan(direction, period)?;
        // PulseAudio refuses no size, and its own is of no use.
        let may_choose = !self.id.starts_with("pulseaudio:");
        Ok(std::iter::once(plan).chain(plan.as_the_device_likes().filter(|_| may_choose)).collect())
    }

    /// The rate at which it will be opened.
    fn plan(&self, direction: Direction, period: Period) -> Result<Plan, AudioDeviceError> {
        let (ranges, default) = match direction {
            Direction::Input => (
                self.device.supported_input_configs().map(Iterator::collect::<Vec<_>>),
                self.device.default_input_config(),
            ),
            Direction::Output => (
                self.device.supported_output_configs().map(Iterator::collect::<Vec<_>>),
                self.device.default_output_config(),
            ),
        };
        let at_our_rate = ranges.as_deref().ok().and_then(best_range).map(|range| Plan::at_our_rate(range, period));
        let as_it_likes = || {
            let config = default.map_err(|error| in_words(direction, &error))?;
            let rate = config.sample_rate();
            Ok(Plan::new(config.channels(), rate, config.sample_format(), config.buffer_size(), period))
        };
        at_our_rate.map_or_else(as_it_likes, Ok)
    }

    /// Opens it as a microphone; the samples go to `ring`, and `waker` is woken when it fails.
    pub(crate) fn open_input(
        &self,
        plan: Plan,
        ring: CaptureWriter,
        waker: Waker,
    ) -> Result<OpenStream, AudioDeviceError> {
        stream::open_input(&self.device, plan, ring, waker).map_err(|error| in_words(Direction::Input, &error))
    }

    /// Opens it as a speaker; the samples come from `ring`, and `waker` is woken when it fails.
    pub(crate) fn open_output(
        &self,
        plan: Plan,
        ring: PlaybackReader,
        waker: Waker,
    ) -> Result<OpenStream, AudioDeviceError> {
        stream::open_output(&self.device, plan, ring, waker).map_err(|error| in_words(Direction::Output, &error))
    }
}

/// How a device is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) config: cpal::StreamConfig,
    pub(crate) format: SampleFormat,
}

impl Plan {
    fn at_our_rate(range: SupportedStreamConfigRange, period: Period) -> Self {
        Self::new(range.channels(), SAMPLE_RATE, range.sample_format(), range.buffer_size(), period)
    }

    fn new(
        channels: u16,
        sample_rate: u32,
        format: SampleFormat,
        buffer: &SupportedBufferSize,
        period: Period,
    ) -> Self {
        let frames = period.frames(sample_rate);
        let buffer_size = match buffer {
            SupportedBufferSize::Range { min, max } => BufferSize::Fixed(frames.clamp(*min, (*max).max(*min))),
            // It does not say: a size it does not like is refused, and then there is no sound at all.
            SupportedBufferSize::Unknown => BufferSize::Default,
        };
        Self { config: cpal::StreamConfig { channels, sample_rate, buffer_size }, format }
    }

    /// The same with a buffer of the device's own choice, where this one has another.
    fn as_the_device_likes(mut self) -> Option<Self> {
        let is_ours = self.config.buffer_size != BufferSize::Default;
        self.config.buffer_size = BufferSize::Default;
        is_ours.then_some(self)
    }

    /// Samples that a callback is expected to move: 20 ms where the device chooses.
    pub(crate) fn period(&self) -> usize {
        match self.config.buffer_size {
            BufferSize::Fixed(frames) => frames as usize,
            BufferSize::Default => Period::Long.frames(self.config.sample_rate) as usize,
        }
    }
}

/// The cheapest way to have 48 kHz: few channels, then floating point, then 16 bit.
fn best_range(ranges: &[SupportedStreamConfigRange]) -> Option<SupportedStreamConfigRange> {
    let format_rank = |format: SampleFormat| match format {
        SampleFormat::F32 => Some(0),
        SampleFormat::I16 => Some(1),
        SampleFormat::I32 => Some(2),
        SampleFormat::U8 => Some(4),
        SampleFormat::U16 => Some(3),
        _ => None,
    };
    let usable =
        ranges.iter().filter(|range| (range.min_sample_rate()..=range.max_sample_rate()).contains(&SAMPLE_RATE));
    let ranked = usable.filter_map(|range| Some(((range.channels(), format_rank(range.sample_format())?), range)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, range)| *range)
}

/// PulseAudio's name for a source that gives what a speaker plays.
fn is_monitor(id: &str) -> bool {
    id.ends_with(".monitor")
}

/// ALSA lists a default device on a machine without any sound, and complains at length when it is opened.
fn has_sound_card() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    std::fs::read_to_string("/proc/asound/cards").is_ok_and(|cards| cards.contains('['))
}

/// A system's error as a sentence for the user.
fn in_words(direction: Direction, error: &cpal::Error) -> AudioDeviceError {
    let kind = direction.kind();
    match error.kind() {
        ErrorKind::DeviceBusy => AudioDeviceError::Busy { kind },
        ErrorKind::PermissionDenied => AudioDeviceError::Denied { kind },
        ErrorKind::DeviceNotAvailable => AudioDeviceError::NoDevice { kind },
        ErrorKind::HostUnavailable => AudioDeviceError::NoSoundServer,
        _ => {
            // ALSA says so only in its text.
            let problem: String = error.to_string().chars().take(200).collect();
            if problem.contains("busy") {
                AudioDeviceError::Busy { kind }
            } else {
                AudioDeviceError::Failed { kind, problem }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(channels: u16, rates: (u32, u32), format: SampleFormat) -> SupportedStreamConfigRange {
        SupportedStreamConfigRange::new(
            channels,
            rates.0,
            rates.1,
            SupportedBufferSize::Range { min: 64, max: 4096 },
            format,
        )
    }

    #[test]
    fn the_cheapest_way_to_have_our_rate_is_chosen() {
        let ranges = [
            range(2, (8_000, 192_000), SampleFormat::F32),
            range(1, (8_000, 44_100), SampleFormat::F32),
            range(1, (8_000, 192_000), SampleFormat::DsdU8),
            range(1, (8_000, 192_000), SampleFormat::I16),
            range(1, (48_000, 48_000), SampleFormat::F32),
        ];
        assert_eq!(best_range(&ranges), Some(ranges[4]));
        assert_eq!(best_range(&ranges[..1]), Some(ranges[0]));
        assert_eq!(best_range(&ranges[1..3]), None);
    }

    #[test]
    fn the_buffer_is_ten_or_twenty_milliseconds_where_the_device_can() {
        let buffer = |rate, min, max, period| {
            let range = SupportedBufferSize::Range { min, max };
            Plan::new(2, rate, SampleFormat::I16, &range, period).config.buffer_size
        };
        assert_eq!(buffer(48_000, 64, 4096, Period::Short), BufferSize::Fixed(480));
        assert_eq!(buffer(48_000, 64, 4096, Period::Long), BufferSize::Fixed(960));
        assert_eq!(buffer(44_100, 64, 4096, Period::Short), BufferSize::Fixed(441));
        assert_eq!(buffer(48_000, 64, 512, Period::Long), BufferSize::Fixed(512));
        assert_eq!(buffer(48_000, 2048, 512, Period::Short), BufferSize::Fixed(2048));
    }

    #[test]
    fn a_device_that_refuses_our_buffer_may_have_its_own_and_only_once() {
        let range = SupportedBufferSize::Range { min: 64, max: 4096 };
        let ours = Plan::new(2, 48_000, SampleFormat::I16, &range, Period::Short);
        let its = ours.as_the_device_likes().unwrap();
        assert_eq!((its.config.buffer_size, its.config.channels), (BufferSize::Default, 2));
        assert_eq!((ours.period(), its.period()), (480, 960));
        assert_eq!(its.as_the_device_likes(), None);
    }

    #[test]
    fn errors_of_the_system_are_told_apart() {
        let words =
            |kind, text: &'static str| in_words(Direction::Input, &cpal::Error::with_message(kind, text)).to_string();
        assert!(words(ErrorKind::DeviceBusy, "").contains("in use"));
        assert!(words(ErrorKind::BackendError, "Device or resource busy (16)").contains("in use"));
        assert!(words(ErrorKind::PermissionDenied, "").contains("not allowed"));
        assert!(words(ErrorKind::HostUnavailable, "").contains("no sound server"));
        assert!(words(ErrorKind::DeviceNotAvailable, "").contains("no microphone"));
        assert!(words(ErrorKind::Other, "it hums").contains("it hums"));
    }
}
