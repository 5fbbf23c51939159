//! Addresses in a chat line. Pure; the text comes from others.

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span<'a> {
    /// As it is.
    Text(&'a str),
    /// Opens in the browser; shown exactly as written, so that it hides nothing.
    Link {
        /// As written.
        text: &'a str,
        /// The same.
        url: &'a str,
    },
}

/// Cuts a line into text and links. Only `http://` and `https://` followed by something are links; punctuation that
/// ends a sentence, and a bracket the address did not open, stay outside.
pub fn spans(line: &str) -> Vec<Span<'_>> {
    let mut spans = Vec::new();
    let mut rest = line;
    while let Some(start) = next_start(rest) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| c.is_whitespace() || c.is_control() || "<>\"".contains(c)).unwrap_or(from.len());
        let url = trim_end(&from[..end]);
        if !before.is_empty() {
            spans.push(Span::Text(before));
        }
        if url.split_once("://").is_some_and(|(_, after)| !after.is_empty()) {
            spans.push(Span::Link { text: url, url });
        } else {
            spans.push(Span::Text(url));
        }
        rest = &from[url.len()..];
    }
    if !rest.is_empty() {
        spans.push(Span::Text(rest));
    }
    spans
}

fn next_start(text: &str) -> Option<usize> {
    let found = ["https://", "http://"].into_iter().filter_map(|scheme| find_ascii_case(text, scheme));
    found.min()
}

fn find_ascii_case(text: &str, scheme: &str) -> Option<usize> {
    text.as_bytes().windows(scheme.len()).position(|window| window.eq_ignore_ascii_case(scheme.as_bytes()))
}

fn trim_end(url: &str) -> &str {
    let mut url = url;
    while let Some(last) = url.chars().next_back() {
        let unopened = last == ')' && url.matches(')').count() > url.matches('(').count();
        let scheme_only = url.ends_with("://");
        if scheme_only || !(unopened || ".,;:!?'…’”]".contains(last)) {
            break;
        }
        url = &url[..url.len() - last.len_utf8()];
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(url: &str) -> Span<'_> {
        Span::Link { text: url, url }
    }

    #[test]
    fn addresses_are_links_and_the_rest_is_text() {
        assert_eq!(
            spans("Notes are here: https://example.org/notes."),
            [Span::Text("Notes are here: "), link("https://example.org/notes"), Span::Text(".")]
        );
        assert_eq!(spans("(see http://a.b/c_(d))"), [Span::Text("(see "), link("http://a.b/c_(d)"), Span::Text(")")]);
        assert_eq!(spans("HTTPS://A.b HTTP://c"), [link("HTTPS://A.b"), Span::Text(" "), link("HTTP://c")]);
        assert_eq!(spans("nothing here"), [Span::Text("nothing here")]);
        assert!(spans("").is_empty());
    }

    #[test]
    fn other_schemes_and_empty_addresses_stay_text() {
        for text in ["javascript:alert(1)", "file:///etc/passwd", "ftp://a.b", "https://", "see https:// there"] {
            assert!(spans(text).iter().all(|span| matches!(span, Span::Text(_))), "{text}");
        }
    }

    #[test]
    fn nothing_of_a_line_is_lost_whatever_it_holds() {
        let mut seed = 7_u64;
        let pieces =
            ["https://", "http://", "é", "x.y", " ", ")", "(", "…", ".", "\u{202e}", "日", "<", "//", "h", "HTTP"];
        for _ in 0..2_000 {
            let mut line = String::new();
            for _ in 0..(seed % 9) {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                line.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
            }
            seed = seed.wrapping_add(1);
            let back: String = spans(&line)
                .into_iter()
                .map(|span| match span {
                    Span::Text(text) | Span::Link { text, .. } => text,
                })
                .collect();
            assert_eq!(back, line);
        }
    }
}
