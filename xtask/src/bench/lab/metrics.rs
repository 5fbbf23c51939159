//! How figures are shown, and what a difference in one means.

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Lower,
    Higher,
}

/// One figure of a run.
pub(super) struct Metric {
    /// As the run calls it.
    pub(super) key: &'static str,
    /// With its unit, as shown.
    pub(super) name: &'static str,
    pub(super) digits: usize,
    /// From the run's unit to the shown one.
    pub(super) scale: f64,
    pub(super) better: Better,
    /// A difference below this is nothing to anyone, in the run's unit. It keeps figures near zero from looking uncertain.
    pub(super) matters: f64,
}

const fn lower(key: &'static str, name: &'static str, digits: usize, matters: f64) -> Metric {
    Metric { key, name, digits, scale: 1.0, better: Better::Lower, matters }
}

const fn higher(key: &'static str, name: &'static str, digits: usize, matters: f64) -> Metric {
    Metric { better: Better::Higher, ..lower(key, name, digits, matters) }
}

const fn percent(metric: Metric) -> Metric {
    Metric { scale: 100.0, ..metric }
}

const METRICS: [Metric; 34] = [
    lower("first_frame_ms", "first frame, ms", 0, 20.0),
    lower("first_sound_ms", "first sound, ms", 0, 20.0),
    lower("round_trips", "round trips", 1, 1.0),
    lower("video_delay_p50_ms", "delay p50, ms", 0, 5.0),
    lower("video_delay_p95_ms", "delay p95, ms", 0, 5.0),
    lower("mouth_to_ear_p50_ms", "mouth to ear p50, ms", 0, 5.0),
    lower("mouth_to_ear_p95_ms", "mouth to ear p95, ms", 0, 5.0),
    lower("lips_apart_ms", "lips apart, ms", 0, 10.0),
    higher("frames_per_second", "frames/s", 1, 1.0),
    percent(lower("frozen_share", "frozen, %", 1, 0.02)),
    lower("freezes", "freezes", 1, 1.0),
    percent(lower("concealed_share", "concealed, %", 1, 0.01)),
    higher("pesq_mos", "PESQ, MOS", 2, 0.1),
    higher("ssim", "SSIM", 3, 0.01),
    percent(higher("utilisation_2s_share", "used after 2 s, %", 0, 0.05)),
    percent(higher("utilisation_10s_share", "used after 10 s, %", 0, 0.05)),
    lower("video_delay_peak_ms", "peak delay, ms", 0, 20.0),
    lower("video_delay_standing_ms", "standing delay, ms", 0, 10.0),
    lower("starved_s", "below 150 kbit/s, s", 1, 0.5),
    lower("video_pause_s", "video paused, s", 1, 0.5),
    lower("without_picture_ms", "without picture, ms", 0, 100.0),
    lower("encodes_per_frame", "encodes a frame", 2, 0.05),
    lower("sender_cpu_cores", "sender, cores", 2, 0.02),
    lower("process_cpu_cores", "process, cores", 2, 0.05),
    higher("captured_frames_per_second", "camera, frames/s", 1, 1.0),
    percent(higher("shown_share", "frames shown, %", 0, 0.02)),
    lower("memory_mb", "memory, MB", 0, 10.0),
    lower("cpu_over_codecs", "process ÷ codecs", 2, 0.05),
    lower("frame_copies", "copies of a frame", 1, 1.0),
    lower("rtp_over_raw", "packet ÷ raw", 2, 0.1),
    lower("repaints_per_second", "repaints/s", 1, 0.5),
    lower("cpu_cores", "cores", 3, 0.01),
    lower("frame_over_floor", "frame ÷ floor", 2, 0.1),
    lower("frame_p99_ms", "frame p99, ms", 1, 1.0),
];

/// None: a figure that is kept, and not shown.
pub(super) fn find(key: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.key == key)
}
