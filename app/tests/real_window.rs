//! The real window on a screen of its own: lobby, a call with a headless peer, chat, leaving. What it looked like is in
//! `target/screenshots`.

#![cfg(all(feature = "gui", target_os = "linux"))]
#![allow(clippy::unwrap_used)]

#[path = "real_window/screen.rs"]
mod screen;

use egui::{Rect, pos2, vec2};
use parlor::ui::call_layout::call_layout;

use screen::{Display, Peer, SIZE, Server};

/// On the edge of the field of an open chat; bare background where there is no chat.
const CHAT_FIELD_EDGE: egui::Pos2 = pos2(941.0, 758.0);
/// On the edge of the field of the door, which has the keyboard.
const DOOR_FIELD_EDGE: egui::Pos2 = pos2(640.0, 352.0);
/// The button of the question before leaving what one hosts.
const LEAVE_ANYWAY: egui::Pos2 = pos2(740.0, 470.0);

/// The picture of the lobby.
const PREVIEW: Rect = Rect { min: pos2(140.0, 193.0), max: pos2(700.0, 508.0) };

#[test]
fn a_call_is_joined_seen_written_in_and_left() {
    let server = Server::start();
    let display = Display::open();
    let ana = Peer::join(&server.link(), "Ana", &["--say", "Hello from Ana"]);
    ana.wait("joined", |_| true);
    let folder = tempfile::tempdir().unwrap();
    let mut window = display.parlor(&["join", &server.link()], &folder);
    window.wait_until_shown();
    window.screenshot("window-lobby", 100);

    window.key("Return");
    ana.wait("peer_connected", |_| true);
    window.screenshot("window-call", 2_000);

    window.key("c");
    // The ring around the chat's field: it has the keyboard.
    window.wait_for_color(CHAT_FIELD_EDGE, "F0B357");
    window.type_text("Hello from Mira");
    window.key("Return");
    ana.wait("chat", |event| event["text"] == "Hello from Mira");
    // A moment later, so that the window has painted it too.
    ana.wait("stats", |_| true);
    window.screenshot("window-chat", 2_000);

    // Out of the field, then out of the chat: each seen before the next, or a slow window takes both for one.
    window.key("Escape");
    window.wait_until_color(CHAT_FIELD_EDGE, |color| !color.starts_with("F0B357"));
    window.key("Escape");
    window.wait_for_color(CHAT_FIELD_EDGE, "0F1115");
    let toolbar = call_layout(Rect::from_min_size(pos2(0.0, 0.0), vec2(SIZE.0 as f32, SIZE.1 as f32)), false).toolbar;
    window.click(toolbar.right_center() - vec2(20.0, 0.0));
    ana.wait("peer_left", |_| true);
    window.screenshot("window-left", 100);

    window.close();
}

#[test]
fn closing_the_window_leaves_the_call_and_four_fit_in_it() {
    let server = Server::start();
    let display = Display::open();
    let peers = ["Ana", "Bo", "Chen"].map(|name| Peer::join(&server.link(), name, &[]));
    for peer in &peers {
        peer.wait("joined", |_| true);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut window = display.parlor(&["join", &server.link()], &folder);
    window.wait_until_shown();
    window.key("Return");
    // Two others and Mira.
    for peer in &peers {
        (0..3).for_each(|_| peer.wait("peer_connected", |_| true));
    }
    (0..3).for_each(|_| peers[0].wait("stats", |_| true));
    window.screenshot("call-four", 4_000);
    window.close();
    for peer in &peers {
        peer.wait("peer_left", |_| true);
    }
}

#[test]
fn a_call_hosted_by_the_window_is_joined_by_its_link_and_closing_it_is_asked_about() {
    let display = Display::open();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("parlor/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, "name = \"Kept\"\nice_servers = []\n").unwrap();
    let mut window = display.parlor(&[], &folder);
    window.wait_until_shown();
    // The ring around the room's field: the lobby is there. Then the button right of Join.
    window.wait_for_color(pos2(761.0, 368.0), "F0B357");
    window.click(pos2(1_093.0, 431.0));
    // The invitation's button, beside the self view.
    window.wait_for_color(pos2(780.0, 396.0), "F0B357");
    window.screenshot("window-hosting", 2_000);

    let link = window.wait_for_link();
    assert!(link.starts_with("https://") && link.contains("#fp="), "{link}");
    let ana = Peer::join(&link, "Ana", &[]);
    ana.wait("peer_connected", |event| event["name"] == "Mira");
    ana.wait("stats", |event| event["peers"][0]["frames_decoded"].as_u64() > Some(0));
    window.screenshot("window-hosted", 4_000);

    window.key("ctrl+q");
    // "Leave anyway".
    window.wait_for_color(LEAVE_ANYWAY - vec2(80.0, 0.0), "E5564C");
    window.screenshot("window-hosted-closing", 100);
    assert!(window.process.0.try_wait().unwrap().is_none(), "it waits for an answer");
    window.click(LEAVE_ANYWAY);
    window.wait_for_end();
    ana.wait("peer_left", |_| true);
    let kept = std::fs::read_to_string(&config).unwrap();
    assert!(kept.contains("name = \"Kept\""), "the name was given for this run only: {kept}");
}

#[test]
fn a_room_with_a_password_is_entered_through_its_door_after_a_wrong_one() {
    let server = Server::start();
    let display = Display::open();
    let mut ana = Peer::join(&server.link(), "Ana", &[]);
    ana.wait("joined", |_| true);
    ana.command("password pears");
    ana.wait("policy", |policy| policy["has_password"] == true);
    let folder = tempfile::tempdir().unwrap();
    let mut window = display.parlor(&["join", &server.link()], &folder);
    window.wait_until_shown();
    window.key("Return");
    window.wait_for_color(DOOR_FIELD_EDGE, "F0B357");
    window.screenshot("window-door", 100);
    window.type_text("apples");
    window.key("Return");
    // The door again, with an empty field.
    window.wait_for_log("not the password");
    window.wait_for_color(DOOR_FIELD_EDGE, "F0B357");
    window.type_text("pears");
    window.key("Return");
    ana.wait("peer_connected", |event| event["name"] == "Mira");
    ana.command("remove Mira");
    ana.wait("peer_left", |event| event["reason"] == "removed");
    window.wait_for_log("You were removed");
    // Where a tile was there is nothing now.
    window.wait_for_color(pos2(200.0, 200.0), "0F1115");
    window.screenshot("window-removed", 50);
    window.close();
}

/// A stand-in for a card converts too; it is only not asked to unless somebody wishes it.
#[test]
fn the_graphics_card_and_the_processor_show_the_same_picture() {
    let display = Display::open();
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("still.y4m");
    std::fs::write(&clip, still()).unwrap();
    let source = format!("file:{}", clip.display());
    let arguments = ["join", "http://127.0.0.1:1/r/quiet-otter-71k2", "--video", &source, "--audio", "none"];
    let seen = ["processor", "graphics-card"].map(|who| {
        let config = folder.path().join("parlor/config.toml");
        std::fs::create_dir_all(config.parent().unwrap()).unwrap();
        std::fs::write(&config, format!("preview_camera = true\npicture_conversion = \"{who}\"\n")).unwrap();
        let mut window = display.parlor(&arguments, &folder);
        window.wait_for_log(&format!("pictures are converted by the {}", who.replace('-', " ")));
        window.wait_until_shown();
        // Right of the middle in the camera's picture, left of it here: what you see of yourself is mirrored.
        window.wait_until_color(PREVIEW.left_center() + vec2(40.0, 0.0), |seen| {
            ["FE0000", "FF0000"].contains(&&seen[..6])
        });
        window.screenshot(&format!("window-preview-{who}"), 500);
        let points = window.points(PREVIEW.expand(8.0));
        window.close();
        points
    });
    let [processor, card] = seen;
    let size = PREVIEW.expand(8.0).size();
    assert_eq!((processor.len(), card.len()), ((size.x * size.y * 3.0) as usize, processor.len()));
    let furthest = processor.iter().zip(&card).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(furthest <= Some(3), "somewhere they are {furthest:?} of 255 apart");
}

/// The card refuses to draw from the sixtieth picture on; it is a stand-in, asked to by the configuration.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "a release program has no card that stops by wish")]
fn a_card_that_stops_in_a_call_leaves_the_pictures_to_the_processor() {
    let server = Server::start();
    let display = Display::open();
    let ana = Peer::join(&server.link(), "Ana", &[]);
    ana.wait("joined", |_| true);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("parlor/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, "preview_camera = false\npicture_conversion = \"graphics-card\"\n").unwrap();
    let mut window = display.parlor_with(&["join", &server.link()], &folder, &[("PARLOR_CARD_LASTS", "60")]);
    window.wait_for_log("pictures are converted by the graphics card");
    window.wait_until_shown();
    window.key("Return");
    ana.wait("peer_connected", |_| true);
    window.wait_for_log("pictures are converted by the processor from now on, since it can't draw into a texture");
    let layout = call_layout(Rect::from_min_size(pos2(0.0, 0.0), vec2(SIZE.0 as f32, SIZE.1 as f32)), false);
    for tile in [layout.tiles, layout.self_view.unwrap()] {
        window.wait_for_motion(Rect::from_center_size(tile.center(), vec2(80.0, 40.0)));
    }
    window.screenshot("window-card-stopped", 2_000);
    window.close();
    ana.wait("peer_left", |_| true);
}

/// One picture of 640x360: a field of colours, brighter and darker in steps that share no points of colour, red at the right.
fn still() -> Vec<u8> {
    let mut clip = b"YUV4MPEG2 W640 H360 F30:1 Ip C420\nFRAME\n".to_vec();
    let is_red = |x: usize, width: usize| x >= width * 7 / 8;
    for y in 0..360 {
        clip.extend((0..640).map(|x| if is_red(x, 640) { 81 } else { (40 + (x * 3 + y * 2) % 160) as u8 }));
    }
    for (slope, red) in [((1, 2), 90), ((2, 1), 240)] {
        for y in 0..180 {
            let color = |x: usize| (60 + (x * slope.0 + y * slope.1) % 140) as u8;
            clip.extend((0..320).map(|x| if is_red(x, 320) { red } else { color(x) }));
        }
    }
    clip
}
