//! Streams of devices: their callbacks, and how their failure is told.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{ErrorKind, FromSample, SampleFormat, SizedSample};

use super::super::lock;
use super::super::ring::{CaptureWriter, PlaybackReader};
use super::super::wake::Waker;
use super::Plan;

/// A sound server that does not answer within this is given up.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// A running stream; dropping it closes the device. Stays on the thread that opened it.
pub(crate) struct OpenStream {
    _stream: cpal::Stream,
    faults: Arc<Faults>,
}

/// Why a stream no longer runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What the system says.
    pub(crate) text: String,
}

/// What a stream's error callback tells; some systems call it thousands of times.
#[derive(Default)]
struct Faults {
    fatal: Mutex<Option<Fault>>,
    harmless: AtomicU64,
}

impl OpenStream {
    /// Why it has to be opened anew, if it has.
    pub(crate) fn fault(&self) -> Option<Fault> {
        lock(&self.faults.fatal).clone()
    }

    /// How often it stuttered since this was asked last.
    pub(crate) fn take_harmless(&self) -> u64 {
        self.faults.harmless.swap(0, Relaxed)
    }
}

impl Faults {
    /// Called by the system's thread, not by the one that moves samples.
    fn note(&self, error: &cpal::Error, waker: &Waker) {
        match error.kind() {
            // Over in itself: a stutter, no real-time scheduling, another route.
            ErrorKind::Xrun | ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged => {
                self.harmless.fetch_add(1, Relaxed);
            }
            _ => {
                let mut fatal = lock(&self.fatal);
                if fatal.is_none() {
                    *fatal = Some(Fault { text: error.to_string().chars().take(200).collect() });
                    waker.wake();
                }
            }
        }
    }
}

/// Opens and starts a microphone.
pub(super) fn open_input(
    device: &cpal::Device,
    plan: Plan,
    ring: CaptureWriter,
    waker: Waker,
) -> Result<OpenStream, cpal::Error> {
    match plan.format {
        SampleFormat::F32 => input::<f32>(device, plan, ring, waker),
        SampleFormat::I16 => input::<i16>(device, plan, ring, waker),
        SampleFormat::I32 => input::<i32>(device, plan, ring, waker),
        SampleFormat::U16 => input::<u16>(device, plan, ring, waker),
        SampleFormat::U8 => input::<u8>(device, plan, ring, waker),
        other => Err(unusual(other)),
    }
}

/// Opens and starts a speaker.
pub(super) fn open_output(
    device: &cpal::Device,
    plan: Plan,
    ring: PlaybackReader,
    waker: Waker,
) -> Result<OpenStream, cpal::Error> {
    match plan.format {
        SampleFormat::F32 => output::<f32>(device, plan, ring, waker),
        SampleFormat::I16 => output::<i16>(device, plan, ring, waker),
        SampleFormat::I32 => output::<i32>(device, plan, ring, waker),
        SampleFormat::U16 => output::<u16>(device, plan, ring, waker),
        SampleFormat::U8 => output::<u8>(device, plan, ring, waker),
        other => Err(unusual(other)),
    }
}

fn input<T: SizedSample>(
    device: &cpal::Device,
    plan: Plan,
    mut ring: CaptureWriter,
    waker: Waker,
) -> Result<OpenStream, cpal::Error>
where
    f32: FromSample<T>,
{
    let channels = usize::from(plan.config.channels.max(1));
    let callback = move |data: &[T], info: &cpal::InputCallbackInfo| {
        let mono = |frame: &[T]| frame.iter().map(|sample| f32::from_sample_(*sample)).sum::<f32>() / channels as f32;
        let times = info.timestamp();
        let latency = times.callback.saturating_duration_since(times.capture);
        ring.write(data.len() / channels, data.chunks_exact(channels).map(mono), latency);
    };
    let faults = Arc::new(Faults::default());
    let stream = device.build_input_stream(plan.config, callback, noting(&faults, waker), Some(OPEN_TIMEOUT))?;
    stream.play()?;
    Ok(OpenStream { _stream: stream, faults })
}

fn output<T: SizedSample + FromSample<f32>>(
    device: &cpal::Device,
    plan: Plan,
    mut ring: PlaybackReader,
    waker: Waker,
) -> Result<OpenStream, cpal::Error> {
    let channels = usize::from(plan.config.channels.max(1));
    let callback = move |data: &mut [T], info: &cpal::OutputCallbackInfo| {
        let times = info.timestamp();
        let latency = times.playback.saturating_duration_since(times.callback);
        let mut frames = data.chunks_exact_mut(channels);
        ring.read(frames.len(), latency, |sample| {
            if let Some(frame) = frames.next() {
                frame.fill(T::from_sample_(sample));
            }
        });
    };
    let faults = Arc::new(Faults::default());
    let stream = device.build_output_stream(plan.config, callback, noting(&faults, waker), Some(OPEN_TIMEOUT))?;
    stream.play()?;
    Ok(OpenStream { _stream: stream, faults })
}

fn noting(faults: &Arc<Faults>, waker: Waker) -> impl FnMut(cpal::Error) + Send + 'static {
    let faults = faults.clone();
    move |error| faults.note(&error, &waker)
}

fn unusual(format: SampleFormat) -> cpal::Error {
    cpal::Error::with_message(ErrorKind::UnsupportedConfig, format!("its samples are of an unusual kind ({format})."))
}
