//! A Y4M file, played in a loop, as a camera.

use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Camera, CaptureConfig, Pace, Watch, Woken};
use crate::frame::VideoFrame;
use crate::video::scale::Scaler;
use crate::video::source::CameraError;

pub mod y4m;

use y4m::{Header, Y4mError};

/// Plays a file at its own frame rate, scaled to the size that is sent.
#[derive(Debug)]
pub struct FileCamera {
    path: PathBuf,
    reader: BufReader<File>,
    header: Header,
    scaler: Option<Scaler>,
    size: (u32, u32),
    pace: Pace,
}

impl FileCamera {
    /// Opens a file and reads as far as its first picture.
    ///
    /// # Errors
    ///
    /// When there is no such file or it is no Y4M file with a picture.
    pub fn open(path: &Path, config: &CaptureConfig) -> Result<Self, CameraError> {
        let unreadable = |reason: String| CameraError::Unreadable { path: path.to_owned(), reason };
        let file = File::open(path).map_err(|error| unreadable(Y4mError::from(error).in_words()))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let header = y4m::read_header(&mut reader).map_err(|error| unreadable(error.in_words()))?;
        let picture = y4m::read_frame(&mut reader, &header).map_err(|error| unreadable(error.in_words()))?;
        if picture.is_none() {
            return Err(unreadable(Y4mError::NoPictures.to_string()));
        }
        let size = (config.width, config.height);
        let even = (header.width & !1, header.height & !1);
        let scaler = (even != size).then(|| Scaler::new(even, size));
        let pace = Pace::new(Instant::now(), header.rate.0, header.rate.1);
        let mut camera = Self { path: path.to_owned(), reader, header, scaler, size, pace };
        camera.rewind()?;
        Ok(camera)
    }

    fn rewind(&mut self) -> Result<(), CameraError> {
        self.reader.seek(SeekFrom::Start(0)).map_err(|error| self.unreadable(Y4mError::from(error).in_words()))?;
        let header = y4m::read_header(&mut self.reader).map_err(|error| self.unreadable(error.in_words()))?;
        if header != self.header {
            return Err(self.unreadable("it was changed while it was played".to_owned()));
        }
        Ok(())
    }

    fn unreadable(&self, reason: String) -> CameraError {
        CameraError::Unreadable { path: self.path.clone(), reason }
    }
}

impl Camera for FileCamera {
    fn label(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    fn next_frame(&mut self, watch: &Watch<'_>) -> Result<Option<VideoFrame>, CameraError> {
        let mut picture = y4m::read_frame(&mut self.reader, &self.header);
        if matches!(picture, Ok(None)) {
            self.rewind()?;
            picture = y4m::read_frame(&mut self.reader, &self.header);
        }
        let picture = picture
            .and_then(|picture| picture.ok_or(Y4mError::NoPictures))
            .map_err(|error| self.unreadable(error.in_words()))?;
        let picture = match &mut self.scaler {
            Some(scaler) => scaler.scale(&picture).ok_or_else(|| self.unreadable("its size is odd".to_owned()))?,
            None => picture,
        };
        let due = self.pace.next(Instant::now());
        match watch.wait_until(Some(due), || false) {
            Woken::Interrupted => Ok(None),
            Woken::Ready | Woken::TimedOut => {
                let (width, height) = self.size;
                Ok(Some(VideoFrame { width, height, planes: picture.into(), captured_at: Instant::now() }))
            }
        }
    }
}

#[cfg(test)]
mod tests;
