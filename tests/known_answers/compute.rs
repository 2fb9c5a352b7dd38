//! Computes the known answers of the scheme from inputs that everybody can make.

use chartfs::key::attribute::{Attribute, Epoch, EpochAttribute, Gid};
use chartfs::key::dabe::{AuthoritySecret, Row, encapsulate_with_seed};
use chartfs::key::hash::sha256;
use chartfs::key::secret::Secret;
use serde_json::{Value, json};

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut out, b| {
        write!(out, "{b:02x}").expect("writing to a string cannot fail");
        out
    })
}

/// Returns 32 bytes for a label, below the group order when read big-endian.
fn bytes(label: &str) -> [u8; 32] {
    let mut out = sha256(&[b"known answer ", label.as_bytes()]);
    out[0] &= 0x3f;
    out
}

fn secret(authority: &str) -> [u8; 64] {
    let halves = [bytes(&format!("{authority} alpha")), bytes(&format!("{authority} y"))];
    halves.concat().try_into().expect("two times 32 bytes")
}

fn authority(name: &str) -> AuthoritySecret {
    AuthoritySecret::from_bytes(&secret(name)).expect("the numbers are in range")
}

fn parse((text, epoch): (&str, u32)) -> EpochAttribute {
    let attribute: Attribute = text.parse().expect("an attribute");
    EpochAttribute { attribute, epoch: Epoch(epoch) }
}

fn name(what: &EpochAttribute) -> Value {
    let Attribute { name, authority } = &what.attribute;
    json!({ "authority": authority.as_str(), "name": name.as_str(), "epoch": what.epoch.0 })
}

fn key(gid: &Gid, what: &EpochAttribute) -> Value {
    let seed = bytes(&format!("{what} key seed"));
    let issuer = authority(what.attribute.authority.as_str());
    let key = issuer.issue_with_seed(gid, what, &Secret::new(seed));
    let key = hex(key.to_secret().expose());
    json!({ "attribute": name(what), "gid": hex(&gid.0), "seed": hex(&seed), "key": key })
}

fn capsule(rows: &[(&str, u32)], associated_data: &[u8]) -> Value {
    let rows: Vec<EpochAttribute> = rows.iter().copied().map(parse).collect();
    let public: Vec<_> =
        rows.iter().map(|r| authority(r.attribute.authority.as_str()).public()).collect();
    let given: Vec<Row<'_>> =
        rows.iter().zip(&public).map(|(what, authority)| Row { what, authority }).collect();
    let seed = bytes(&format!("{} rows seed", rows.len()));
    let (secret, ciphertext) =
        encapsulate_with_seed(&given, associated_data, &Secret::new(seed)).expect("canonical rows");
    json!({
        "rows": rows.iter().map(name).collect::<Vec<_>>(),
        "associated_data": hex(associated_data),
        "seed": hex(&seed),
        "ciphertext": hex(&ciphertext),
        "secret": hex(secret.expose()),
    })
}

/// Returns the file of known answers of version 1.
pub(crate) fn dabe_v1() -> String {
    let authorities = ["pharmacy-board", "st-mary"].map(|name| {
        let public = authority(name).public();
        let (id, public) = (hex(&public.id()), hex(&public.to_bytes()));
        json!({ "name": name, "secret": hex(&secret(name)), "public": public, "id": id })
    });
    let attributes =
        [("licensed@pharmacy-board", 12), ("on-duty@st-mary", 1), ("physician@st-mary", 3)];
    let gid = Gid::of(&bytes("signing key"));
    let answers = json!({
        "suite": "CHARTFS-MAABE-V1",
        "authorities": authorities,
        "keys": attributes.map(|a| key(&gid, &parse(a))),
        "capsules": [
            capsule(&attributes[..1], b""),
            capsule(&[attributes[0], attributes[2]], b"record 1"),
            capsule(&attributes, b"associated data of three rows"),
        ],
    });
    serde_json::to_string_pretty(&answers).expect("a value of strings and numbers") + "\n"
}
