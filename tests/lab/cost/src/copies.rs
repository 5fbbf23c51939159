//! How often a picture is copied between the camera and the encoder.
//!
//! Two things are looked at, since neither alone would do. Memory as large as a picture is asked for once a picture, by the camera;
//! each time more is a copy. A copy into memory that is kept and used again would escape that: so it is also looked whether the
//! encoder's thread holds the camera's very planes while it encodes, which their reference count shows.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use parlor_media::{LocalVideo, LocalVideoConfig, MediaClock, VideoFrame, VideoSource, latest};

use crate::allocations::Counting;

/// Those that hold a picture while it is looked at: the slot, and who looks.
const OTHERS: usize = 2;
/// How long a picture is watched; encoding begins at once when it comes.
const WATCHED: Duration = Duration::from_millis(5);

/// Longer than copying a picture takes, shorter than encoding it.
const HELD_MIN: Duration = Duration::from_micros(250);
/// Of so many pictures some are missed, while others have the processor; of a picture that is copied, none is held.
const SHARED_MIN: f64 = 0.02;

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    pictures: u64,
    /// Pictures whose planes somebody held beside slot and self view.
    shared: u64,
    watched: u64,
    /// How often memory for a picture was asked for.
    allocations: u64,
}

impl Copies {
    /// Copies of each picture.
    pub(crate) fn copies(&self) -> f64 {
        let allocated = self.allocations as f64 / self.pictures as f64 - 1.0;
        let unseen = if self.shared() < SHARED_MIN { 1.0 } else { 0.0 };
        // What came before the first and after the last picture is no copy, and a picture less than one is none.
        allocated.max(unseen).max(0.0)
    }

    /// The share of pictures during whose encoding the camera's planes were held.
    pub(crate) fn shared(&self) -> f64 {
        self.shared as f64 / self.watched as f64
    }
}

/// Captures a file and encodes it for `span`.
pub(crate) fn measure(file: &Path, allocator: &Counting, span: Duration) -> anyhow::Result<Copies> {
    let video = LocalVideo::new(LocalVideoConfig::default(), MediaClock::system());
    video.set_source(VideoSource::File(file.to_owned()));
    video.start_encoding(Box::new(|_| {}));
    let mut preview = video.preview();
    ensure!(preview.wait(Duration::from_secs(20)).is_some(), "the camera gives no picture");
    let (captured, allocated) = (video.stats().frames_captured, allocator.large());
    let mut copies = watch(&preview, span);
    copies.pictures = video.stats().frames_captured - captured;
    copies.allocations = allocator.large() - allocated;
    ensure!(copies.pictures > 0 && copies.watched > 0, "no picture came");
    Ok(copies)
}

/// Looks at the pictures that come in `span`, each on the camera's thread as soon as it is there: sooner than the encoder's.
fn watch(preview: &latest::Receiver<VideoFrame>, span: Duration) -> Copies {
    let (watched, shared) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (slot, counts) = (preview.clone(), (watched.clone(), shared.clone()));
    preview.set_waker(Arc::new(move || {
        let Some(frame) = slot.peek() else { return };
        counts.0.fetch_add(1, Ordering::Relaxed);
        counts.1.fetch_add(u64::from(is_held(&frame)), Ordering::Relaxed);
    }));
    thread::sleep(span);
    preview.set_waker(Arc::new(|| {}));
    let [watched, shared] = [watched, shared].map(|count| count.load(Ordering::Relaxed));
    Copies { watched, shared, ..Copies::default() }
}

/// Whether somebody else holds a picture for as long as encoding takes. Who copies it holds it too, but only for that moment.
fn is_held(frame: &VideoFrame) -> bool {
    let until = Instant::now() + WATCHED;
    let mut held_since = None;
    loop {
        let now = Instant::now();
        if Arc::strong_count(&frame.planes) > OTHERS {
            if now.duration_since(*held_since.get_or_insert(now)) >= HELD_MIN {
                return true;
            }
        } else {
            held_since = None;
        }
        if now >= until {
            return false;
        }
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_media::I420;

    /// Sends pictures to a reader that holds what `take` makes of them for a while, and to us.
    fn watched(take: fn(VideoFrame) -> VideoFrame) -> Copies {
        let (sender, ours) = latest::slot();
        let mut theirs = ours.clone();
        let reader = thread::spawn(move || {
            while let Some(frame) = theirs.wait(Duration::from_secs(20)) {
                let held = take(frame);
                thread::sleep(Duration::from_millis(8));
                drop(held);
            }
        });
        let camera = thread::spawn(move || {
            for _ in 0..20 {
                let planes = Arc::new(I420::black(64, 64));
                sender.send(VideoFrame { width: 64, height: 64, planes, captured_at: Instant::now() });
                thread::sleep(Duration::from_millis(25));
            }
        });
        let copies = watch(&ours, Duration::from_millis(400));
        assert!(camera.join().is_ok() && reader.join().is_ok());
        copies
    }

    #[test]
    fn a_reader_that_keeps_the_planes_is_seen() {
        let copies = watched(|frame| frame);
        assert!(copies.shared() > 0.3, "{copies:?}");
    }

    #[test]
    fn a_reader_that_copies_them_is_found_out() {
        let copies = watched(|frame| VideoFrame { planes: Arc::new(I420::clone(&frame.planes)), ..frame });
        assert!(copies.watched > 5 && copies.shared() < 0.3, "{copies:?}");
    }

    #[test]
    fn memory_beyond_one_a_picture_is_a_copy() {
        let seen = |allocations| Copies { pictures: 100, watched: 100, shared: 90, allocations }.copies();
        assert_eq!((seen(100), seen(99), seen(200), seen(300)), (0.0, 0.0, 1.0, 2.0));
        let unseen = Copies { pictures: 100, watched: 100, shared: 0, allocations: 100 };
        assert_eq!(unseen.copies(), 1.0, "memory that is used again is a copy too");
    }
}
