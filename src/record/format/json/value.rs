//! A JSON value as a tree: only for a text that is printed anew, where its numbers stay as they
//! were written and its members in their order.

use std::borrow::Cow;

use super::cursor::{Cursor, MAX_DEPTH};

#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Value<'a> {
    /// A number, a truth value or null, as written.
    Plain(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    Object(Members<'a>),
}

/// The members of an object.
pub(in super::super) type Members<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

impl<'a> Value<'a> {
    /// Reads the value at the cursor of a text.
    pub(in super::super) fn read(text: &'a str, cursor: &mut Cursor<'a>) -> Option<Self> {
        Self::nested(text, cursor, 0)
    }

    fn nested(text: &'a str, cursor: &mut Cursor<'a>, depth: usize) -> Option<Self> {
        if depth > MAX_DEPTH {
            return None;
        }
        match cursor.token() {
            b'{' => {
                let mut members = Vec::new();
                cursor.parts(|c, part| {
                    members.push((part.key.clone(), Self::nested(text, c, depth + 1)?));
                    Some(())
                })?;
                Some(Self::Object(members))
            }
            b'[' => {
                let mut list = Vec::new();
                cursor.parts(|c, _| {
                    list.push(Self::nested(text, c, depth + 1)?);
                    Some(())
                })?;
                Some(Self::List(list))
            }
            b'"' => cursor.string().map(Self::Text),
            _ => {
                let start = cursor.at();
                cursor.skip_value()?;
                text.get(start..cursor.at()).map(Self::Plain)
            }
        }
    }

    /// Returns an object of one member.
    pub(in super::super) fn object<const N: usize>(members: [(&'static str, Self); N]) -> Self {
        Self::Object(members.into_iter().map(|(key, value)| (Cow::Borrowed(key), value)).collect())
    }

    pub(in super::super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// Returns a member of an object that is a string.
    pub(in super::super) fn str(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Self::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns a member of an object.
    pub(in super::super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|m| m.0 == key).map(|m| &m.1),
            _ => None,
        }
    }

    /// Prints the value without white space.
    pub(in super::super) fn print(&self, out: &mut Vec<u8>) {
        match self {
            Self::Plain(text) => out.extend_from_slice(text.as_bytes()),
            Self::Text(text) => print_text(text, out),
            Self::List(list) => {
                out.push(b'[');
                for (index, value) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    value.print(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    print_member(key, value, out);
                }
                out.push(b'}');
            }
        }
    }
}

/// Prints a member of an object.
pub(in super::super) fn print_member(key: &str, value: &Value<'_>, out: &mut Vec<u8>) {
    print_text(key, out);
    out.push(b':');
    value.print(out);
}

fn print_text(text: &str, out: &mut Vec<u8>) {
    let quoted = serde_json::to_vec(text).expect("a string is printed without failing");
    out.extend_from_slice(&quoted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_printed_as_it_was_written_but_for_white_space() {
        let text = r#"{ "b" : [1.50, -0, {}, []], "a\u0062" : "x\"\u00e9" , "n":null}"#;
        let value = Value::read(text, &mut Cursor::new(text, 0)).unwrap();
        let mut out = Vec::new();
        value.print(&mut out);
        let expected = r#"{"b":[1.50,-0,{},[]],"ab":"x\"é","n":null}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(value.str("ab"), Some("x\"é"));
        assert!(value.get("c").is_none());
    }
}
