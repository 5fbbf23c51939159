//! Pictures of the peers, kept as PNG files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use parlor_engine::Call;
use parlor_media::{VideoFrame, latest};
use parlor_proto::{DisplayName, PeerId};
use tokio::task::JoinHandle;

/// The longest part of a file's name that is made of a peer's name.
const NAME_CHARACTERS_MAX: usize = 40;
/// How much of the peer's id tells people of the same name apart.
const ID_CHARACTERS: usize = 8;

/// One PNG a peer, renewed with its latest picture.
pub(super) struct Snapshots {
    folder: PathBuf,
    pictures: BTreeMap<PeerId, latest::Receiver<VideoFrame>>,
    /// Pictures are left out while the last ones are still being written.
    writing: Option<JoinHandle<()>>,
}

impl Snapshots {
    pub(super) fn new(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, pictures: BTreeMap::new(), writing: None })
    }

    /// Writes the latest picture of each of these peers, in the background.
    pub(super) fn keep<'a>(&mut self, call: &Call, peers: impl Iterator<Item = (&'a PeerId, &'a DisplayName)>) {
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        let mut frames = Vec::new();
        let mut receivers = BTreeMap::new();
        for (peer, name) in peers {
            let Some(mut pictures) = self.pictures.remove(peer).or_else(|| call.pictures(peer)) else { continue };
            if let Some(frame) = pictures.take_new() {
                frames.push((self.folder.join(file_name(name, peer)), frame));
            }
            receivers.insert(peer.clone(), pictures);
        }
        self.pictures = receivers;
        self.writing = Some(tokio::task::spawn_blocking(move || frames.iter().for_each(keep_one)));
    }

    /// Waits for the last pictures.
    pub(super) async fn finish(&mut self) {
        if let Some(writing) = self.writing.take()
            && let Err(error) = writing.await
        {
            tracing::error!(%error, "the last pictures are lost");
        }
    }
}

fn keep_one((path, frame): &(PathBuf, VideoFrame)) {
    if let Err(error) = write_png(path, frame) {
        tracing::warn!(%error, path = %path.display(), "a picture can't be kept");
    }
}

/// A file's name for a peer, safe on every system.
fn file_name(name: &DisplayName, peer: &PeerId) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = name.as_str().chars().map(safe).take(NAME_CHARACTERS_MAX).collect();
    let id: String = peer.as_str().chars().take(ID_CHARACTERS).collect();
    format!("{name}-{id}.png")
}

/// Writes the picture beside and then in the place of the old one, so that nobody reads half of it.
fn write_png(path: &Path, frame: &VideoFrame) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(&beside)?), frame.width, frame.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb(frame))?;
    writer.finish()?;
    std::fs::rename(&beside, path)
}

/// The picture's pixels, row by row (BT.601, limited range); nothing for planes that are too short.
fn rgb(frame: &VideoFrame) -> Vec<u8> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    if !frame.planes.holds(frame.width, frame.height) {
        return vec![0; width * height * 3];
    }
    let planes = &frame.planes;
    let pixel = |row: usize, column: usize| {
        let chroma = (row / 2) * planes.uv_stride + column / 2;
        let luma = 298 * (i32::from(planes.y[row * planes.y_stride + column]) - 16);
        let (blue, red) = (i32::from(planes.u[chroma]) - 128, i32::from(planes.v[chroma]) - 128);
        let byte = |value: i32| u8::try_from(((value + 128) >> 8).clamp(0, 255)).unwrap_or(0);
        [byte(luma + 409 * red), byte(luma - 100 * blue - 208 * red), byte(luma + 516 * blue)]
    };
    (0..height).flat_map(|row| (0..width).flat_map(move |column| pixel(row, column))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use parlor_media::I420;

    use super::*;

    #[test]
    fn file_names_are_safe_whatever_the_person_is_called() {
        let peer = PeerId::from_random(7);
        for (name, file) in [("Ana", "Ana-"), ("../../etc/passwd", "______etc_passwd-"), ("Zoë 王", "Zo___-")] {
            let made = file_name(&name.parse().unwrap(), &peer);
            assert!(made.starts_with(file) && made.ends_with(".png"), "{made}");
        }
        let other = PeerId::from_random(7 << 120);
        let name: DisplayName = "Ana".parse().unwrap();
        assert_ne!(file_name(&name, &peer), file_name(&name, &other));
    }

    #[test]
    fn a_picture_reads_back_in_its_colours() {
        let mut planes = I420::black(4, 2);
        planes.y.fill(81);
        planes.u.fill(90);
        planes.v.fill(240);
        let frame = VideoFrame { width: 4, height: 2, planes: Arc::new(planes), captured_at: Instant::now() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("red.png");
        write_png(&path, &frame).unwrap();
        let mut reader = png::Decoder::new(io::BufReader::new(File::open(&path).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels.len(), 4 * 2 * 3);
        let [red, green, blue] = [pixels[0], pixels[1], pixels[2]];
        assert!(red >= 253 && green <= 2 && blue <= 2, "{red} {green} {blue}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn planes_that_are_too_short_do_no_harm() {
        let planes = Arc::new(I420::black(2, 2));
        let frame = VideoFrame { width: 640, height: 360, planes, captured_at: Instant::now() };
        assert_eq!(rgb(&frame).len(), 640 * 360 * 3);
    }
}
