//! A cursor over a JSON text that is known to be valid: finds the spans of members and elements
//! without building or re-printing anything.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// Nesting beyond this is not cut. serde_json itself stops at 128; the difference is what a view
/// may wrap around an element.
pub(in super::super) const MAX_DEPTH: usize = 120;

/// Returns the text when the bytes are one JSON text in UTF-8, after an optional byte order mark.
pub(in super::super) fn valid(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str::<IgnoredAny>(text.strip_prefix('\u{feff}').unwrap_or(text)).ok()?;
    Some(text)
}

/// Says whether two pieces of JSON differ in white space only.
pub(in super::super) fn same_tokens(a: &[u8], b: &[u8]) -> bool {
    a == b || significant(a).eq(significant(b))
}

/// Returns the bytes outside white space, and all of those inside strings.
fn significant(text: &[u8]) -> impl Iterator<Item = u8> {
    let (mut quoted, mut escaped) = (false, false);
    text.iter().copied().filter(move |&b| {
        let space = !quoted && matches!(b, b' ' | b'\n' | b'\r' | b'\t');
        quoted ^= b == b'"' && !escaped;
        escaped = quoted && b == b'\\' && !escaped;
        !space
    })
}

/// A member of an object or an element of an array, as the cursor passes it.
pub(in super::super) struct Part<'a> {
    /// Where the white space before it begins.
    pub(in super::super) start: usize,
    /// The key; empty in an array.
    pub(in super::super) key: Cow<'a, str>,
    /// Where its value begins.
    pub(in super::super) value: usize,
}

/// A position in a valid JSON text. Methods return `None` where the text is not what was asked
/// for, or too deep.
#[derive(Clone)]
pub(in super::super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(in super::super) fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    pub(in super::super) fn at(&self) -> usize {
        self.at
    }

    /// Skips white space and returns the next byte, 0 at the end.
    pub(in super::super) fn token(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(&b) = bytes.get(self.at) {
            if !matches!(b, b' ' | b'\n' | b'\r' | b'\t') {
                return b;
            }
            self.at += 1;
        }
        0
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.token() == byte).then(|| self.at += 1)
    }

    /// Takes a string and returns what stands between its quotes, escapes as written.
    fn raw_string(&mut self) -> Option<(&'a str, bool)> {
        self.eat(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            match bytes.get(self.at)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
        let raw = self.text.get(start..self.at)?;
        self.at += 1;
        Some((raw, escaped))
    }

    /// Takes a string and returns what it means.
    pub(in super::super) fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let (raw, escaped) = self.raw_string()?;
        if !escaped {
            return Some(Cow::Borrowed(raw));
        }
        let quoted = self.text.get(start..self.at)?;
        serde_json::from_str(quoted).ok().map(Cow::Owned)
    }

    /// Passes one value.
    pub(in super::super) fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.token() {
                b'"' => {
                    self.raw_string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    if depth > MAX_DEPTH {
                        return None;
                    }
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                0 | b',' | b':' => return None,
                _ => self.skip_scalar(),
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn skip_scalar(&mut self) {
        let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | b':');
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(ends).unwrap_or(rest.len()).max(1);
    }

    /// Passes an object or an array; `visit` gets every part with the cursor at its value and
    /// must pass that. Returns the offsets after the opening and before the closing bracket.
    ///
    /// The closing offset is where the white space before the bracket begins, unless the
    /// container is empty.
    pub(in super::super) fn parts(
        &mut self,
        mut visit: impl FnMut(&mut Self, &Part<'a>) -> Option<()>,
    ) -> Option<(usize, usize)> {
        let object = match self.token() {
            b'{' => true,
            b'[' => false,
            _ => return None,
        };
        let close = if object { b'}' } else { b']' };
        self.at += 1;
        let open = self.at;
        if self.token() == close {
            let inside = (self.at, self.at);
            self.at += 1;
            return Some(inside);
        }
        let mut start = open;
        loop {
            let mut key = Cow::Borrowed("");
            if object {
                self.token();
                key = self.string()?;
                self.eat(b':')?;
            }
            self.token();
            visit(self, &Part { start, key, value: self.at })?;
            let end = self.at;
            let next = self.token();
            self.at += 1;
            if next == close {
                return Some((open, end));
            }
            if next != b',' {
                return None;
            }
            start = self.at;
        }
    }

    /// Returns the end of the part that the cursor has just passed: before the comma, or before
    /// the white space that precedes the closing bracket.
    pub(in super::super) fn part_end(&self) -> usize {
        let mut ahead = self.clone();
        if ahead.token() == b',' { ahead.at } else { self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_carry_the_white_space_before_them() {
        let text = "{ \"a\" : [1, {}] ,\n\"\\u0062\": \"x\\\"}\" \n}";
        let mut seen = Vec::new();
        let mut cursor = Cursor::new(valid(text.as_bytes()).unwrap(), 0);
        let inside = cursor.parts(|c, part| {
            c.skip_value()?;
            seen.push((part.key.to_string(), &text[part.start..c.part_end()]));
            Some(())
        });
        assert_eq!(seen[0], ("a".to_owned(), " \"a\" : [1, {}] "));
        assert_eq!(seen[1], ("b".to_owned(), "\n\"\\u0062\": \"x\\\"}\""));
        let (open, close) = inside.unwrap();
        assert_eq!((&text[..open], &text[close..]), ("{", " \n}"));
    }

    #[test]
    fn white_space_counts_only_inside_strings() {
        assert!(same_tokens(b"{ \"a b\" : [1,\n2]}", b"{\"a b\":[1, 2] }\n"));
        assert!(!same_tokens(b"\"a b\"", b"\"ab\""));
        assert!(!same_tokens(b"\"\\\" x\"", b"\"\\\"x\""));
        assert!(same_tokens(b"[\"\\\\\", 1]", b"[\"\\\\\",1]"));
    }

    #[test]
    fn deep_nesting_is_refused_without_recursion() {
        let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        if let Some(text) = valid(text.as_bytes()) {
            assert!(Cursor::new(text, 0).skip_value().is_none());
        }
        assert!(valid(b"{\"a\":1,}").is_none());
        assert!(valid(b"\xff").is_none());
    }
}
