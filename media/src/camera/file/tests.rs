use super::*;
use crate::camera::Interrupt;
use std::io::Write;

const CONFIG: CaptureConfig =
    CaptureConfig { capture_width: 1280, capture_height: 720, fps: 30, width: 64, height: 36 };

fn y4m_file(header: &str, pictures: &[u8], size: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{header}").unwrap();
    for luma in pictures {
        file.write_all(b"FRAME\n").unwrap();
        file.write_all(&vec![*luma; size]).unwrap();
    }
    file.flush().unwrap();
    file
}

fn sentence(file: &Path) -> String {
    FileCamera::open(file, &CONFIG).unwrap_err().to_string()
}

#[test]
fn a_file_is_played_in_a_loop_at_the_sent_size() {
    let file = y4m_file("YUV4MPEG2 W32 H32 F120:1 Ip A1:1 C420jpeg", &[40, 90, 200], 32 * 32 * 3 / 2);
    let mut camera = FileCamera::open(file.path(), &CONFIG).unwrap();
    let interrupt = Interrupt::default();
    let watch = interrupt.watch();
    let lumas: Vec<u8> = (0..7)
        .map(|_| {
            let frame = camera.next_frame(&watch).unwrap().unwrap();
            assert_eq!((frame.width, frame.height), (64, 36));
            assert!(frame.planes.holds(64, 36));
            frame.planes.y[100]
        })
        .collect();
    assert_eq!(lumas, [40, 90, 200, 40, 90, 200, 40]);
    interrupt.raise();
    assert!(camera.next_frame(&watch).unwrap().is_none());
}

#[test]
fn odd_sizes_are_played() {
    let file = y4m_file("YUV4MPEG2 W33 H17 F25:1", &[99], 33 * 17 + 2 * 17 * 9);
    let mut camera = FileCamera::open(file.path(), &CONFIG).unwrap();
    let interrupt = Interrupt::default();
    assert_eq!(camera.next_frame(&interrupt.watch()).unwrap().unwrap().planes.y[0], 99);
}

#[test]
fn what_cannot_be_played_is_told_in_a_sentence() {
    assert!(sentence(Path::new("/nowhere/a.y4m")).contains("there is no such file"));
    assert!(sentence(Path::new("/")).contains("it is a folder"));
    let cases = [
        ("RIFF", "it is no Y4M file"),
        ("YUV4MPEG2 H32 F30:1", "its width makes no sense"),
        ("YUV4MPEG2 W32 H0", "its height makes no sense"),
        ("YUV4MPEG2 W32 H32 F30:0", "its frame rate makes no sense"),
        ("YUV4MPEG2 W32 H32 F9999:1", "its frame rate makes no sense"),
        ("YUV4MPEG2 W100000 H100000", "too large"),
        ("YUV4MPEG2 W4294967296 H32", "its width makes no sense"),
        ("YUV4MPEG2 W32 H32 C444", "“444” is not supported"),
        ("YUV4MPEG2 W32 H32 C420p10", "“420p10” is not supported"),
        ("YUV4MPEG2 W32 H32", "there is no picture in it"),
    ];
    for (header, expected) in cases {
        let text = sentence(y4m_file(header, &[], 0).path());
        assert!(text.contains(expected), "{header}: {text}");
    }
}

#[test]
fn a_file_cut_off_within_a_picture_plays_those_before() {
    let size = 32 * 32 * 3 / 2;
    let file = y4m_file("YUV4MPEG2 W32 H32 F120:1", &[40, 90], size);
    file.as_file().set_len(file.as_file().metadata().unwrap().len() - 7).unwrap();
    let mut camera = FileCamera::open(file.path(), &CONFIG).unwrap();
    let interrupt = Interrupt::default();
    let watch = interrupt.watch();
    let lumas: Vec<u8> = (0..3).map(|_| camera.next_frame(&watch).unwrap().unwrap().planes.y[0]).collect();
    assert_eq!(lumas, [40, 40, 40]);
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let header = b"YUV4MPEG2 W16 H16 F30:1 C420\n";
    let mut state = 7_u32;
    for len in 0..2_000 {
        let mut bytes = header[..header.len().min(len)].to_vec();
        while bytes.len() < len {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 30 == 0 {
                bytes.extend(b"FRAME\n");
            } else {
                bytes.push((state >> 16) as u8);
            }
        }
        crate::fuzz::fuzz_y4m(&bytes);
    }
}
