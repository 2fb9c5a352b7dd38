//! The scheme as others use it: round trips, what must not open, encodings, known answers.

#![allow(clippy::unwrap_used)]

mod algebra;
#[path = "known_answers/compute.rs"]
mod compute;

use algebra::{Authority, Key, Target, attribute, compressed, gid, power};
use ark_bls12_381::{Fq, Fq2, Fq6, Fq12, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, Field, PrimeField};
use chartfs::error::Kind;
use chartfs::key::attribute::{EpochAttribute, Gid};
use chartfs::key::dabe::{
    self, ATTRIBUTE_KEY_LEN, AUTHORITY_PUBLIC_LEN, AttributeKey, AuthorityPublic, AuthoritySecret,
    CLAUSE_ATTRIBUTES_MAX, Row,
};

fn names(count: usize, authorities: usize) -> Vec<String> {
    let mut names: Vec<(usize, String)> =
        (0..count).map(|i| (i % authorities, format!("a{i:02}@h{}", i % authorities))).collect();
    names.sort();
    names.into_iter().map(|(_, n)| n).collect()
}

#[test]
fn what_is_encapsulated_to_a_clause_is_opened_with_its_keys() {
    let hospitals: Vec<Authority> = (0..3).map(|_| Authority::new()).collect();
    for count in [1, 2, 3, 5, CLAUSE_ATTRIBUTES_MAX] {
        let names = names(count, 3);
        let of = |n: &str| &hospitals[usize::from(n.as_bytes()[n.len() - 1] - b'0')];
        let rows: Vec<_> = names.iter().map(|n| (n.as_str(), of(n))).collect();
        let target = Target::new(&rows);
        assert_eq!(target.ciphertext.len(), dabe::ciphertext_len(count));
        assert_eq!(target.ciphertext.len(), 144 * count + 160);
        let keys: Vec<Key> = rows.iter().map(|(n, a)| a.issue("alice", n)).collect();
        assert!(target.product_opens(&keys, &gid("alice")), "{count} rows");
        assert!(target.opens_with(&target.combine(&keys, algebra::H(&gid("alice")))));
    }
}

#[test]
fn every_capsule_has_its_own_secret() {
    let a = Authority::new();
    let what = attribute("x@a");
    let rows = [Row { what: &what, authority: &a.public }];
    let (one, first) = dabe::encapsulate(&rows, b"").unwrap();
    let (two, second) = dabe::encapsulate(&rows, b"").unwrap();
    assert_ne!(one.expose(), two.expose());
    assert!((0..4).all(|i| first[48 * i..][..48] != second[48 * i..][..48]));
}

#[test]
fn an_issued_key_is_verified_without_secrets() {
    let (mary, john) = (Authority::new(), Authority::new());
    let what = attribute("physician#3@st-mary");
    let key = mary.secret.issue(&gid("alice"), &what);
    assert!(key.verify(&mary.public, &gid("alice"), &what));
    assert!(!key.verify(&mary.public, &gid("bob"), &what));
    assert!(!key.verify(&john.public, &gid("alice"), &what));
    assert!(!key.verify(&mary.public, &gid("alice"), &attribute("physician#4@st-mary")));
    assert!(!key.verify(&mary.public, &gid("alice"), &attribute("physician#3@st-john")));
    assert!(!key.verify(&mary.public, &gid("alice"), &attribute("nurse#3@st-mary")));
    let again = AttributeKey::from_bytes(key.to_secret().expose()).unwrap();
    assert!(again.verify(&mary.public, &gid("alice"), &what));
    let other = Key::of(&mary.secret.issue(&gid("alice"), &what));
    let mixed = Key { K_prime: other.K_prime, ..Key::of(&key) }.to_product();
    assert!(!mixed.verify(&mary.public, &gid("alice"), &what), "two issues do not mix");
}

#[test]
fn two_users_never_combine_their_keys_whatever_the_split_and_whosever_identifier() {
    let (a, b) = (Authority::new(), Authority::new());
    let rows = [("x@a", &a), ("y@a", &a), ("z@b", &b)];
    let target = Target::new(&rows);
    for split in 0..8 {
        let owner = |i: usize| if split >> i & 1 == 1 { "alice" } else { "bob" };
        let keys: Vec<Key> =
            rows.iter().enumerate().map(|(i, (n, at))| at.issue(owner(i), n)).collect();
        let [alice, bob] = ["alice", "bob"].map(|n| algebra::H(&gid(n)));
        let middle = (alice + bob).into();
        let none = G1Affine::zero();
        for (h, opens) in [(alice, split == 7), (bob, split == 0), (middle, false), (none, false)] {
            assert_eq!(target.opens_with(&target.combine(&keys, h)), opens, "split {split:03b}");
        }
        assert_eq!(target.product_opens(&keys, &gid("alice")), split == 7);
        assert_eq!(target.product_opens(&keys, &gid("bob")), split == 0);
    }
}

#[test]
fn two_users_do_not_combine_by_sums_of_their_keys_either() {
    let (a, b) = (Authority::new(), Authority::new());
    let target = Target::new(&[("x@a", &a), ("z@b", &b)]);
    let (x_alice, x_bob) = (a.issue("alice", "x@a"), a.issue("bob", "x@a"));
    let z_bob = b.issue("bob", "z@b");
    let half = Fr::from(2u64).inverse().unwrap();
    let average = x_alice.times(half).plus(x_bob.times(half));
    let [alice, bob] = ["alice", "bob"].map(|n| algebra::H(&gid(n)));
    for h in [alice, bob, ((alice + bob) * half).into()] {
        for x in [x_alice, average, x_alice.plus(x_bob)] {
            assert!(!target.opens_with(&target.combine(&[x, z_bob], h)));
        }
    }
    assert!(target.opens_with(&target.combine(&[x_bob, z_bob], bob)));
}

#[test]
fn a_key_of_another_label_epoch_or_authority_does_not_open_a_row() {
    let (a, b, stranger) = (Authority::new(), Authority::new(), Authority::new());
    let target = Target::new(&[("x#2@a", &a), ("z@b", &b)]);
    let hash = algebra::H(&gid("alice"));
    let other = b.issue("alice", "z@b");
    let right = a.issue("alice", "x#2@a");
    assert!(target.opens_with(&target.combine(&[right, other], hash)));
    let wrong = [
        a.issue("alice", "y#2@a"),
        a.issue("alice", "x#1@a"),
        a.issue("alice", "x#2@b"),
        a.issue("bob", "x#2@a"),
        stranger.issue("alice", "x#2@a"),
        b.issue("alice", "x#2@a"),
        Key { K_prime: other.K_prime, ..right },
        Key { K: other.K, ..right },
        other,
    ];
    for (i, key) in wrong.into_iter().enumerate() {
        assert!(!target.opens_with(&target.combine(&[key, other], hash)), "key {i}");
        assert!(!target.product_opens(&[key, other], &gid("alice")), "key {i}");
    }
    assert!(!target.opens_with(&target.combine(&[other, right], hash)), "keys in the wrong order");
}

#[test]
fn a_part_of_the_rows_does_not_open_the_clause() {
    let (a, b) = (Authority::new(), Authority::new());
    let rows = [("x@a", &a), ("y@a", &a), ("z@b", &b)];
    let target = Target::new(&rows);
    let keys: Vec<Key> = rows.iter().map(|(n, at)| at.issue("alice", n)).collect();
    let masked = algebra::pair(-algebra::H(&gid("alice")), target.C3());
    for subset in 0..8 {
        let rows = (0..3).filter(|i| subset >> i & 1 == 1);
        let part: Fq12 = rows.map(|i| target.row_value(i, &keys[i])).product();
        assert_eq!(target.opens_with(&(part * masked)), subset == 7, "rows {subset:03b}");
        assert!(!target.opens_with(&part), "without C3");
    }
}

#[test]
fn a_ciphertext_belongs_to_its_rows_and_its_associated_data() {
    fn row<'a>(what: &'a EpochAttribute, authority: &'a AuthorityPublic) -> Row<'a> {
        Row { what, authority }
    }
    let (mary, john) = (Authority::new(), Authority::new());
    let (x, y, z) = (attribute("x@a"), attribute("y@a"), attribute("z@b"));
    let rows = [row(&x, &mary.public), row(&z, &john.public)];
    let alice = gid("alice");
    let key = |at: &Authority, what| at.secret.issue(&alice, what);
    let (kx, ky, kz) = (key(&mary, &x), key(&mary, &y), key(&john, &z));
    let (secret, ct) = dabe::encapsulate(&rows, b"record 1").unwrap();
    let open = |rows: &[Row], keys: &[&AttributeKey], ad: &[u8], ct: &[u8]| {
        dabe::decapsulate(rows, keys, &alice, ad, ct).map(|s| *s.expose())
    };
    assert_eq!(open(&rows, &[&kx, &kz], b"record 1", &ct).unwrap(), *secret.expose());
    for ad in [&b"record 2"[..], b"", b"record 1\0", b"record"] {
        assert_eq!(open(&rows, &[&kx, &kz], ad, &ct).unwrap_err().kind(), Kind::Integrity);
    }
    let others = [row(&y, &mary.public), row(&z, &john.public)];
    assert!(open(&others, &[&ky, &kz], b"record 1", &ct).is_err());
    assert!(open(&rows[..1], &[&kx], b"record 1", &ct).is_err());
    assert!(open(&rows[..1], &[&kx], b"record 1", &ct[..dabe::ciphertext_len(1)]).is_err());
    let (_, longer) = dabe::encapsulate(
        &[row(&x, &mary.public), row(&y, &mary.public), row(&z, &john.public)],
        b"record 1",
    )
    .unwrap();
    assert!(open(&rows, &[&kx, &kz], b"record 1", &longer).is_err());
    let swapped = [&ct[144..288], &ct[..144], &ct[288..]].concat();
    assert!(open(&rows, &[&kx, &kz], b"record 1", &swapped).is_err());
    assert_eq!(open(&rows, &[&kx], b"record 1", &ct).unwrap_err().kind(), Kind::Usage);
}

#[test]
fn every_byte_of_a_ciphertext_counts() {
    let (a, b) = (Authority::new(), Authority::new());
    let target = Target::new(&[("x@a", &a), ("z@b", &b)]);
    let user = gid("alice");
    let keys = [a.issue("alice", "x@a"), b.issue("alice", "z@b")].map(Key::to_product);
    let (rows, ad) = (target.product_rows(), &target.associated_data);
    let open = |ct: &[u8]| dabe::decapsulate(&rows, &[&keys[0], &keys[1]], &user, ad, ct);
    assert!(open(&target.ciphertext).is_ok());
    for at in 0..target.ciphertext.len() {
        for flip in [1 << (at % 8), 0xff] {
            let mut bad = target.ciphertext.clone();
            bad[at] ^= flip;
            let e = open(&bad).err().unwrap_or_else(|| panic!("byte {at} changed by {flip:#x}"));
            assert_eq!(
                (e.kind(), e.to_string()),
                (Kind::Integrity, "a capsule does not open".into())
            );
        }
    }
    for len in [0, 1, 11, 159, 160, 447, 449, 592] {
        let mut bad = target.ciphertext.clone();
        bad.resize(len, 0);
        assert_eq!(open(&bad).err().unwrap().kind(), Kind::Integrity, "{len} bytes");
    }
}

/// Points on the curve that are not in the subgroup of prime order.
fn stray_points() -> (Vec<u8>, Vec<u8>) {
    let first = (1..99u64).filter_map(|x| G1Affine::get_point_from_x_unchecked(Fq::from(x), false));
    let x = |n| Fq2::new(Fq::from(n), Fq::from(1u64));
    let second = (1..99u64).filter_map(|n| G2Affine::get_point_from_x_unchecked(x(n), false));
    let p = first.into_iter().find(|p| !p.is_in_correct_subgroup_assuming_on_curve()).unwrap();
    let q = second.into_iter().find(|q| !q.is_in_correct_subgroup_assuming_on_curve()).unwrap();
    (compressed(p), compressed(q))
}

/// Encodings that must be refused in the place of a 48-byte or 96-byte point.
fn bad_points(len: usize) -> Vec<(&'static str, Vec<u8>)> {
    let (stray1, stray2) = stray_points();
    let infinity = [&[0xc0][..], &vec![0; len - 1]].concat();
    let mut modulus = [&Fq::MODULUS.to_bytes_be()[..], &vec![0; len - 48]].concat();
    modulus[0] |= 0x80;
    let full = [&[0x9f][..], &vec![0xff; len - 1]].concat();
    // No point of either curve has this x: found by search, checked by arkworks.
    let on_curve = |n: u8| {
        let second = Fq2::new(Fq::from(n), Fq::from(0u64));
        if len == 48 {
            G1Affine::get_point_from_x_unchecked(Fq::from(n), true).is_some()
        } else {
            G2Affine::get_point_from_x_unchecked(second, true).is_some()
        }
    };
    let off_curve = (0..=255u8).find(|n| !on_curve(*n)).unwrap();
    let off_curve = [&[0x80][..], &vec![0; len - 2], &[off_curve]].concat();
    vec![
        ("infinity", infinity),
        ("x = p", modulus),
        ("x > p", full),
        ("zero bytes", vec![0; len]),
        ("off the curve", off_curve),
        ("off the subgroup", if len == 48 { stray1 } else { stray2 }),
    ]
}

#[test]
fn points_that_are_wrongly_encoded_are_refused_wherever_they_stand() {
    let a = Authority::new();
    let target = Target::new(&[("x@a", &a)]);
    let key = a.secret.issue(&gid("alice"), &attribute("x@a"));
    let rows = target.product_rows();
    let open = |ct: &[u8]| dabe::decapsulate(&rows, &[&key], &gid("alice"), b"record 1", ct);
    assert!(open(&target.ciphertext).is_ok());
    for (at, len) in [(0, 96), (96, 48), (144, 96)] {
        for (why, bytes) in bad_points(len) {
            let mut bad = target.ciphertext.clone();
            bad[at..at + len].copy_from_slice(&bytes);
            assert!(open(&bad).is_err(), "{why} at {at}");
        }
    }
    for (at, len) in [(0, 48), (48, 96)] {
        for (why, bytes) in bad_points(len) {
            let mut bad = *key.to_secret().expose();
            bad[at..at + len].copy_from_slice(&bytes);
            let e = AttributeKey::from_bytes(&bad).err().unwrap_or_else(|| panic!("{why} at {at}"));
            assert_eq!(e.kind(), Kind::Integrity);
        }
    }
    for (why, bytes) in bad_points(96) {
        let mut bad = a.public.to_bytes();
        bad[576..].copy_from_slice(&bytes);
        assert!(AuthorityPublic::from_bytes(&bad).is_err(), "{why} as Y");
    }
}

#[test]
fn a_public_key_is_checked_when_it_is_read() {
    let a = Authority::new();
    let good = a.public.to_bytes();
    let read = AuthorityPublic::from_bytes(&good).unwrap();
    assert_eq!((read.to_bytes(), read.id()), (good, a.public.id()));
    assert_eq!(read.id(), chartfs::key::hash::sha256(&[&good]));
    let with_e = |e: &[u8]| [e, &good[576..]].concat();
    let mut one = vec![0; 576];
    one[47] = 1;
    assert!(AuthorityPublic::from_bytes(&with_e(&one)).is_err(), "E = 1");
    assert!(AuthorityPublic::from_bytes(&with_e(&[0; 576])).is_err(), "E = 0");
    assert!(AuthorityPublic::from_bytes(&with_e(&[0xff; 576])).is_err(), "not canonical");
    let any = Fq12::new(Fq6::from(5u64), Fq6::from(3u64));
    assert!(AuthorityPublic::from_bytes(&with_e(&algebra::gt_bytes(&any))).is_err(), "any element");
    let power = power(&algebra::pair(G1Affine::generator(), G2Affine::generator()), a.alpha());
    assert_eq!(algebra::gt_bytes(&power), good[..576]);
    for len in [0, 1, AUTHORITY_PUBLIC_LEN - 1, AUTHORITY_PUBLIC_LEN + 1] {
        let mut bad = good.to_vec();
        bad.resize(len, 0);
        assert_eq!(AuthorityPublic::from_bytes(&bad).err().unwrap().kind(), Kind::Integrity);
    }
}

#[test]
fn a_secret_is_two_numbers_in_range() {
    let a = Authority::new();
    let bytes = *a.secret.to_secret().expose();
    let again = AuthoritySecret::from_bytes(&bytes).unwrap();
    assert_eq!(again.public().id(), a.public.id());
    let order: [u8; 32] = Fr::MODULUS.to_bytes_be().try_into().unwrap();
    for half in [0, 32] {
        for bad_half in [[0; 32], order, [0xff; 32]] {
            let mut bad = bytes;
            bad[half..half + 32].copy_from_slice(&bad_half);
            assert_eq!(AuthoritySecret::from_bytes(&bad).err().unwrap().kind(), Kind::Integrity);
        }
    }
    let key = a.secret.issue(&gid("alice"), &attribute("x@a"));
    assert_eq!(key.to_secret().expose().len(), ATTRIBUTE_KEY_LEN);
}

#[test]
fn rows_have_one_order_and_no_repetition() {
    let (a, b) = (Authority::new(), Authority::new());
    let what: Vec<_> = ["x@a", "y@a", "z@b", "x#2@a"].map(attribute).into();
    let row = |i: usize, at| Row { what: &what[i], authority: at };
    let (a, b) = (&a.public, &b.public);
    let refused: [&[Row]; 6] = [
        &[],
        &[row(1, a), row(0, a)],
        &[row(2, b), row(0, a)],
        &[row(0, a), row(0, a)],
        &[row(0, a), row(3, a)],
        &[row(0, a), row(1, b)],
    ];
    for rows in refused {
        let e = dabe::encapsulate(rows, b"").err().unwrap();
        assert_eq!(e.kind(), Kind::Usage);
        assert!(e.why().is_some());
        let e = dabe::decapsulate(rows, &[], &gid("alice"), b"", &[]).err().unwrap();
        assert_eq!(e.kind(), Kind::Usage);
    }
    let names: Vec<_> = (0..33).map(|i| attribute(&format!("a{i:02}@a"))).collect();
    let rows: Vec<Row> = names.iter().map(|what| Row { what, authority: a }).collect();
    assert_eq!(dabe::encapsulate(&rows, b"").err().unwrap().kind(), Kind::Usage);
    assert!(dabe::encapsulate(&rows[1..], b"").is_ok());
}

const KNOWN: &str = include_str!("known_answers/dabe_v1.json");

#[test]
fn known_answers_are_given_again() {
    assert_eq!(compute::dabe_v1(), KNOWN, "the scheme's bytes changed: that is a new version");
}

#[test]
fn known_answers_open_from_their_bytes_alone() {
    let known: serde_json::Value = serde_json::from_str(KNOWN).unwrap();
    let unhex = |v: &serde_json::Value| {
        let text = v.as_str().unwrap();
        let digits = |i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap();
        (0..text.len() / 2).map(digits).collect::<Vec<u8>>()
    };
    let name = |v: &serde_json::Value| {
        let part = |k: &str| v[k].as_str().unwrap().to_owned();
        attribute(&format!("{}#{}@{}", part("name"), v["epoch"], part("authority")))
    };
    let of = |what: &EpochAttribute| {
        let named = |a: &&serde_json::Value| a["name"] == what.attribute.authority.as_str();
        let entry = known["authorities"].as_array().unwrap().iter().find(named).unwrap();
        let public = AuthorityPublic::from_bytes(&unhex(&entry["public"])).unwrap();
        assert_eq!(public.id()[..], unhex(&entry["id"]));
        public
    };
    let gid = Gid(unhex(&known["keys"][0]["gid"]).try_into().unwrap());
    let keys: Vec<_> = known["keys"].as_array().unwrap().iter().collect();
    for capsule in known["capsules"].as_array().unwrap() {
        let names: Vec<_> = capsule["rows"].as_array().unwrap().iter().map(name).collect();
        let publics: Vec<_> = names.iter().map(of).collect();
        let rows: Vec<Row> =
            names.iter().zip(&publics).map(|(what, authority)| Row { what, authority }).collect();
        let mine: Vec<AttributeKey> = rows
            .iter()
            .map(|row| {
                let entry = keys.iter().find(|k| name(&k["attribute"]) == *row.what).unwrap();
                let key: [u8; 144] = unhex(&entry["key"]).try_into().unwrap();
                let key = AttributeKey::from_bytes(&key).unwrap();
                assert!(key.verify(row.authority, &gid, row.what));
                key
            })
            .collect();
        let mine: Vec<&AttributeKey> = mine.iter().collect();
        let (ad, ct) = (unhex(&capsule["associated_data"]), unhex(&capsule["ciphertext"]));
        let secret = dabe::decapsulate(&rows, &mine, &gid, &ad, &ct).unwrap();
        assert_eq!(secret.expose()[..], unhex(&capsule["secret"]));
    }
}
