//! No bytes make a parser panic, and what it takes it gives back.

use bytes::Bytes;
use chartfs::key::capsule::Capsule;
use chartfs::key::certificate::UncheckedCertificate;
use chartfs::key::credential::{Credential, Request};
use chartfs::key::hash::sha256;
use chartfs::key::keyfile::{self, FileKind};
use chartfs::realm::authority::AuthorityState;
use chartfs::realm::policy::PolicyStatement;
use chartfs::realm::state::RealmState;
use chartfs::record::directory::Table;
use chartfs::record::external::ExternalChecker;
use chartfs::record::head::UncheckedRecord;
use proptest::prelude::*;
use std::sync::LazyLock;

use super::small::Small;

/// One stored object of every kind, as seeds.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    let small = runtime.block_on(Small::new());
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for kind in ["realm/", "auth/", "p/", "c/", "k/", "r/", "h/"] {
        let of_kind = small.now.iter().filter(|(n, _)| n.as_str().starts_with(kind));
        seeds.push(of_kind.map(|(_, b)| b).min_by_key(|b| b.len()).unwrap().to_vec());
    }
    seeds.push(Credential::new("ana", [1; 32]).to_bytes().to_vec());
    seeds.push(keyfile::seal(FileKind::Credential, b"secret", None));
    seeds
});

/// Hands bytes to every parser of stored bytes; the result does not matter.
fn parse_all(bytes: &[u8]) {
    let (hash, realm) = (sha256(&[bytes]), [0; 16]);
    // The realm that the bytes themselves name, so that parsing goes on behind it.
    let its_realm = bytes.get(12..28).and_then(|b| b.try_into().ok()).unwrap_or(realm);
    let p_realm = bytes.get(10..26).and_then(|b| b.try_into().ok()).unwrap_or(realm);
    let _ = UncheckedRecord::parse(&Bytes::copy_from_slice(bytes));
    let _ = Capsule::parse(bytes, &hash, &its_realm);
    let _ = RealmState::verify(bytes, None);
    let _ = AuthorityState::verify(bytes, &p_realm, &"st-mary".parse().unwrap(), &[]);
    let _ = PolicyStatement::parse(bytes, &hash, &p_realm);
    let _ = UncheckedCertificate::parse(bytes);
    let _ = Table::decode(bytes);
    let _ = Credential::from_bytes(bytes);
    let _ = Request::parse(&String::from_utf8_lossy(bytes));
    let _ = keyfile::needs_passphrase(bytes);
    let _ = keyfile::open(FileKind::Credential, bytes, None);
    if let Ok(mut checker) = ExternalChecker::new(bytes.len() as u64) {
        checker.add(bytes);
        let _ = checker.finish(bytes, &hash);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_make_no_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        parse_all(&bytes);
    }

    #[test]
    fn spoiled_objects_make_no_parser_panic(
        seed in 0..9_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut bytes = SEEDS[seed].clone();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        parse_all(&bytes);
    }

    #[test]
    fn requests_make_no_parser_panic(text in "(chartfs-request-1:)?[0-9a-fA-F\u{e4} ]{0,400}") {
        let _ = Request::parse(&text);
    }

    #[test]
    fn only_possible_lengths_begin_an_external_check(len: u64) {
        if let Ok(checker) = ExternalChecker::new(len) {
            let chunks = checker.sealed_len().div_ceil(65_564);
            prop_assert_eq!(checker.sealed_len() + 32 * chunks, len);
        }
    }
}

// A text nested a hundred thousand deep must end in an error and not at the end of the stack.
#[test]
fn a_deeply_nested_policy_text_is_an_error() {
    use chartfs::realm::policy::PolicyDocument;
    for open in ["[", "{a=", "x.", "(", "[[a]]\n"] {
        let text = format!("a = {}", open.repeat(100_000 / open.len()));
        assert!(PolicyDocument::parse(&text).is_err());
        assert!(PolicyDocument::parse(&open.repeat(100_000 / open.len())).is_err());
    }
}
