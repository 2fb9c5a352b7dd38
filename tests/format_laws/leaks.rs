//! Nothing sensitive that is coded stands outside the sensitive sections.

use chartfs::record::format::FormatId;

use crate::files::files;
use crate::record::cut;

/// Codes of the sample bundles that tell something sensitive, taken from the files by eye and not
/// from the list that the program uses.
const TELLING: [&str; 30] = [
    "55277-8",
    "28245-9",
    "76690-7",
    "31676001",
    "171207006",
    "52910006",
    "7200002",
    "24165007",
    "226138001",
    "72892002",
    "19169002",
    "10383002",
    "714812005",
    "386394001",
    "5880005",
    "169230002",
    "225158009",
    "252160004",
    "165829005",
    "269828009",
    "310861008",
    "65200003",
    "46706006",
    "68254000",
    "301807007",
    "755621000000101",
    "287664005",
    "86406008",
    "706893006",
    "243077000",
];

#[test]
fn no_sensitive_code_stands_outside_the_sensitive_sections() {
    let (mut leaks, mut found) = (Vec::new(), 0);
    for (path, bytes) in files() {
        let (format, sections) = cut(&bytes);
        let is_coded = |text: &str, code: &str| match format {
            FormatId::Cda => text.contains(&format!("code=\"{code}\"")),
            _ => text.contains(&format!("\"{code}\"")),
        };
        if !matches!(format, FormatId::FhirJson | FormatId::Cda) {
            continue;
        }
        for (slot, text) in &sections {
            for item in &text.items {
                let item = String::from_utf8_lossy(&item.bytes);
                let told = TELLING.iter().filter(|code| is_coded(&item, code));
                for code in told {
                    if slot.is_sensitive() {
                        found += 1;
                    } else {
                        leaks.push(format!("{code} in {slot} of {}", path.display()));
                    }
                }
            }
        }
    }
    println!("{} leaks; {found} sensitive codes in sensitive sections", leaks.len());
    assert_eq!(leaks, Vec::<String>::new());
    assert!(found > 50);
}
