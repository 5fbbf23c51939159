//! Shows one state of the window: `cargo run -p parlor --example gallery -- call-four 1280 800`.

#[path = "../tests/window_fixtures/mod.rs"]
mod window_fixtures;

use parlor::ui::{call::call_ui, door::door_ui, ended::ended_ui, lobby::lobby_ui, theme};
use window_fixtures::{SCREENS, Screen, pictures, screen};

struct Gallery {
    screen: Screen,
    _textures: Vec<egui::TextureHandle>,
}

impl eframe::App for Gallery {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let mut commands = Vec::new();
        match &mut self.screen {
            Screen::Lobby(view, state) => lobby_ui(ui, view, state, &mut commands),
            Screen::Call(view, state, toast) => call_ui(ui, view, state, toast.as_ref(), &mut commands),
            Screen::Ended(view) => ended_ui(ui, view, &mut commands),
            Screen::Door(view, state) => door_ui(ui, view, state, &mut commands),
        }
        for command in commands {
            println!("{command:?}");
        }
    }

    fn clear_color(&self, _visuals: &egui::Visuals) -> [f32; 4] {
        theme::BG.to_normalized_gamma_f32()
    }
}

fn main() -> eframe::Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = arguments.first().filter(|name| SCREENS.contains(&name.as_str())).cloned() else {
        println!("one of: {}", SCREENS.join(" "));
        return Ok(());
    };
    let number =
        |index: usize, default: f32| arguments.get(index).and_then(|text| text.parse().ok()).unwrap_or(default);
    let size = [number(1, 1280.0), number(2, 800.0)];
    let viewport = egui::ViewportBuilder::default().with_inner_size(size).with_min_inner_size([480.0, 360.0]);
    let options = eframe::NativeOptions { viewport, renderer: eframe::Renderer::Glow, ..Default::default() };
    eframe::run_native(
        "Parlor gallery",
        options,
        Box::new(move |cc| {
            theme::apply(&cc.egui_ctx);
            let (textures, pictures) = pictures(&cc.egui_ctx);
            Ok(Box::new(Gallery { screen: screen(&name, &pictures), _textures: textures }))
        }),
    )
}
