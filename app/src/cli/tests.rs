use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn a_link_alone_opens_the_window_filled_in() {
    assert!(parsed(&[]).link.is_none());
    assert_eq!(parsed(&["https://a.example/r/tea"]).link.as_deref(), Some("https://a.example/r/tea"));
    assert!(matches!(parsed(&["devices", "--json"]).command, Some(Command::Devices(DevicesArgs { json: true }))));
}

#[test]
fn flags_win_over_the_settings() {
    let config = Config {
        name: "Bo".into(),
        server: Some("https://config.example".into()),
        audio_processing: false,
        relay_only: true,
        ..Config::default()
    };
    let options = headless(&["tea"], &config).unwrap();
    assert_eq!(options.target.server.websocket_url, "wss://config.example/ws");
    assert_eq!(options.name.as_str(), "Bo");
    assert!(!options.audio_processing && options.relay_only);
    let flags =
        ["tea", "--server", "http://127.0.0.1:1", "--name", "Ana", "--audio-processing", "on", "--relay-only=off"];
    let options = headless(&flags, &config).unwrap();
    assert_eq!(options.target.server.websocket_url, "ws://127.0.0.1:1/ws");
    assert_eq!(options.name.as_str(), "Ana");
    assert!(options.audio_processing && !options.relay_only);
    assert!(headless(&["tea", "--server", "a.example", "--relay-only"], &Config::default()).unwrap().relay_only);
}

#[test]
fn a_headless_peer_opens_no_device_unasked() {
    let options = headless(&["tea", "--server", "a.example"], &Config::default()).unwrap();
    assert!(matches!(options.video, VideoSource::None));
    assert_eq!(options.audio, AudioSource::None);
    assert_eq!(options.speaker, AudioSink::None);
}

#[test]
fn the_test_pattern_shows_the_peers_name() {
    let flags = ["tea", "--server", "a.example", "--name", "Ana", "--video", "test-pattern"];
    let options = headless(&flags, &Config::default()).unwrap();
    assert!(matches!(options.video, VideoSource::TestPattern { name } if name == "Ana"));
}

#[test]
fn a_room_on_no_server_is_a_usage_error_with_both_remedies() {
    let error = headless(&["tea"], &Config::default()).unwrap_err().to_string();
    assert!(error.contains("--server") && error.contains("config.toml"), "{error}");
}

#[test]
fn a_name_with_control_characters_is_refused_in_words() {
    let flags = ["tea", "--server", "a.example", "--name", "a\u{7}"];
    let error = headless(&flags, &Config::default()).unwrap_err().to_string();
    assert!(error.contains("can't be your name"), "{error}");
}

#[test]
fn a_file_that_cannot_be_played_is_refused_in_words() {
    let join = |flag, source: &str| {
        let told = headless(&["tea", "--server", "a.example", flag, source], &Config::default());
        told.err().map(|error| error.to_string())
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(join("--video", &format!("file:{}", file.path().display())), None);
    for (flag, source, words) in [
        ("--video", "file:/no/such.y4m", "The file /no/such.y4m can't be played: there is no such file."),
        ("--audio", "file:/no/such.wav", "there is no such file"),
        ("--audio", "file:/", "it is a folder"),
    ] {
        let told = join(flag, source).unwrap();
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn what_only_a_headless_peer_does_needs_headless() {
    for flags in [
        ["--json", "--json"],
        ["--duration", "1s"],
        ["--say", "x"],
        ["--snapshots", "d"],
        ["--record-audio", "d"],
        ["--record-pictures", "f"],
        ["--video-size", "640x360"],
    ] {
        assert!(Cli::try_parse_from([&["parlor", "join", "tea"], &flags[..]].concat()).is_err(), "{flags:?}");
    }
}

#[test]
fn times_are_read_with_their_unit() {
    for (text, milliseconds) in [("500ms", 500), ("10s", 10_000), ("7", 7_000), ("1.5m", 90_000), ("1h", 3_600_000)] {
        assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in ["", "s", "10 s", "1d", "-1s", "1e400", "99999999999999999999h", "..s"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn sizes_of_pictures_are_read_and_odd_ones_refused() {
    assert_eq!(video_size("1280x720"), Ok((1280, 720)));
    for text in ["", "1280", "1280x", "x", "641x360", "640x361", "0x0", "-2x90", "99999999999x2", "8192x4096"] {
        assert!(video_size(text).is_err(), "{text}");
    }
}

fn parsed(arguments: &[&str]) -> Cli {
    Cli::parse_from([&["parlor"], arguments].concat())
}

fn headless(arguments: &[&str], config: &Config) -> Result<HeadlessOptions, UsageError> {
    let cli = parsed(&[&["join", "--headless"], arguments].concat());
    let Some(Command::Join(join)) = cli.command else { panic!("not a join") };
    join.headless_options(config)
}
