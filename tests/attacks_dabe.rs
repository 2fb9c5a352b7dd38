//! Attacks that worked on published schemes and libraries, each tried on this one.
//!
//! Every story names what was broken elsewhere: `rabe` 0.4.2 with its schemes mke08, bdabe and
//! aw11, the circl library's tkn20, or a shortcut that the literature warns of. The adversary
//! computes on points (`algebra`), not through the API, and each test also shows the honest
//! opening, so that none passes because everything fails.

#![allow(clippy::unwrap_used, non_snake_case)]

mod algebra;

use algebra::{
    Authority, F, H, Key, Target, attribute, compressed, gid, pair, power, public_number,
};
use ark_bls12_381::{Fq12, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{Field, One};
use chartfs::error::Kind;
use chartfs::key::attribute::{Attribute, AuthorityId, Gid};
use chartfs::key::dabe::{self, AuthorityPublic, AuthoritySecret, Row};
use chartfs::key::hash::sha256;
use chartfs::key::policy::{Policy, explain};

/// M1. mke08's attribute secrets are a public hash times a common secret, so the janitor
/// multiplies by h(psychiatrist) / h(janitor).
#[test]
fn m1_a_key_is_not_turned_into_the_key_of_another_attribute_of_its_authority() {
    let a = Authority::new();
    let target = Target::new(&[("psychiatrist@a", &a)]);
    let h = H(&gid("mallory"));
    let held = a.issue("mallory", "janitor@a");
    let (from, to) = (attribute("janitor@a"), attribute("psychiatrist@a"));
    let ratio = public_number("psychiatrist") * public_number("janitor").inverse().unwrap();
    let apart = F(&to).into_group() - F(&from);
    let forged = [
        held,
        held.times(ratio),
        Key { K: (held.K * ratio).into(), ..held },
        held.shifted(apart),
        held.shifted(apart * ratio),
        Key { K: held.shifted(F(&to)).K, K_prime: G2Affine::generator() },
    ];
    for (i, key) in forged.iter().enumerate() {
        assert!(!target.opens_with(&target.combine(&[*key], h)), "forgery {i}");
        assert!(!key.to_product().verify(&a.public, &gid("mallory"), &to), "forgery {i}");
    }
    let honest = a.issue("mallory", "psychiatrist@a");
    assert!(target.opens_with(&target.combine(&[honest], h)));
}

/// B1. The same on bdabe, across authorities: the hash of the authority's name is a factor too.
#[test]
fn b1_a_key_is_not_turned_into_the_key_of_another_authority() {
    let (a, b) = (Authority::new(), Authority::new());
    let target = Target::new(&[("nurse@b", &b)]);
    let h = H(&gid("mallory"));
    let held = a.issue("mallory", "nurse@a");
    let ratio = public_number("b") * public_number("a").inverse().unwrap();
    for key in [held, held.times(ratio), Key { K: (held.K * ratio).into(), ..held }] {
        assert!(!target.opens_with(&target.combine(&[key], h)));
        assert!(!key.to_product().verify(&b.public, &gid("mallory"), &attribute("nurse@b")));
    }
    assert!(target.opens_with(&target.combine(&[b.issue("mallory", "nurse@b")], h)));
}

/// M2. rabe's compiler of `(A and B) or (C and D)` gave `C`, `D` and `A and B`.
#[test]
fn m2_the_second_conjunction_of_a_policy_is_not_split() {
    let policy = Policy::parse("(a@x and b@x) or (c@x and d@x)", None).unwrap();
    let clauses: Vec<String> = policy.clauses().iter().map(ToString::to_string).collect();
    assert_eq!(clauses, ["a@x and b@x", "c@x and d@x"]);
    let x = Authority::new();
    let h = H(&gid("mallory"));
    for clause in policy.clauses() {
        let names: Vec<String> = clause.attributes().iter().map(ToString::to_string).collect();
        let rows: Vec<_> = names.iter().map(|n| (n.as_str(), &x)).collect();
        let target = Target::new(&rows);
        let masked = pair(-H(&gid("mallory")), target.C3());
        let keys: Vec<Key> = names.iter().map(|n| x.issue("mallory", n)).collect();
        for (i, key) in keys.iter().enumerate() {
            assert!(!target.opens_with(&(target.row_value(i, key) * masked)));
            assert!(!target.opens_with(&target.combine(&[*key, *key], h)));
        }
        assert!(target.opens_with(&target.combine(&keys, h)));
    }
}

/// M3. mke08 dropped an attribute of the conjunction when its public key was not at hand. Here a
/// row cannot be without a key, and a capsule for `A and B` is none for `A`.
#[test]
fn m3_an_attribute_is_not_dropped_from_a_conjunction() {
    let (a, b) = (Authority::new(), Authority::new());
    let target = Target::new(&[("doctor@a", &a), ("on-duty@b", &b)]);
    let mallory = gid("mallory");
    let held = a.issue("mallory", "doctor@a");
    let alone = target.row_value(0, &held) * pair(-H(&mallory), target.C3());
    assert!(!target.opens_with(&alone));
    let what = attribute("doctor@a");
    let rows = [Row { what: &what, authority: &a.public }];
    let cut = [&target.ciphertext[..144], &target.ciphertext[288..]].concat();
    let opened = dabe::decapsulate(&rows, &[&held.to_product()], &mallory, b"record 1", &cut);
    assert_eq!(opened.err().unwrap().kind(), Kind::Integrity);
    let both = [held, b.issue("mallory", "on-duty@b")];
    assert!(target.product_opens(&both, &mallory));
}

/// M3b. With no public keys at all, mke08 "encrypted" to no conjunction and lost the data.
#[test]
fn m3b_there_is_no_capsule_for_nothing() {
    assert_eq!(dabe::encapsulate(&[], b"").err().unwrap().kind(), Kind::Usage);
    for empty in ["", " ", "()", "2 of ()"] {
        assert_eq!(Policy::parse(empty, None).unwrap_err().kind(), Kind::Usage, "{empty:?}");
    }
}

/// M4 and B2. mke08's central master opened everything; every bdabe authority did. Here an
/// authority with its whole secret mints any of its own keys and still lacks the other's.
#[test]
fn m4_b2_no_authority_opens_what_also_needs_another() {
    let (a, b) = (Authority::new(), Authority::new());
    let target = Target::new(&[("doctor@a", &a), ("consent@b", &b)]);
    let mallory = gid("mallory");
    let h = H(&mallory);
    let own = a.issue("mallory", "doctor@a");
    let for_b = a.issue("mallory", "consent@b");
    assert!(!target.opens_with(&target.combine(&[own, for_b], h)));
    // With alpha and y it strips its own share from the equation exactly, without any key.
    let share = power(&pair(G1Affine::generator(), target.C2(0)), a.alpha());
    let identifier = pair(h, target.C2(0));
    let rest = share * power(&identifier, a.y()) * pair(-h, target.C3());
    assert!(!target.opens_with(&share) && !target.opens_with(&rest));
    // A second authority of the realm that is not in the clause has nothing to strip at all.
    let c = Authority::new();
    let keys = [c.issue("mallory", "doctor@a"), c.issue("mallory", "consent@b")];
    assert!(!target.opens_with(&target.combine(&keys, h)));
    let stranger = power(&pair(G1Affine::generator(), target.C2(1)), c.alpha());
    assert!(!target.opens_with(&(share * stranger)));
    let both = power(&pair(G1Affine::generator(), target.C2(1)), b.alpha());
    assert!(target.opens_with(&(share * both)), "both authorities together do open");
}

/// A1. aw11 in rabe hashed an identifier to g^hash: with the logarithms known, two holders of one
/// attribute solve for the authority's secrets and mint the attribute for anyone.
#[test]
fn a1_two_holders_do_not_mint_an_attribute_for_a_third() {
    let (a, b) = (Authority::new(), Authority::new());
    let target = Target::new(&[("doctor@a", &a), ("nurse@b", &b)]);
    let [h1, h2, h3] = ["alice", "bob", "carol"].map(|n| public_number(&gid(n).to_string()));
    // Weights that sum to 1 and would take the two public logarithms to the third.
    let weight = (h3 - h2) * (h1 - h2).inverse().unwrap();
    let mixed = |at: &Authority, what: &str| {
        at.issue("alice", what).times(weight).plus(at.issue("bob", what).times(Fr::one() - weight))
    };
    let minted = mixed(&a, "doctor@a");
    let carol = gid("carol");
    assert!(!minted.to_product().verify(&a.public, &carol, &attribute("doctor@a")));
    let own = b.issue("carol", "nurse@b");
    assert!(!target.opens_with(&target.combine(&[minted, own], H(&carol))));
    assert!(target.product_opens(&[a.issue("carol", "doctor@a"), own], &carol));
    // The hash is not the generator times any number that the public hashes give.
    for n in ["carol", &carol.to_string()] {
        assert_ne!(compressed(H(&carol)), compressed(G1Affine::generator() * public_number(n)));
    }
}

/// A2. aw11 cut names at `_`: a policy on `HOSP_ADMIN` was encrypted under `HOSP`.
#[test]
fn a2_a_name_is_never_cut() {
    let a = Authority::new();
    let policy = Policy::parse("hosp_admin@a", None).unwrap();
    assert_eq!(policy.clauses()[0].attributes()[0].name.as_str(), "hosp_admin");
    let target = Target::new(&[("hosp_admin@a", &a)]);
    let h = H(&gid("mallory"));
    for other in ["hosp@a", "admin@a", "hosp_@a", "hosp_admi@a", "hosp-admin@a", "hosp.admin@a"] {
        assert!(!target.opens_with(&target.combine(&[a.issue("mallory", other)], h)), "{other}");
    }
    assert!(target.opens_with(&target.combine(&[a.issue("mallory", "hosp_admin@a")], h)));
    // Nor do names run into each other: (ab, c) and (a, bc), label and epoch.
    assert_ne!(F(&attribute("c@ab")), F(&attribute("bc@a")));
    assert_ne!(F(&attribute("a#11@x")), F(&attribute("a1#1@x")));
    assert!("a#1@x".parse::<Attribute>().is_err(), "the epoch's mark is not part of a name");
}

/// A3. aw11 named leaves by their column: the same attribute in the same column of another line
/// of the policy failed for those who hold it.
#[test]
fn a3_an_attribute_may_return_anywhere_in_a_policy() {
    let a = Authority::new();
    let text = "(x@a and y@a)\n or \n(x@a and z@a)\n or (x@a and x@a and w@a)";
    let policy = Policy::parse(text, None).unwrap();
    assert_eq!(policy.clauses().len(), 3);
    for clause in policy.clauses() {
        let names: Vec<String> = clause.attributes().iter().map(ToString::to_string).collect();
        let target = Target::new(&names.iter().map(|n| (n.as_str(), &a)).collect::<Vec<_>>());
        let keys: Vec<Key> = names.iter().map(|n| a.issue("alice", n)).collect();
        assert!(target.product_opens(&keys, &gid("alice")), "{clause}");
    }
}

/// A5. A lower-case attribute in an aw11 policy gave a ciphertext that nobody opens, and a panic
/// when a key was made for it. Here one spelling exists and the other is an error that says so.
#[test]
fn a5_a_name_in_the_wrong_case_is_an_error_at_once() {
    for text in ["Doctor@a", "doctor@A", "DOCTOR@A", "a@a or Doctor@a"] {
        let e = Policy::parse(text, None).unwrap_err();
        assert_eq!(e.kind(), Kind::Usage);
        assert!(e.why().unwrap().starts_with("a name is made of a to z"), "{text}");
        assert!(text.parse::<Attribute>().is_err());
    }
}

/// C1. rabe's ciphertexts are malleable. The strongest mauling keeps the message: raise the
/// randomness of a row by d and correct every part, as only encryption again can tell.
#[test]
fn c1_a_ciphertext_cannot_be_mauled_into_another() {
    let a = Authority::new();
    let mut target = Target::new(&[("doctor@a", &a)]);
    let keys = [a.issue("alice", "doctor@a")];
    let alice = gid("alice");
    assert!(target.product_opens(&keys, &alice));
    let d = public_number("d");
    let what = attribute("doctor@a");
    let old_Z = target.combine(&keys, H(&alice));
    let C2 = target.C2(0) + G2Affine::generator() * d;
    let C4 = target.C4(0) + F(&what) * d;
    let C3 = target.C3() + a.Y() * d;
    let E = power(&pair(G1Affine::generator(), G2Affine::generator()), a.alpha());
    let tail = target.ciphertext[240..].to_vec();
    target.ciphertext = [compressed(C2), compressed(C4), compressed(C3), tail].concat();
    let new_Z = target.combine(&keys, H(&alice));
    assert_eq!(new_Z, old_Z * power(&E, d), "the mauled points are consistent");
    assert!(!target.product_opens(&keys, &alice));
    // One who knows the seed masks it anew under the mauled points: with the commitment to those
    // points, or with the honest one. Both fail, as the points are a function of the seed.
    let honest = Target::with_seed(&[("doctor@a", &a)], &[7; 32]);
    let points = target.ciphertext[..240].to_vec();
    target.forge(&points, &new_Z, &[7; 32]);
    assert!(target.opens_with(&new_Z), "the forgery is right in all but its randomness");
    assert!(!target.product_opens(&keys, &alice));
    target.ciphertext.splice(272.., honest.ciphertext[272..].iter().copied());
    target.secret = honest.secret;
    assert!(!target.product_opens(&keys, &alice));
    assert!(honest.product_opens(&keys, &alice));
}

/// C2. rabe's policy was a string beside the ciphertext that anyone could rewrite.
#[test]
fn c2_a_capsule_opens_only_under_the_clause_that_it_was_made_for() {
    let (a, b) = (Authority::new(), Authority::new());
    let target = Target::new(&[("doctor@a", &a)]);
    let alice = gid("alice");
    let held = a.issue("alice", "doctor@a").to_product();
    let open = |text: &str, authority: &AuthorityPublic| {
        let what = attribute(text);
        let rows = [Row { what: &what, authority }];
        dabe::decapsulate(&rows, &[&held], &alice, b"record 1", &target.ciphertext)
    };
    assert!(open("doctor@a", &a.public).is_ok());
    // The key is right in each: only the text of the clause is another.
    for text in ["doctor#2@a", "nurse@a", "doctor@b"] {
        assert_eq!(open(text, &a.public).err().unwrap().kind(), Kind::Integrity, "{text}");
    }
    assert!(open("doctor@a", &b.public).is_err(), "another public key under the same name");
}

/// C3. A rabe ciphertext with an empty list of conjunctions opened for everyone with one constant
/// key. Its like here would be rows of identity points, whose Z is 1 for every key.
#[test]
fn c3_nobody_forges_a_capsule_that_every_key_opens() {
    let a = Authority::new();
    let mut target = Target::new(&[("doctor@a", &a)]);
    let second = compressed(G2Affine::zero());
    let points = [&second[..], &compressed(G1Affine::zero()), &second].concat();
    target.forge(&points, &Fq12::one(), &[1; 32]);
    assert!(target.opens_with(&Fq12::one()), "the forgery is right in all but its points");
    for user in ["alice", "bob"] {
        assert!(!target.product_opens(&[a.issue(user, "doctor@a")], &gid(user)));
    }
    let what = attribute("doctor@a");
    let rows = [Row { what: &what, authority: &a.public }];
    let key = a.secret.issue(&gid("alice"), &what);
    for len in [0, 64, 160] {
        assert!(dabe::decapsulate(&rows, &[&key], &gid("alice"), b"", &vec![0; len]).is_err());
    }
}

/// P. Texts, names and ciphertexts that made rabe panic, and a few like them.
#[test]
fn p_what_made_others_panic_is_an_answer_here() {
    let patient: AuthorityId = "p".parse().unwrap();
    let three = Policy::parse("a@x and b@x and c@x", None).unwrap();
    assert_eq!(three.clauses()[0].attributes().len(), 3);
    for text in
        ["1", "1 and 2", "a@x and ()", "(a@x) and (", "and", "2 of (a@x)", "{}", "@", "a@x and"]
    {
        assert_eq!(Policy::parse(text, Some(&patient)).unwrap_err().kind(), Kind::Usage, "{text}");
        assert!(explain(text, None, &|_| true).is_err());
    }
    // rabe's parser doubled its time with each parenthesis; this one refuses the 33rd.
    assert!(Policy::parse(&"(".repeat(10_000), None).is_err());
    let a = Authority::new();
    let key = a.secret.issue(&gid("alice"), &attribute("a@x"));
    let what = attribute("a@x");
    let rows = [Row { what: &what, authority: &a.public }];
    for len in 0..=dabe::ciphertext_len(1) + 1 {
        for fill in [0, 0xff, 0x80] {
            let junk = vec![fill; len];
            assert!(dabe::decapsulate(&rows, &[&key], &gid("alice"), b"", &junk).is_err());
        }
    }
    assert!(AuthorityPublic::from_bytes(&[]).is_err());
    assert!(AuthoritySecret::from_bytes(&[0; 64]).is_err());
}

/// A rogue authority publishes the inverse of another's key times one that it knows. Where rows
/// share their randomness the two cancel, and it opens the conjunction of both with no key.
#[test]
fn a_rogue_public_key_does_not_cancel_another() {
    let honest = Authority::new();
    let k = public_number("rogue");
    let E = power(&pair(G1Affine::generator(), G2Affine::generator()), k - honest.alpha());
    let Y = G2Affine::generator() * k + -honest.Y();
    let bytes = [algebra::gt_bytes(&E), compressed(Y)].concat();
    let public = AuthorityPublic::from_bytes(&bytes).unwrap();
    let rogue = Authority { public, secret: AuthoritySecret::generate() };
    let target = Target::new(&[("x@a", &honest), ("y@b", &rogue)]);
    let known = |row: usize| power(&pair(G1Affine::generator(), target.C2(row)), k);
    assert_ne!(target.C2(0), target.C2(1), "every row has its own randomness");
    let by_C3 = pair(G1Affine::generator(), target.C3());
    for guess in [known(0), known(1), known(0) * known(1), by_C3, known(0) / known(1)] {
        assert!(!target.opens_with(&guess));
    }
    let honest_share = power(&pair(G1Affine::generator(), target.C2(0)), honest.alpha());
    let rogue_share = power(&pair(G1Affine::generator(), target.C2(1)), k - honest.alpha());
    assert!(target.opens_with(&(honest_share * rogue_share)));
}

/// circl's tkn20 gave one child of an `and` the whole secret; a check of the API hid it for years.
#[test]
fn no_row_of_a_conjunction_carries_the_whole_secret() {
    let (a, b) = (Authority::new(), Authority::new());
    let target = Target::new(&[("x@a", &a), ("y@b", &b)]);
    let hash = H(&gid("alice"));
    let (x, y) = (a.issue("alice", "x@a"), b.issue("alice", "y@b"));
    let [row0, row1] = [target.row_value(0, &x), target.row_value(1, &y)];
    let masked = pair(-hash, target.C3());
    let own = |row: usize, at: &Authority| power(&pair(-hash, target.C2(row)), at.y());
    for part in [row0, row1, row0 * masked, row1 * masked, row0 * own(0, &a), row1 * own(1, &b)] {
        assert!(!target.opens_with(&part));
    }
    assert!(target.opens_with(&target.combine(&[x, y], hash)));
}

/// The identifier is the hash of a signing key: two users cannot choose one.
#[test]
fn an_identifier_belongs_to_one_signing_key() {
    assert_ne!(Gid::of(&[1; 32]), Gid::of(&[2; 32]));
    assert_ne!(Gid::of(&[1; 32]).0, sha256(&[&[1; 32]]), "the hash is labelled");
    assert!(!H(&Gid::of(&[1; 32])).is_zero());
}
