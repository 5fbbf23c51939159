//! The window. It reads one immutable snapshot a frame, takes pictures from latest slots and sends commands; it never
//! locks, blocks or awaits. Drawing functions end in `_ui`, read plain views and answer with [`view::UiCommand`]s.

pub mod adapter;
pub mod call;
pub mod call_layout;
pub mod chat;
pub mod chat_log;
pub mod chosen;
pub mod column;
pub mod details;
pub mod device_list;
pub mod door;
pub mod ended;
pub mod header;
pub mod icons;
pub mod keys;
pub mod layout;
pub mod leave;
pub mod links;
pub mod lobby;
pub mod picker;
pub mod rates;
pub mod room;
pub mod settings;
pub mod sheet;
pub mod test_sound;
pub mod theme;
pub mod tile;
pub mod toolbar;
pub mod video_texture;
pub mod view;
pub mod waiting;
pub mod widgets;
mod window;
pub mod words;

use parlor_media::{AudioSink, AudioSource, VideoSource};

use crate::config::Config;
use crate::credentials::Given;

/// How the window opens.
#[derive(Clone, Debug, Default)]
pub struct WindowOptions {
    /// What is kept between runs.
    pub config: Config,
    /// What the command line says, over it.
    pub prefill: Prefill,
    /// Who measures it, if anybody.
    pub watch: Option<FrameWatch>,
}

/// Is told of each time the window paints, on its thread; it must not block.
#[derive(Clone)]
pub struct FrameWatch(pub std::sync::Arc<dyn Fn(FrameCost) + Send + Sync>);

impl std::fmt::Debug for FrameWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrameWatch")
    }
}

/// One painting of the window.
#[derive(Clone, Copy, Debug)]
pub struct FrameCost {
    /// What the one before took, in seconds, from laying out to handing it to the graphics card; none before the first.
    pub previous_seconds: Option<f32>,
}

/// What the command line says; it holds for this run and is not kept.
#[derive(Clone, Debug, Default)]
pub struct Prefill {
    /// For the room's field.
    pub room_or_link: Option<String>,
    /// The server to look for rooms on.
    pub server: Option<String>,
    /// Your name.
    pub name: Option<String>,
    /// What the others see.
    pub video: Option<VideoSource>,
    /// What the others hear.
    pub audio: Option<AudioSource>,
    /// Where the others are heard.
    pub speaker: Option<AudioSink>,
    /// Echo cancellation, noise suppression and gain.
    pub audio_processing: Option<bool>,
    /// Hide the address from the others.
    pub relay_only: Option<bool>,
    /// What the prefilled room may ask for; other rooms are not shown it.
    pub credentials: Given,
    /// Join at once.
    pub join_now: bool,
}

/// The smallest window that is usable, in points.
pub const WINDOW_MIN: [f32; 2] = [480.0, 360.0];

/// Has the window painted once more, since something new is there to be shown; from any thread.
///
/// `Context::request_repaint` paints twice, for widgets that answer a frame late. A picture is the same the second time.
pub fn wake(ctx: &egui::Context) {
    ctx.request_repaint_after(WAKE_DELAY);
}

/// Not zero, which paints twice; what comes together within it is painted together.
const WAKE_DELAY: std::time::Duration = std::time::Duration::from_millis(1);

/// How the window is painted.
pub fn native_options() -> eframe::NativeOptions {
    eframe::NativeOptions {
        renderer: eframe::Renderer::Glow,
        // It is for gradients, of which there are none here, and it is reckoned for each point of the screen.
        dithering: false,
        ..Default::default()
    }
}

/// Opens the window and comes back when it is closed.
///
/// # Errors
/// When no window can be opened: no display, no OpenGL.
pub fn run(options: WindowOptions) -> anyhow::Result<()> {
    let viewport = egui::ViewportBuilder::default()
        .with_app_id("parlor")
        .with_title("Parlor")
        .with_inner_size([1280.0, 800.0])
        .with_min_inner_size(WINDOW_MIN);
    let native = eframe::NativeOptions { viewport, ..native_options() };
    let create: eframe::AppCreator<'_> = Box::new(move |cc| {
        video_texture::card::install(cc, options.config.picture_conversion);
        Ok(Box::new(window::Window::new(&cc.egui_ctx, options)?))
    });
    eframe::run_native("parlor", native, create).map_err(|error| match error {
        // Its own words name a place in the source.
        eframe::Error::WinitEventLoop(_) => anyhow::anyhow!(
            "There is no display here, so no window can open. `parlor join LINK --headless` needs none."
        ),
        error => anyhow::anyhow!("The window can't be opened: {error}"),
    })
}
