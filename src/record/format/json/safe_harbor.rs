//! A plain object as a researcher reads it: what is released under the keys that are known, null
//! under the others, whose names may tell something too.

use std::borrow::Cow;

use super::super::safe_harbor::plain::{Kind, is_known, kind, stand_in, value};
use super::super::safe_harbor::{Pseudonyms, rewrite, tight};
use super::super::tree::Tree;
use super::{Cursor, Members, Value, print_member};

pub(super) fn of(tree: &Tree<'_>, project: &Pseudonyms) -> Option<Vec<u8>> {
    rewrite(
        tree,
        |text, out| tight(false, text, out),
        |_, node, out| {
            let text = std::str::from_utf8(tree.span(node)).ok()?;
            let mut cursor = Cursor::new(text, 0);
            cursor.token();
            let key = cursor.string()?;
            cursor.token();
            // The colon between them.
            let mut cursor = Cursor::new(text, cursor.at() + 1);
            let value = Value::read(text, &mut cursor)?;
            let released = kind(&key).and_then(|kind| of_value(kind, value, project));
            let name = if is_known(&key) { key } else { Cow::Owned(stand_in(&key, project)) };
            print_member(&name, &released.unwrap_or(Value::Plain("null")), out);
            Some(())
        },
    )
}

fn of_value<'a>(kind: Kind, found: Value<'a>, project: &Pseudonyms) -> Option<Value<'a>> {
    match found {
        Value::Plain(text @ ("true" | "false" | "null")) => Some(Value::Plain(text)),
        Value::Plain(number) => match value(kind, number, project)? {
            Cow::Borrowed(text) if text == number => Some(Value::Plain(number)),
            text if kind == Kind::Age || kind == Kind::Date => {
                text.parse::<u16>().ok().map(|_| Value::Text(Cow::Owned(text.into_owned())))
            }
            text => Some(Value::Text(Cow::Owned(text.into_owned()))),
        },
        Value::Text(text) => {
            value(kind, &text, project).map(|text| Value::Text(Cow::Owned(text.into_owned())))
        }
        Value::List(list) => {
            let clean = list.into_iter().filter_map(|v| of_value(kind, v, project));
            Some(Value::List(clean.collect()))
        }
        Value::Object(members) => {
            let mut clean = Members::new();
            for (key, found) in members {
                let released = super::super::safe_harbor::plain::kind(&key)
                    .and_then(|kind| of_value(kind, found, project));
                clean.extend(released.map(|value| (key, value)));
            }
            Some(Value::Object(clean))
        }
    }
}
