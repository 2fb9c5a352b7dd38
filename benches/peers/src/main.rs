//! Measures chartfs beside rabe 0.4.2 in one run and prints `name=value` lines, microseconds.
//!
//! All of rabe's multi-authority schemes are broken (`tests/attacks_dabe.rs` tells how); they are
//! what a project in Rust would otherwise take. Each figure is the least of several runs, which
//! other load on the machine disturbs least.

use std::hint::black_box;
use std::time::Instant;

use chartfs::key::attribute::{Attribute, Epoch, EpochAttribute, Gid};
use chartfs::key::dabe::{self, AttributeKey, AuthorityPublic, AuthoritySecret, Row};
use rabe::schemes::{aw11, bdabe, mke08};
use rabe::utils::policy::pest::PolicyLanguage::JsonPolicy;

const RUNS: usize = 60;
/// The attributes of a clause come from so many authorities at most.
const AUTHORITIES: usize = 3;
const PLAINTEXT: &[u8; 32] = &[7; 32];

/// Returns the least time of one call, in microseconds.
fn least<T>(mut call: impl FnMut() -> T) -> f64 {
    let once = |_| {
        let start = Instant::now();
        black_box(call());
        start.elapsed().as_secs_f64() * 1e6
    };
    (0..RUNS).map(once).fold(f64::INFINITY, f64::min)
}

/// Times of one scheme for one policy.
struct Figures {
    encrypt: f64,
    decrypt: f64,
}

fn leaf(name: &String) -> String {
    format!(r#"{{"name": "{name}"}}"#)
}

fn both(children: &str) -> String {
    format!(r#"{{"name": "and", "children": [{children}]}}"#)
}

/// Writes a conjunction for mke08 and bdabe, which refuse one inside another.
fn flat(names: &[String]) -> String {
    match names {
        [only] => leaf(only),
        _ => both(&names.iter().map(leaf).collect::<Vec<_>>().join(", ")),
    }
}

/// Writes a conjunction for aw11, which panics at three children.
fn nested(names: &[String]) -> String {
    let (first, rest) = names.split_first().expect("at least one attribute");
    rest.iter().fold(leaf(first), |tree, n| both(&format!("{}, {tree}", leaf(n))))
}

fn letter(i: usize) -> char {
    char::from(b'A' + u8::try_from(i).expect("fewer than 26 attributes"))
}

fn measure_chartfs(count: usize) -> Figures {
    let authorities: Vec<(AuthoritySecret, AuthorityPublic)> = (0..AUTHORITIES)
        .map(|_| {
            let secret = AuthoritySecret::generate();
            let public = secret.public();
            (secret, public)
        })
        .collect();
    let mut which: Vec<usize> = (0..count).map(|i| i % AUTHORITIES).collect();
    which.sort_unstable();
    let name = |i, at| -> Attribute { format!("attribute{i}@h{at}").parse().expect("a name") };
    let what: Vec<_> = (0..count)
        .map(|i| EpochAttribute { attribute: name(i, which[i]), epoch: Epoch(1) })
        .collect();
    let gid = Gid::of(&[1; 32]);
    let keys: Vec<AttributeKey> =
        what.iter().zip(&which).map(|(w, at)| authorities[*at].0.issue(&gid, w)).collect();
    let keys: Vec<&AttributeKey> = keys.iter().collect();
    let rows: Vec<Row<'_>> = what
        .iter()
        .zip(&which)
        .map(|(what, at)| Row { what, authority: &authorities[*at].1 })
        .collect();
    let (secret, ciphertext) = dabe::encapsulate(&rows, b"").expect("canonical rows");
    let open = || dabe::decapsulate(&rows, &keys, &gid, b"", &ciphertext).expect("it opens");
    assert_eq!(open().expose(), secret.expose());
    Figures { encrypt: least(|| dabe::encapsulate(&rows, b"")), decrypt: least(open) }
}

fn measure_mke08(count: usize) -> Figures {
    let (pk, msk) = mke08::setup();
    let mut user = mke08::keygen(&pk, &msk, "user");
    let names: Vec<String> =
        (0..count).map(|i| format!("auth{}::{}", i % AUTHORITIES, letter(i))).collect();
    let mut public = Vec::new();
    let authorities: Vec<_> =
        (0..AUTHORITIES).map(|i| mke08::authgen(&format!("auth{i}"))).collect();
    for (name, authority) in names.iter().zip(authorities.iter().cycle()) {
        public.push(mke08::request_authority_pk(&pk, name, authority).expect("a public key"));
        let key = mke08::request_authority_sk(&user.pk, name, authority).expect("a key");
        user.sk_a.push(key);
    }
    let public: Vec<_> = public.iter().collect();
    let policy = flat(&names);
    let seal = || mke08::encrypt(&pk, &public, &policy, JsonPolicy, PLAINTEXT).expect("sealed");
    let sealed = seal();
    let open = || mke08::decrypt(&user, &sealed).expect("it opens");
    assert_eq!(open(), PLAINTEXT);
    Figures { encrypt: least(seal), decrypt: least(open) }
}

fn measure_bdabe(count: usize) -> Figures {
    let (pk, msk) = bdabe::setup();
    let names: Vec<String> =
        (0..count).map(|i| format!("auth{}::{}", i % AUTHORITIES, letter(i))).collect();
    let authorities: Vec<_> =
        (0..AUTHORITIES).map(|i| bdabe::authgen(&pk, &msk, &format!("auth{i}"))).collect();
    let mut user = bdabe::keygen(&pk, &authorities[0], "user");
    let mut public = Vec::new();
    for (name, authority) in names.iter().zip(authorities.iter().cycle()) {
        public.push(bdabe::request_attribute_pk(&pk, authority, name).expect("a public key"));
        let key = bdabe::request_attribute_sk(&user.pk, authority, name).expect("a key");
        user.sk_a.push(key);
    }
    let public: Vec<_> = public.iter().collect();
    let policy = flat(&names);
    let seal = || bdabe::encrypt(&pk, &public, &policy, JsonPolicy, PLAINTEXT).expect("sealed");
    let sealed = seal();
    let open = || bdabe::decrypt(&user, &sealed).expect("it opens");
    assert_eq!(open(), PLAINTEXT);
    Figures { encrypt: least(seal), decrypt: least(open) }
}

fn measure_aw11(count: usize) -> Figures {
    let global = aw11::setup();
    let names: Vec<String> = (0..count).map(|i| letter(i).to_string()).collect();
    let authorities: Vec<_> = names
        .iter()
        .map(|n| aw11::authgen(&global, &[n.as_str()]).expect("an authority"))
        .collect();
    let first = &authorities[0].1;
    let mut user = aw11::keygen(&global, first, "user", &[&names[0]]).expect("a key");
    for (name, (_, secret)) in names.iter().zip(&authorities).skip(1) {
        aw11::add_to_attribute(&global, secret, name, &mut user).expect("a key");
    }
    let public: Vec<_> = authorities.iter().map(|(public, _)| public).collect();
    let policy = nested(&names);
    let seal = || aw11::encrypt(&global, &public, &policy, JsonPolicy, PLAINTEXT).expect("sealed");
    let sealed = seal();
    let open = || aw11::decrypt(&global, &user, &sealed).expect("it opens");
    assert_eq!(open(), PLAINTEXT);
    Figures { encrypt: least(seal), decrypt: least(open) }
}

fn main() {
    type Measure = fn(usize) -> Figures;
    let peers: [(&str, Measure); 3] =
        [("mke08", measure_mke08), ("bdabe", measure_bdabe), ("aw11", measure_aw11)];
    for count in [1, 2, 5] {
        let ours = measure_chartfs(count);
        println!("chartfs_encrypt_and_{count}_us={:.0}", ours.encrypt);
        println!("chartfs_decrypt_and_{count}_us={:.0}", ours.decrypt);
        for (name, measure) in peers {
            let theirs = measure(count);
            println!("{name}_encrypt_and_{count}_us={:.0}", theirs.encrypt);
            println!("{name}_decrypt_and_{count}_us={:.0}", theirs.decrypt);
            println!(
                "{name}_over_chartfs_encrypt_and_{count}={:.1}",
                theirs.encrypt / ours.encrypt
            );
            println!(
                "{name}_over_chartfs_decrypt_and_{count}={:.1}",
                theirs.decrypt / ours.decrypt
            );
        }
    }
}
