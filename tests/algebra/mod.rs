//! An adversary's own implementation of the scheme, on arkworks and from the written
//! specification alone: it computes with keys and ciphertexts whatever it likes and asks no API
//! for leave. What it cannot open, nobody opens by calling something else.

#![allow(dead_code, non_snake_case, clippy::unwrap_used)]

use ark_bls12_381::g1::Config as G1Config;
use ark_bls12_381::{Bls12_381, Fq, Fq12, Fr, G1Affine, G2Affine};
use ark_ec::hashing::curve_maps::wb::WBMap;
use ark_ec::hashing::map_to_curve_hasher::MapToCurve;
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, Field, PrimeField};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use chartfs::key::attribute::{EpochAttribute, Gid};
use chartfs::key::dabe::{self, AttributeKey, AuthorityPublic, AuthoritySecret, Row};
use chartfs::key::hash::sha256;
use chartfs::key::secret::Secret;

pub(crate) const GID_DST: &str = "CHARTFS-MAABE-V1-GID-BLS12381G1_XMD:SHA-256_SSWU_RO_";
pub(crate) const ATTR_DST: &str = "CHARTFS-MAABE-V1-ATTR-BLS12381G1_XMD:SHA-256_SSWU_RO_";

/// Makes `physician#3@st-mary` of its text.
pub(crate) fn attribute(text: &str) -> EpochAttribute {
    let (name, rest) = text.split_once('#').unwrap_or((text.split_once('@').unwrap().0, ""));
    let epoch = rest.split_once('@').map_or(1, |(n, _)| n.parse().unwrap());
    let authority = text.split_once('@').unwrap().1;
    EpochAttribute {
        attribute: format!("{name}@{authority}").parse().unwrap(),
        epoch: chartfs::key::attribute::Epoch(epoch),
    }
}

/// Makes the identifier of a user called `name`.
pub(crate) fn gid(name: &str) -> Gid {
    Gid::of(&sha256(&[name.as_bytes()]))
}

/// `expand_message_xmd` of RFC 9380 with SHA-256.
pub(crate) fn expand(message: &[u8], dst: &str, len: usize) -> Vec<u8> {
    let dst_prime = [dst.as_bytes(), &[u8::try_from(dst.len()).unwrap()]].concat();
    let len_bytes = u16::try_from(len).unwrap().to_be_bytes();
    let b0 = sha256(&[&[0; 64], message, &len_bytes, &[0], &dst_prime]);
    let mut block = sha256(&[&b0, &[1], &dst_prime]);
    let mut out = block.to_vec();
    for i in 2..=u8::try_from(len.div_ceil(32)).unwrap() {
        let mixed: Vec<u8> = b0.iter().zip(block).map(|(a, b)| a ^ b).collect();
        block = sha256(&[&mixed, &[i], &dst_prime]);
        out.extend(block);
    }
    out.truncate(len);
    out
}

/// `hash_to_curve` of RFC 9380, suite BLS12381G1_XMD:SHA-256_SSWU_RO_.
pub(crate) fn hash_to_g1(message: &[u8], dst: &str) -> G1Affine {
    let wide = expand(message, dst, 128);
    let map =
        |half: &[u8]| WBMap::<G1Config>::map_to_curve(Fq::from_be_bytes_mod_order(half)).unwrap();
    (map(&wide[..64]) + map(&wide[64..])).into_affine().clear_cofactor()
}

pub(crate) fn H(gid: &Gid) -> G1Affine {
    hash_to_g1(&gid.0, GID_DST)
}

fn encoded(what: &EpochAttribute) -> Vec<u8> {
    let label = what.label();
    let mut out = Vec::new();
    for text in [what.attribute.authority.as_str(), &label] {
        out.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
        out.extend(text.as_bytes());
    }
    out
}

pub(crate) fn F(what: &EpochAttribute) -> G1Affine {
    hash_to_g1(&encoded(what), ATTR_DST)
}

/// An authority as both sides see it.
pub(crate) struct Authority {
    pub(crate) secret: AuthoritySecret,
    pub(crate) public: AuthorityPublic,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let secret = AuthoritySecret::generate();
        Self { public: secret.public(), secret }
    }

    pub(crate) fn alpha(&self) -> Fr {
        Fr::from_be_bytes_mod_order(&self.secret.to_secret().expose()[..32])
    }

    pub(crate) fn y(&self) -> Fr {
        Fr::from_be_bytes_mod_order(&self.secret.to_secret().expose()[32..])
    }

    pub(crate) fn Y(&self) -> G2Affine {
        G2Affine::deserialize_compressed(&self.public.to_bytes()[576..]).unwrap()
    }

    pub(crate) fn issue(&self, user: &str, what: &str) -> Key {
        Key::of(&self.secret.issue(&gid(user), &attribute(what)))
    }
}

/// An attribute key, its points in the open.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) K: G1Affine,
    pub(crate) K_prime: G2Affine,
}

impl Key {
    pub(crate) fn of(key: &AttributeKey) -> Self {
        let bytes = key.to_secret();
        Self {
            K: G1Affine::deserialize_compressed(&bytes.expose()[..48]).unwrap(),
            K_prime: G2Affine::deserialize_compressed(&bytes.expose()[48..]).unwrap(),
        }
    }

    /// Hands the points to the product as a key.
    pub(crate) fn to_product(self) -> AttributeKey {
        let bytes = [compressed(self.K), compressed(self.K_prime)].concat();
        AttributeKey::from_bytes(&bytes.try_into().unwrap()).unwrap()
    }

    /// The key times a number: what a linear scheme would forge with.
    pub(crate) fn times(self, by: Fr) -> Self {
        Self { K: (self.K * by).into(), K_prime: (self.K_prime * by).into() }
    }

    /// The key with a point added to K.
    pub(crate) fn shifted(self, by: impl Into<G1Affine>) -> Self {
        Self { K: (self.K + by.into()).into(), K_prime: self.K_prime }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { K: (self.K + other.K).into(), K_prime: (self.K_prime + other.K_prime).into() }
    }
}

pub(crate) fn compressed(point: impl CanonicalSerialize) -> Vec<u8> {
    let mut out = Vec::new();
    point.serialize_compressed(&mut out).unwrap();
    out
}

pub(crate) fn gt_bytes(f: &Fq12) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..3 {
        for half in [&f.c0, &f.c1] {
            let c = [&half.c0, &half.c1, &half.c2][i];
            out.extend([c.c0, c.c1].iter().flat_map(|x: &Fq| x.into_bigint().to_bytes_be()));
        }
    }
    out
}

pub(crate) fn pair(p: impl Into<G1Affine>, q: impl Into<G2Affine>) -> Fq12 {
    Bls12_381::pairing(p.into(), q.into()).0
}

/// A clause and a ciphertext for it, taken apart.
pub(crate) struct Target<'a> {
    pub(crate) rows: Vec<(EpochAttribute, &'a Authority)>,
    pub(crate) associated_data: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) secret: [u8; 32],
}

impl<'a> Target<'a> {
    /// Encapsulates to the rows with the product.
    pub(crate) fn new(rows: &[(&str, &'a Authority)]) -> Self {
        Self::with_seed(rows, &chartfs::key::hash::random())
    }

    /// Encapsulates as a sender who keeps the seed.
    pub(crate) fn with_seed(rows: &[(&str, &'a Authority)], m: &[u8; 32]) -> Self {
        let rows: Vec<_> = rows.iter().map(|(t, a)| (attribute(t), *a)).collect();
        let associated_data = b"record 1".to_vec();
        let mut target = Self { rows, associated_data, ciphertext: Vec::new(), secret: [0; 32] };
        let (rows, seed) = (target.product_rows(), Secret::new(*m));
        let (secret, ciphertext) =
            dabe::encapsulate_with_seed(&rows, &target.associated_data, &seed).unwrap();
        (target.secret, target.ciphertext) = (*secret.expose(), ciphertext);
        target
    }

    pub(crate) fn product_rows(&self) -> Vec<Row<'_>> {
        self.rows.iter().map(|(what, a)| Row { what, authority: &a.public }).collect()
    }

    pub(crate) fn C2(&self, row: usize) -> G2Affine {
        G2Affine::deserialize_compressed(&self.ciphertext[144 * row..][..96]).unwrap()
    }

    pub(crate) fn C4(&self, row: usize) -> G1Affine {
        G1Affine::deserialize_compressed(&self.ciphertext[144 * row + 96..][..48]).unwrap()
    }

    pub(crate) fn C3(&self) -> G2Affine {
        G2Affine::deserialize_compressed(&self.ciphertext[144 * self.rows.len()..][..96]).unwrap()
    }

    /// What one row and one key give: e(K, C2) / e(C4, K').
    pub(crate) fn row_value(&self, row: usize, key: &Key) -> Fq12 {
        pair(key.K, self.C2(row)) * pair(-self.C4(row).into_group(), key.K_prime)
    }

    /// The decryption equation with whatever keys and whatever identifier's hash.
    pub(crate) fn combine(&self, keys: &[Key], h: G1Affine) -> Fq12 {
        let rows = keys.iter().enumerate().map(|(i, k)| self.row_value(i, k));
        rows.product::<Fq12>() * pair(-h.into_group(), self.C3())
    }

    pub(crate) fn header(&self) -> [u8; 32] {
        let mut text = b"CHARTFS-MAABE-V1-HDR".to_vec();
        text.extend(u32::try_from(self.rows.len()).unwrap().to_le_bytes());
        self.rows.iter().for_each(|(what, _)| text.extend(encoded(what)));
        let mut last = None;
        for (what, authority) in &self.rows {
            if last != Some(&what.attribute.authority) {
                text.extend(sha256(&[&authority.public.to_bytes()]));
            }
            last = Some(&what.attribute.authority);
        }
        text.extend((self.associated_data.len() as u64).to_le_bytes());
        sha256(&[&text, &self.associated_data])
    }

    fn mask(&self, points: &[u8], Z: &Fq12) -> [u8; 32] {
        sha256(&[b"CHARTFS-MAABE-V1-MASK", &self.header(), points, &gt_bytes(Z)])
    }

    fn derive(&self, m: &[u8], points: &[u8], masked: &[u8]) -> ([u8; 32], [u8; 32]) {
        let all = sha256(&[&self.header(), points, masked]);
        let secret = sha256(&[b"CHARTFS-MAABE-V1-SECRET", m, &all]);
        (secret, sha256(&[b"CHARTFS-MAABE-V1-COMMIT", m, &all]))
    }

    /// Puts a ciphertext together from points, their Z and a seed that are the adversary's choice.
    pub(crate) fn forge(&mut self, points: &[u8], Z: &Fq12, m: &[u8; 32]) {
        let masked: Vec<u8> = self.mask(points, Z).iter().zip(m).map(|(a, b)| a ^ b).collect();
        let (secret, commitment) = self.derive(m, points, &masked);
        self.ciphertext = [points, &masked, &commitment].concat();
        self.secret = secret;
    }

    /// Says whether this Z gives the secret: unmasks the seed and compares what follows from it,
    /// without the check by encrypting again that the product makes.
    pub(crate) fn opens_with(&self, Z: &Fq12) -> bool {
        let (points, tail) = self.ciphertext.split_at(self.ciphertext.len() - 64);
        let m: Vec<u8> = self.mask(points, Z).iter().zip(tail).map(|(a, b)| a ^ b).collect();
        let (secret, commitment) = self.derive(&m, points, &tail[..32]);
        let by_commitment = commitment[..] == tail[32..];
        assert_eq!(by_commitment, secret == self.secret, "both say the same");
        by_commitment
    }

    /// Asks the product to open with these keys as this user.
    pub(crate) fn product_opens(&self, keys: &[Key], user: &Gid) -> bool {
        let keys: Vec<AttributeKey> = keys.iter().map(|k| k.to_product()).collect();
        let keys: Vec<&AttributeKey> = keys.iter().collect();
        let (rows, ad) = (self.product_rows(), &self.associated_data);
        match dabe::decapsulate(&rows, &keys, user, ad, &self.ciphertext) {
            Ok(secret) => {
                assert_eq!(*secret.expose(), self.secret);
                true
            }
            Err(e) => {
                assert_eq!(e.kind(), chartfs::error::Kind::Integrity);
                assert_eq!(e.to_string(), "a capsule does not open");
                false
            }
        }
    }
}

/// A number from a public hash: what stands in a broken scheme for an unknown logarithm.
pub(crate) fn public_number(text: &str) -> Fr {
    Fr::from_be_bytes_mod_order(&sha256(&[text.as_bytes()]))
}

/// A power in the target group.
pub(crate) fn power(f: &Fq12, by: Fr) -> Fq12 {
    f.pow(by.into_bigint())
}
