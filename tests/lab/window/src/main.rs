//! `parlor-lab-window JSON`: what the window costs, idle and by picture; see the README beside this.

mod floor;
mod meeting;
mod meter;
mod screen;
mod tiles;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use parlor::config::{Config, PictureConversion};
use parlor::ui::{FrameWatch, Prefill, WindowOptions};
use parlor_lab_cost::report::Report;
use parlor_lab_cost::request::Request;
use parlor_media::{AudioSink, AudioSource, VideoSource};

use crate::meeting::Meeting;
use crate::meter::Meter;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scenario {
    Lobby,
    Call,
    Tiles(usize, PictureConversion),
}

impl Scenario {
    fn read(name: &str) -> anyhow::Result<Self> {
        match name {
            "idle lobby" => Ok(Self::Lobby),
            "idle call" => Ok(Self::Call),
            name => {
                let (tiles, who) = match name.strip_suffix(", shader") {
                    Some(tiles) => (tiles, PictureConversion::GraphicsCard),
                    None => (name, PictureConversion::Processor),
                };
                match tiles.split_once(" tile").and_then(|(count, _)| count.parse().ok()) {
                    Some(count @ 1..=16) => Ok(Self::Tiles(count, who)),
                    Some(_) | None => bail!("there is no scenario {name:?}"),
                }
            }
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let request = Request::from_arguments()?;
    let scenario = Scenario::read(&request.scenario)?;
    if !screen::is_inside() {
        return screen::run_inside(Duration::from_secs_f64(request.seconds));
    }
    let meter = Arc::new(Meter::default());
    // Declared here, so that both outlive the window.
    let meeting = if scenario == Scenario::Call { Some(Meeting::begin()?) } else { None };
    let measuring = (meter.clone(), request.clone());
    std::thread::Builder::new().name(meter::THREAD.to_owned()).spawn(move || {
        let (meter, request) = measuring;
        let ended = measure(&meter, &request, scenario);
        // The window runs until then, and has nothing to say any more.
        std::process::exit(match ended {
            Ok(line) => {
                println!("{line}");
                0
            }
            Err(error) => {
                eprintln!("parlor-lab-window: {error:#}");
                1
            }
        })
    })?;
    match scenario {
        Scenario::Lobby => parlor::ui::run(options(&meter, None))?,
        Scenario::Call => parlor::ui::run(options(&meter, meeting.as_ref().map(Meeting::link)))?,
        Scenario::Tiles(count, who) => tiles::run(count, who, request.seed, meter)?,
    }
    bail!("the window was closed before it was measured")
}

/// The shipped window, with nothing open that costs on its own account.
fn options(meter: &Arc<Meter>, link: Option<String>) -> WindowOptions {
    let painted = meter.clone();
    let join_now = link.is_some();
    let prefill = Prefill {
        name: Some("Mira".to_owned()),
        room_or_link: Some(link.unwrap_or_else(|| "quiet-otter-71k2".to_owned())),
        video: Some(VideoSource::None),
        audio: Some(AudioSource::None),
        speaker: Some(AudioSink::None),
        join_now,
        ..Prefill::default()
    };
    let config = Config { preview_camera: false, preview_microphone: false, ..Config::default() };
    let watch = Some(FrameWatch(Arc::new(move |cost| painted.painted(cost.previous_seconds))));
    WindowOptions { config, prefill, watch }
}

fn measure(meter: &Meter, request: &Request, scenario: Scenario) -> anyhow::Result<String> {
    screen::focus()?;
    let measured = meter.measure(Duration::from_secs_f64(request.seconds))?;
    let mut report = Report::new(request);
    report.figure("repaints_per_second", measured.paints_per_second());
    report.figure("cpu_cores", measured.cpu_cores());
    report.figure("frame_p99_ms", measured.p99_ms());
    if let Scenario::Tiles(count, _) = scenario {
        let floor = floor::cost(request.seed)?;
        let by_picture = |cpu: Duration| cpu.as_secs_f64() / (measured.paints as f64 * count as f64);
        let picture = by_picture(measured.cpu - measured.renderer);
        report.figure("frame_over_floor", picture / floor.as_secs_f64());
        report.figure("frame_with_software_gl_over_floor", by_picture(measured.cpu) / floor.as_secs_f64());
        report.figure("picture_us", picture * 1e6);
        report.figure("floor_us", floor.as_secs_f64() * 1e6);
    }
    Ok(report.line())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_read_by_their_names() {
        for (name, scenario) in [
            ("idle lobby", Scenario::Lobby),
            ("1 tile", Scenario::Tiles(1, PictureConversion::Processor)),
            ("9 tiles, shader", Scenario::Tiles(9, PictureConversion::GraphicsCard)),
        ] {
            assert_eq!(Scenario::read(name).ok(), Some(scenario));
        }
        for wrong in ["", "tiles", "0 tiles", "99 tiles", ", shader", "idle"] {
            assert!(Scenario::read(wrong).is_err(), "{wrong}");
        }
    }
}
