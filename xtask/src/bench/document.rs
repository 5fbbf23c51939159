//! Tables that are written into documents, between marks; the words around them stay.

use std::path::Path;

use anyhow::Context as _;

/// Puts a part between two marks, in the place of what stood there.
///
/// # Errors
/// Where the file cannot be read or written, or has no such marks.
pub(super) fn write(path: &Path, (begin, end): (&str, &str), part: &str) -> anyhow::Result<()> {
    let document = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let marked = document.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let (before, after) = marked.with_context(|| format!("{} has no marks {begin} and {end}", path.display()))?;
    std::fs::write(path, format!("{before}{begin}\n\n{}\n\n{end}{after}", part.trim()))
        .with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: (&str, &str) = ("<!-- loss -->", "<!-- /loss -->");

    #[test]
    fn a_table_takes_the_place_of_the_last_one_and_of_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("RESULTS.md");
        let other = "<!-- delay -->\n\nkept\n\n<!-- /delay -->\n";
        std::fs::write(&path, format!("# A\n\n<!-- loss -->\n\nold\n\n<!-- /loss -->\n\n{other}rest\n")).unwrap();
        for _ in 0..2 {
            write(&path, MARKS, "\nnew\n\n").unwrap();
            let written = std::fs::read_to_string(&path).unwrap();
            assert_eq!(written, format!("# A\n\n<!-- loss -->\n\nnew\n\n<!-- /loss -->\n\n{other}rest\n"));
        }
        std::fs::write(&path, "# no marks").unwrap();
        assert!(write(&path, MARKS, "new").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# no marks");
    }
}
