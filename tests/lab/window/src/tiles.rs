//! The drawing of a call with moving pictures, without a call behind it.

#[path = "../../../../app/tests/window_fixtures/mod.rs"]
mod window_fixtures;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor::config::PictureConversion;
use parlor::ui::call::{CallState, call_ui};
use parlor::ui::theme;
use parlor::ui::video_texture::{VideoTexture, card};
use parlor::ui::view::CallView;
use parlor_lab_cost::clip::{Clip, HEIGHT, WIDTH};
use parlor_media::VideoFrame;

use crate::meter::Meter;

/// Between two pictures.
const FRAME_INTERVAL: Duration = Duration::from_nanos(33_333_333);

struct Tiles {
    view: CallView,
    state: CallState,
    clip: Clip,
    textures: Vec<VideoTexture>,
    frames: usize,
    meter: Arc<Meter>,
}

impl Tiles {
    /// The next picture of everyone, each at another place of the clip.
    fn update(&mut self, ctx: &egui::Context) {
        self.frames += 1;
        for (index, texture) in self.textures.iter_mut().enumerate() {
            let planes = self.clip.frame(self.frames + index * 7).clone();
            let frame = VideoFrame { width: WIDTH, height: HEIGHT, planes, captured_at: Instant::now() };
            texture.update(ctx, &format!("tile {index}"), &frame);
            self.view.others[index].picture = texture.picture();
        }
    }
}

impl eframe::App for Tiles {
    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        self.meter.painted(frame.info().cpu_usage);
        self.update(&ui.ctx().clone());
        // What its buttons ask for, nobody presses.
        call_ui(ui, &self.view, &mut self.state, None, &mut Vec::new());
    }

    fn clear_color(&self, _visuals: &egui::Visuals) -> [f32; 4] {
        theme::BG.to_normalized_gamma_f32()
    }
}

/// Opens the window; it is painted whenever there are new pictures, and at no other time.
pub(crate) fn run(count: usize, who: PictureConversion, seed: u64, meter: Arc<Meter>) -> anyhow::Result<()> {
    let viewport = egui::ViewportBuilder::default().with_title("Parlor").with_inner_size([1280.0, 800.0]);
    let options = eframe::NativeOptions { viewport, ..parlor::ui::native_options() };
    let create: eframe::AppCreator<'_> = Box::new(move |cc| {
        theme::apply(&cc.egui_ctx);
        card::install(cc, Some(who));
        let ctx = cc.egui_ctx.clone();
        std::thread::Builder::new().name("lab-pace".to_owned()).spawn(move || {
            let mut due = Instant::now();
            loop {
                due = (due + FRAME_INTERVAL).max(Instant::now());
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                parlor::ui::wake(&ctx);
            }
        })?;
        Ok(Box::new(Tiles {
            view: window_fixtures::call(count),
            state: CallState::default(),
            clip: Clip::new(seed),
            textures: (0..count).map(|_| VideoTexture::default()).collect(),
            frames: 0,
            meter,
        }))
    });
    eframe::run_native("parlor", options, create).map_err(|error| anyhow::anyhow!("no window opens: {error}"))
}
