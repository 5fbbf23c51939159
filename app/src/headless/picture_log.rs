//! When each picture of the peers was shown, and the time that is written on it: a line of JSON a picture, for those who measure.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parlor_engine::Call;
use parlor_media::thread::{JoinOnDrop, spawn_named};
use parlor_media::{MediaClock, VideoFrame, barcode, latest};
use parlor_proto::{DisplayName, PeerId};
use serde_json::json;

/// Nine hours of one peer at 30 pictures a second; what comes after them is left out, and a warning says so.
const LINES_MAX: u64 = 1_000_000;
/// How long a thread that waits for a picture may take to notice that it is over.
const WAIT: Duration = Duration::from_millis(200);

/// The file, and a thread for each peer whose pictures go into it. It is written to its end when dropped.
pub(super) struct PictureLog {
    lines: Arc<Lines>,
    clock: MediaClock,
    watches: BTreeMap<PeerId, Watch>,
}

struct Watch {
    is_over: Arc<AtomicBool>,
    _thread: JoinOnDrop,
}

impl PictureLog {
    /// Makes the file.
    pub(super) fn create(path: &Path, clock: MediaClock) -> io::Result<Self> {
        let file = LogFile { out: Some(Box::new(File::create(path)?)), lines: 0 };
        let lines = Arc::new(Lines { file: Mutex::new(file), stops: AtomicBool::new(false) });
        Ok(Self { lines, clock, watches: BTreeMap::new() })
    }

    /// Sees to it that the pictures of all of these are watched; after a new connection their new ones.
    pub(super) fn watch<'a>(&mut self, call: &Call, peers: impl Iterator<Item = (&'a PeerId, &'a DisplayName)>) {
        for (peer, name) in peers {
            if self.watches.get(peer).is_some_and(|watch| !watch.is_over.load(Ordering::Relaxed)) {
                continue;
            }
            let Some(pictures) = call.pictures(peer).filter(|pictures| !pictures.is_closed()) else { continue };
            match self.start(pictures, name) {
                Ok(watch) => drop(self.watches.insert(peer.clone(), watch)),
                Err(error) => tracing::warn!(%error, "the pictures of a peer are not recorded"),
            }
        }
    }

    fn start(&self, mut pictures: latest::Receiver<VideoFrame>, name: &DisplayName) -> io::Result<Watch> {
        let (lines, clock, name) = (self.lines.clone(), self.clock, name.to_string());
        let is_over = Arc::new(AtomicBool::new(false));
        let tell = is_over.clone();
        let thread = spawn_named("picture-log", move || {
            while !lines.stops.load(Ordering::Relaxed) {
                match pictures.wait(WAIT) {
                    Some(picture) => lines.add(&line(&name, &picture, &clock, pictures.missed())),
                    None if pictures.is_closed() => break,
                    None => {}
                }
            }
            tell.store(true, Ordering::Relaxed);
        })?;
        Ok(Watch { is_over, _thread: thread })
    }
}

impl Drop for PictureLog {
    fn drop(&mut self) {
        self.lines.stops.store(true, Ordering::Relaxed);
    }
}

/// What is written of one picture; `stamp_ms` is null where no barcode can be read, `missed` counts those that came and went before
/// this program looked.
fn line(name: &str, picture: &VideoFrame, clock: &MediaClock, missed: u64) -> String {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let stamp = barcode::read(&picture.planes.y, picture.planes.y_stride, width, height);
    let shown_ms = clock.unix_tenth_ms(picture.captured_at) as f64 / 10.0;
    json!({
        "peer": name,
        "shown_ms": shown_ms,
        "stamp_ms": stamp.map(|tenths| tenths as f64 / 10.0),
        "width": width,
        "height": height,
        "missed": missed,
    })
    .to_string()
}

/// Written by several threads, a whole line at a time.
struct Lines {
    file: Mutex<LogFile>,
    stops: AtomicBool,
}

struct LogFile {
    /// `None` once it is full, or can't be written.
    out: Option<Box<dyn Write + Send>>,
    lines: u64,
}

impl Lines {
    fn add(&self, line: &str) {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).add(line);
    }
}

impl LogFile {
    fn add(&mut self, line: &str) {
        let Some(out) = &mut self.out else { return };
        if self.lines >= LINES_MAX {
            tracing::warn!("the record of pictures ends: it has a million lines");
            self.out = None;
            return;
        }
        self.lines += 1;
        // One write, so that whoever reads along finds whole lines.
        if let Err(error) = out.write_all(format!("{line}\n").as_bytes()) {
            tracing::warn!(%error, "the record of pictures ends");
            self.out = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use parlor_media::I420;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_line_tells_when_a_picture_was_shown_and_the_time_written_on_it() {
        let begin = Instant::now();
        let clock = MediaClock::start(begin, Duration::from_millis(1_800_000_000_000));
        let mut planes = I420::black(640, 360);
        barcode::stamp(&mut planes, 640, 360, 17_999_999_999_755);
        let at = begin + Duration::from_millis(50);
        let frame = |planes: I420| VideoFrame { width: 640, height: 360, planes: planes.into(), captured_at: at };
        let told: Value = serde_json::from_str(&line("Bo", &frame(planes), &clock, 2)).unwrap();
        let wanted = json!({"peer": "Bo", "shown_ms": 1_800_000_000_050.0, "stamp_ms": 1_799_999_999_975.5, "width": 640, "height": 360, "missed": 2});
        assert_eq!(told, wanted);
        let told: Value = serde_json::from_str(&line("Bo", &frame(I420::black(640, 360)), &clock, 0)).unwrap();
        assert_eq!(told["stamp_ms"], Value::Null);
    }

    #[test]
    fn a_full_record_takes_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pictures.jsonl");
        let out = Some(Box::new(File::create(&path).unwrap()) as Box<dyn Write + Send>);
        let mut file = LogFile { out, lines: LINES_MAX - 1 };
        file.add("the last");
        file.add("one too many");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "the last\n");
    }
}
