//! Choices of which the command line may have made one for this run. Pure.

use std::fmt::Display;

use parlor_media::{AudioSink, AudioSource, VideoSource};

use super::view::{DeviceOption, PickerView};

/// A source or sink that can be a device.
pub trait Source: Clone + Display {
    /// The device of an id, or the system's default.
    fn device(id: Option<String>) -> Self;
}

impl Source for VideoSource {
    fn device(id: Option<String>) -> Self {
        id.map_or(Self::DefaultDevice, Self::Device)
    }
}

impl Source for AudioSource {
    fn device(id: Option<String>) -> Self {
        id.map_or(Self::DefaultDevice, Self::Device)
    }
}

impl Source for AudioSink {
    fn device(id: Option<String>) -> Self {
        id.map_or(Self::DefaultDevice, Self::Device)
    }
}

/// What is chosen, and what the command line gave.
#[derive(Clone, Debug)]
pub struct Chosen<S> {
    given: Option<S>,
    now: S,
}

impl<S: Source> Chosen<S> {
    /// What the command line gave, else what was kept.
    pub fn new(given: Option<S>, kept: Option<String>) -> Self {
        let now = given.clone().unwrap_or_else(|| S::device(kept));
        Self { given, now }
    }

    /// What is chosen now.
    pub fn now(&self) -> &S {
        &self.now
    }

    /// Chooses by what a list calls it. Answers whether that is worth keeping: what the command line gave is not.
    pub fn choose(&mut self, id: Option<String>) -> bool {
        match &self.given {
            Some(given) if id_of(given) == id => {
                self.now = given.clone();
                false
            }
            Some(_) | None => {
                self.now = S::device(id);
                true
            }
        }
    }

    /// The list to choose from: the system's default first, when there is anything at all; last what the command line
    /// gave, when that is no device.
    pub fn picker(&self, devices: &[DeviceOption]) -> PickerView {
        let given = self.given.as_ref().filter(|given| !is_device(*given));
        let extra = given.map(|given| DeviceOption { id: id_of(given), name: format!("{given} (for this run)") });
        let default = DeviceOption { id: None, name: "System default".to_owned() };
        let first = (!devices.is_empty() || extra.is_some()).then_some(default);
        PickerView {
            options: first.into_iter().chain(devices.iter().cloned()).chain(extra).collect(),
            selected: id_of(&self.now),
        }
    }
}

fn is_device(source: &impl Display) -> bool {
    let text = source.to_string();
    text == "default" || text.starts_with("device:")
}

/// What a list calls it: a device's id, nothing for the default, its whole text for anything else.
fn id_of(source: &impl Display) -> Option<String> {
    let text = source.to_string();
    match text.strip_prefix("device:") {
        Some(id) => Some(id.to_owned()),
        None => (text != "default").then_some(text),
    }
}

/// A text that may have been given by the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenText {
    given: Option<String>,
    kept: String,
}

impl GivenText {
    /// What the command line gave, and what was kept from an earlier run.
    pub fn new(given: Option<String>, kept: String) -> Self {
        Self { given: given.filter(|given| !given.trim().is_empty()), kept }
    }

    /// What its field begins with.
    pub fn start(&self) -> &str {
        self.given.as_deref().unwrap_or(&self.kept)
    }

    /// What is to be kept when the field has this text: what was typed, but not what was only given.
    pub fn to_keep<'a>(&'a self, typed: &'a str) -> &'a str {
        if self.given.as_deref().map(str::trim) == Some(typed.trim()) { &self.kept } else { typed.trim() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_shows_what_the_command_line_gave_though_another_is_kept() {
        let chosen = Chosen::new(Some(VideoSource::Device("usb".into())), Some("built-in".into()));
        assert_eq!(chosen.picker(&devices()).selected.as_deref(), Some("usb"));
        assert_eq!(chosen.picker(&devices()).options.len(), 3);
        let chosen = Chosen::<VideoSource>::new(None, Some("built-in".into()));
        assert_eq!(chosen.picker(&devices()).selected.as_deref(), Some("built-in"));
    }

    #[test]
    fn what_is_no_device_can_be_left_and_chosen_again_and_is_not_kept() {
        let mut chosen = Chosen::new(Some(AudioSource::None), Some("built-in".into()));
        let view = chosen.picker(&devices());
        let extra = view.options.last().cloned().unwrap();
        assert_eq!((view.selected, extra.name.as_str()), (extra.id.clone(), "none (for this run)"));
        assert!(chosen.choose(Some("usb".into())));
        assert_eq!(*chosen.now(), AudioSource::Device("usb".into()));
        assert!(!chosen.choose(extra.id));
        assert_eq!(*chosen.now(), AudioSource::None);
        assert!(chosen.choose(None));
        assert_eq!(*chosen.now(), AudioSource::DefaultDevice);
    }

    #[test]
    fn without_devices_and_without_a_command_line_there_is_nothing_to_choose() {
        assert!(Chosen::<AudioSink>::new(None, None).picker(&[]).options.is_empty());
    }

    #[test]
    fn a_name_from_the_command_line_is_shown_and_not_kept() {
        let name = GivenText::new(Some("Guest of honour".into()), "Mira".into());
        assert_eq!(name.start(), "Guest of honour");
        assert_eq!(name.to_keep("Guest of honour"), "Mira");
        assert_eq!(name.to_keep(" Zoë "), "Zoë");
        let name = GivenText::new(None, "Mira".into());
        assert_eq!((name.start(), name.to_keep("Mira"), name.to_keep("")), ("Mira", "Mira", ""));
    }

    fn devices() -> Vec<DeviceOption> {
        ["built-in", "usb"].map(|id| DeviceOption { id: Some(id.to_owned()), name: id.to_owned() }).to_vec()
    }
}
