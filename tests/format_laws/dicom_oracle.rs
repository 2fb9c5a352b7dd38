//! Elements are where dicom-rs finds them.

use std::collections::BTreeMap;
use std::io::Cursor;

use chartfs::record::format::{FormatId, Role};
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_parser::stateful::decode::StatefulDecode;
use dicom_transfer_syntax_registry::{TransferSyntaxIndex, TransferSyntaxRegistry};

use crate::dicom::dicom_files;
use crate::record::cut;

/// Returns where each element ends after the file meta group, by what the program cuts out.
fn ends(bytes: &[u8]) -> Option<Vec<(u32, u64)>> {
    let (format, sections) = cut(bytes);
    if format != FormatId::Dicom {
        return None;
    }
    let mut lens: BTreeMap<u32, u64> = BTreeMap::new();
    for item in sections.values().flat_map(|text| &text.items) {
        let &[a, b, c, d, _] = item.rank.as_bytes() else { continue };
        let len = lens.entry(u32::from_be_bytes([a, b, c, d])).or_default();
        // What is shown instead of a stub counts, and not the stub.
        let is_instead = matches!(item.role, Role::Instead(_));
        if *len == 0 || is_instead {
            *len = item.bytes.len() as u64;
        }
    }
    let mut end = 0;
    Some(
        lens.into_iter()
            .map(|(tag, len)| {
                (tag, {
                    end += len;
                    end
                })
            })
            .collect(),
    )
}

/// Returns where each element without sequence ends, by dicom-rs.
fn ends_of_oracle(data: &[u8], syntax: &str) -> Result<Vec<(u32, Option<u64>)>, String> {
    let syntax = TransferSyntaxRegistry.get(syntax).ok_or("no such transfer syntax")?;
    let reader = LazyDataSetReader::new_with_ts(Cursor::new(data), syntax);
    let mut reader = reader.map_err(|e| e.to_string())?;
    let (mut depth, mut ends) = (0, Vec::new());
    let number = |group: u16, element: u16| u32::from(group) << 16 | u32::from(element);
    while let Some(token) = reader.advance() {
        match token.map_err(|e| e.to_string())? {
            LazyDataToken::SequenceStart { tag, .. } => {
                if depth == 0 {
                    ends.push((number(tag.0, tag.1), None));
                }
                depth += 1;
            }
            LazyDataToken::PixelSequenceStart => {
                if depth == 0 {
                    ends.push((0x7fe0_0010, None));
                }
                depth += 1;
            }
            LazyDataToken::SequenceEnd => depth -= 1,
            LazyDataToken::LazyValue { header, decoder } => {
                let len = header.len.get().ok_or("a value without length")?;
                let end = decoder.position() + u64::from(len);
                decoder.skip_bytes(len).map_err(|e| e.to_string())?;
                if depth == 0 {
                    ends.push((number(header.tag.0, header.tag.1), Some(end)));
                }
            }
            LazyDataToken::LazyItemValue { len, decoder } => {
                decoder.skip_bytes(len).map_err(|e| e.to_string())?;
            }
            _ => {}
        }
    }
    Ok(ends)
}

/// Returns the transfer syntax and where the data set begins.
fn meta(bytes: &[u8]) -> (String, usize) {
    let group = u32::from_le_bytes(bytes[140..144].try_into().unwrap()) as usize;
    let tag = [2, 0, 0x10, 0, b'U', b'I'];
    let at = bytes.windows(6).position(|w| w == tag).unwrap();
    let len = usize::from(u16::from_le_bytes([bytes[at + 6], bytes[at + 7]]));
    let uid = String::from_utf8_lossy(&bytes[at + 8..at + 8 + len]);
    (uid.trim_end_matches(['\0', ' ']).to_owned(), 144 + group)
}

#[test]
fn elements_end_where_another_reader_finds_their_end() {
    let mut compared = 0;
    for (path, bytes) in dicom_files() {
        let Some(ours) = ends(&bytes) else { continue };
        let (syntax, begin) = meta(&bytes);
        let theirs = ends_of_oracle(&bytes[begin..], &syntax);
        let theirs = theirs.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(ours.len(), theirs.len(), "{}", path.display());
        for ((tag, end), (other, known)) in ours.iter().zip(&theirs) {
            assert_eq!(tag, other, "{}", path.display());
            assert!(known.is_none_or(|known| known == *end), "{tag:08x} of {}", path.display());
            compared += 1;
        }
    }
    println!("{compared} elements compared");
    assert!(compared > 100);
}
