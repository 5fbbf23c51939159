//! `parlor devices`: what can be chosen with `device:ID`.

use std::fmt::Write as _;

use parlor_media::audio::{AudioDeviceInfo, microphones, speakers};
use parlor_media::{AudioDeviceError, CameraInfo, DeviceReason, cameras};
use serde_json::{Value, json};

/// Everything that was found, and what could not be looked at.
pub struct Devices {
    cameras: Vec<CameraInfo>,
    microphones: Vec<AudioDeviceInfo>,
    speakers: Vec<AudioDeviceInfo>,
    problems: Vec<Problem>,
}

/// Why a kind of device could not be listed.
struct Problem {
    kind: &'static str,
    reason: DeviceReason,
    message: String,
}

impl Devices {
    /// Asks the system.
    pub fn find() -> Self {
        let mut problems = Vec::new();
        let cameras = cameras().unwrap_or_else(|error| {
            problems.push(Problem { kind: "camera", reason: error.reason(), message: error.to_string() });
            Vec::new()
        });
        let mut sound = |kind, found: Result<Vec<AudioDeviceInfo>, AudioDeviceError>| {
            found.unwrap_or_else(|error| {
                problems.push(Problem { kind, reason: error.reason(), message: error.to_string() });
                Vec::new()
            })
        };
        let microphones = sound("microphone", microphones());
        let speakers = sound("speaker", speakers());
        Self { cameras, microphones, speakers, problems }
    }

    /// One JSON object: `cameras`, `microphones`, `speakers`, `problems`.
    pub fn to_json(&self) -> Value {
        let sound = |devices: &[AudioDeviceInfo]| -> Vec<Value> {
            let entry = |device: &AudioDeviceInfo| json!({"id": device.id, "name": device.name, "is_default": device.is_default});
            devices.iter().map(entry).collect()
        };
        json!({
            "cameras": self.cameras.iter().map(camera_json).collect::<Vec<_>>(),
            "microphones": sound(&self.microphones),
            "speakers": sound(&self.speakers),
            "problems": self.problems.iter().map(problem_json).collect::<Vec<_>>(),
        })
    }

    /// A list for people; the part after `device:` comes first.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let cameras = self.cameras.iter().map(|camera| (camera.id.as_str(), camera.name.as_str(), false));
        section(&mut text, "Cameras", cameras);
        section(&mut text, "Microphones", self.microphones.iter().map(sound_entry));
        section(&mut text, "Speakers", self.speakers.iter().map(sound_entry));
        for (index, Problem { message, .. }) in self.problems.iter().enumerate() {
            // What keeps microphones and speakers from being listed is often one thing.
            if self.problems[..index].iter().all(|earlier| earlier.message != *message) {
                // Cannot fail: a String takes everything.
                let _ = writeln!(text, "{message}");
            }
        }
        text
    }
}

fn sound_entry(device: &AudioDeviceInfo) -> (&str, &str, bool) {
    (&device.id, &device.name, device.is_default)
}

fn section<'a>(text: &mut String, title: &str, entries: impl Iterator<Item = (&'a str, &'a str, bool)>) {
    let lines: Vec<String> = entries
        .map(|(id, name, is_default)| format!("  {id}  {name}{}\n", if is_default { " (default)" } else { "" }))
        .collect();
    let body = if lines.is_empty() { "  none\n".to_owned() } else { lines.concat() };
    text.push_str(title);
    text.push('\n');
    text.push_str(&body);
}

fn camera_json(camera: &CameraInfo) -> Value {
    let formats: Vec<Value> = camera
        .formats
        .iter()
        .map(|format| {
            json!({
                "width": format.width,
                "height": format.height,
                "fps": format.fps,
                "pixel_format": format.pixel_format.to_string(),
            })
        })
        .collect();
    json!({"id": camera.id, "name": camera.name, "formats": formats})
}

fn problem_json(problem: &Problem) -> Value {
    json!({"kind": problem.kind, "reason": reason_word(problem.reason), "message": problem.message})
}

/// The word that stands for a reason, as in the protocol.
pub(crate) fn reason_word(reason: DeviceReason) -> &'static str {
    match reason {
        DeviceReason::NoDevice => "no_device",
        DeviceReason::Busy => "busy",
        DeviceReason::Denied => "denied",
        DeviceReason::Unplugged => "unplugged",
        DeviceReason::NoSoundServer => "no_sound_server",
        DeviceReason::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trouble_with_two_kinds_is_told_once_to_people() {
        let message = "This system has no sound server.";
        let problem = |kind| Problem { kind, reason: DeviceReason::NoSoundServer, message: message.into() };
        let problems = vec![problem("microphone"), problem("speaker")];
        let devices = Devices { cameras: Vec::new(), microphones: Vec::new(), speakers: Vec::new(), problems };
        assert_eq!(devices.to_text().matches(message).count(), 1);
        assert_eq!(devices.to_json()["problems"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn nothing_found_is_said_with_its_reason() {
        let devices = Devices {
            cameras: Vec::new(),
            microphones: vec![AudioDeviceInfo { id: "alsa:1".into(), name: "Desk".into(), is_default: true }],
            speakers: Vec::new(),
            problems: vec![Problem {
                kind: "camera",
                reason: DeviceReason::NoDevice,
                message: "There is no camera.".into(),
            }],
        };
        assert_eq!(devices.to_json()["problems"][0]["reason"], "no_device");
        assert_eq!(devices.to_json()["microphones"][0]["is_default"], true);
        let text = devices.to_text();
        assert!(text.contains("Cameras\n  none\n") && text.contains("alsa:1  Desk (default)"), "{text}");
        assert!(text.ends_with("There is no camera.\n"), "{text}");
    }
}
