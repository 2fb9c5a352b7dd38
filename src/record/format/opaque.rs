//! A file that is not cut: one section with its bytes as they are.

use super::FormatId;
use super::adapter::{Adapter, Glue};
use super::rules::Rules;
use super::slots::Slot;
use super::tree::Tree;

pub(super) struct Opaque;

impl Adapter for Opaque {
    fn id(&self) -> FormatId {
        FormatId::Opaque
    }

    fn name(&self) -> &'static str {
        "opaque"
    }

    fn glue(&self) -> Glue {
        Glue { list: false, inner: false }
    }

    fn slots(&self) -> &'static [Slot] {
        &[Slot::DOCUMENTS]
    }

    fn parse<'a>(&self, _bytes: &'a [u8], _rules: &Rules) -> Option<Tree<'a>> {
        None
    }
}
