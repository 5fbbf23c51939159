//! What the readme points to is there.

#![allow(clippy::unwrap_used)]

use std::path::Path;

/// Larger ones make the page slow to open.
const IMAGE_BYTES_MAX: u64 = 400 * 1024;

#[test]
fn every_image_that_the_readme_shows_exists_and_is_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let images: Vec<_> = readme
        .split("![")
        .skip(1)
        .filter_map(|rest| rest.split_once("](")?.1.split_once(')'))
        .map(|(target, _)| target)
        .filter(|target| !target.contains("://"))
        .collect();
    assert!(!images.is_empty(), "the readme shows a call");
    for image in images {
        let bytes = std::fs::metadata(root.join(image)).map(|image| image.len());
        assert!(bytes.as_ref().is_ok_and(|bytes| (1..=IMAGE_BYTES_MAX).contains(bytes)), "{image}: {bytes:?}");
    }
}
