//! Which devices there are, asked for on a thread of its own: some drivers take a second to answer.

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use parlor_media::audio::{AudioDeviceInfo, microphones, speakers};
use parlor_media::cameras;

use super::view::DeviceOption;

/// What was found last.
#[derive(Default)]
pub struct DeviceList {
    /// Cameras.
    pub cameras: Vec<DeviceOption>,
    /// Microphones.
    pub microphones: Vec<DeviceOption>,
    /// Speakers.
    pub speakers: Vec<DeviceOption>,
    answer: Option<Receiver<[Vec<DeviceOption>; 3]>>,
}

impl DeviceList {
    /// Asks again, unless an answer is still on its way; `wake` is called when it is there.
    pub fn refresh(&mut self, wake: impl FnOnce() + Send + 'static) {
        if self.answer.is_some() {
            return;
        }
        let (sender, receiver) = sync_channel(1);
        let look = move || {
            // Nobody waits any more when the window is closing.
            let _ = sender.send(find());
            wake();
        };
        if std::thread::Builder::new().name("devices".to_owned()).spawn(look).is_ok() {
            self.answer = Some(receiver);
        }
    }

    /// Takes an answer that has come. Never waits.
    pub fn poll(&mut self) {
        match self.answer.as_ref().map(Receiver::try_recv) {
            Some(Ok([cameras, microphones, speakers])) => {
                (self.cameras, self.microphones, self.speakers) = (cameras, microphones, speakers);
                self.answer = None;
            }
            Some(Err(TryRecvError::Disconnected)) => self.answer = None,
            Some(Err(TryRecvError::Empty)) | None => {}
        }
    }
}

/// What cannot be listed counts as not there; opening it says why.
fn find() -> [Vec<DeviceOption>; 3] {
    let sound = |devices: Vec<AudioDeviceInfo>| {
        devices.into_iter().map(|device| DeviceOption { id: Some(device.id), name: device.name }).collect()
    };
    let cameras = cameras().unwrap_or_default().into_iter();
    [
        cameras.map(|camera| DeviceOption { id: Some(camera.id), name: camera.name }).collect(),
        sound(microphones().unwrap_or_default()),
        sound(speakers().unwrap_or_default()),
    ]
}
