//! The wrapper against RFC 9380, against arkworks, and against itself done the slow way.

use ark_bls12_381::{Bls12_381, Fq, Fq2, Fq6, Fq12, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::pairing::Pairing;
use ark_ff::{BigInteger, CyclotomicMultSubgroup, Field, PrimeField, Zero};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};

use super::group::{G1, G2, Gt, GtBase, Scalar};

const RFC_DST: &[u8] = b"QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_";

fn scalar() -> (Scalar, Fr) {
    let s = Scalar::random();
    let f = Fr::from_be_bytes_mod_order(&s.to_bytes()[..]);
    (s, f)
}

fn small(n: u64) -> Scalar {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&n.to_be_bytes());
    Scalar::from_bytes(&bytes).unwrap()
}

fn compressed(point: impl CanonicalSerialize) -> Vec<u8> {
    let mut out = Vec::new();
    point.serialize_compressed(&mut out).unwrap();
    out
}

fn g1(point: impl Into<G1Affine>) -> Option<G1> {
    G1::from_bytes(&compressed(point.into()).try_into().unwrap())
}

fn g2(point: impl Into<G2Affine>) -> Option<G2> {
    G2::from_bytes(&compressed(point.into()).try_into().unwrap())
}

fn gt_bytes(f: &Fq12) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..3 {
        for half in [&f.c0, &f.c1] {
            let c = [&half.c0, &half.c1, &half.c2][i];
            out.extend([c.c0, c.c1].iter().flat_map(|x: &Fq| x.into_bigint().to_bytes_be()));
        }
    }
    out
}

fn ark_gt(exponent: Fr) -> Fq12 {
    Bls12_381::pairing(G1Affine::generator() * exponent, G2Affine::generator()).0
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap();
    (0..text.len() / 2).map(digits).collect()
}

#[test]
fn hashing_to_the_curve_gives_the_vectors_of_rfc_9380() {
    let long = |head: &str, c: &str, n| [head.to_owned(), c.repeat(n)].concat();
    let cases = [
        (
            String::new(),
            "052926add2207b76ca4fa57a8734416c8dc95e24501772c814278700eed6d1e4e8cf62d9c09db0fac349612b759e79a1",
            "08ba738453bfed09cb546dbb0783dbb3a5f1f566ed67bb6be0e8c67e2e81a4cc68ee29813bb7994998f3eae0c9c6a265",
        ),
        (
            "abc".into(),
            "03567bc5ef9c690c2ab2ecdf6a96ef1c139cc0b2f284dca0a9a7943388a49a3aee664ba5379a7655d3c68900be2f6903",
            "0b9c15f3fe6e5cf4211f346271d7b01c8f3b28be689c8429c85b67af215533311f0b8dfaaa154fa6b88176c229f2885d",
        ),
        (
            "abcdef0123456789".into(),
            "11e0b079dea29a68f0383ee94fed1b940995272407e3bb916bbf268c263ddd57a6a27200a784cbc248e84f357ce82d98",
            "03a87ae2caf14e8ee52e51fa2ed8eefe80f02457004ba4d486d6aa1f517c0889501dc7413753f9599b099ebcbbd2d709",
        ),
        (
            long("q128_", "q", 128),
            "15f68eaa693b95ccb85215dc65fa81038d69629f70aeee0d0f677cf22285e7bf58d7cb86eefe8f2e9bc3f8cb84fac488",
            "1807a1d50c29f430b8cafc4f8638dfeeadf51211e1602a5f184443076715f91bb90a48ba1e370edce6ae1062f5e6dd38",
        ),
        (
            long("a512_", "a", 512),
            "082aabae8b7dedb0e78aeb619ad3bfd9277a2f77ba7fad20ef6aabdc6c31d19ba5a6d12283553294c1825c4b3ca2dcfe",
            "05b84ae5a942248eea39e1d91030458c40153f3b654ab7872d779ad1e942856a20c438e8d99bc8abfbf74729ce1f7ac8",
        ),
    ];
    for (message, x, y) in cases {
        let got = G1::hash(message.as_bytes(), RFC_DST).to_bytes();
        let point = G1Affine::deserialize_compressed(&got[..]).unwrap();
        let got = [point.x, point.y].map(|f: Fq| f.into_bigint().to_bytes_be());
        assert_eq!(got, [unhex(x), unhex(y)], "{message:.20}");
    }
}

#[test]
fn source_groups_agree_with_arkworks() {
    for _ in 0..8 {
        let ((a, fa), (b, fb)) = (scalar(), scalar());
        let p = G1Affine::generator() * fa;
        let q = G2Affine::generator() * fa;
        assert_eq!(G1::generator().times(&a).to_bytes()[..], compressed(p)[..]);
        assert_eq!(G2::generator().times(&a).to_bytes()[..], compressed(q)[..]);
        assert_eq!(g1(p).unwrap().negated().to_bytes()[..], compressed(-p)[..]);
        let sum = G1::sum_of_products(&[(&g1(p).unwrap(), &b), (&G1::generator(), &a)]);
        assert_eq!(sum.to_bytes()[..], compressed(p * fb + p)[..]);
        let sum = G2::sum_of_products(&[(&g2(q).unwrap(), &b), (&g2(q).unwrap(), &b)]);
        assert_eq!(sum.to_bytes()[..], compressed((q * fb) + (q * fb))[..]);
        let both = Fr::from_be_bytes_mod_order(&a.plus(&b).to_bytes()[..]);
        assert_eq!(both, fa + fb);
    }
}

#[test]
fn pairing_bytes_agree_with_arkworks() {
    for n in [1, 2, 5, 17, 33] {
        let points: Vec<_> = (0..n).map(|_| (scalar().1, scalar().1)).collect();
        let first: Vec<_> = points.iter().map(|(a, _)| G1Affine::generator() * a).collect();
        let second: Vec<_> = points.iter().map(|(_, b)| G2Affine::generator() * b).collect();
        let ours = Gt::pairing_product(
            &first.iter().map(|p| g1(*p).unwrap()).collect::<Vec<_>>(),
            &second.iter().map(|q| g2(*q).unwrap()).collect::<Vec<_>>(),
        );
        let theirs = Bls12_381::multi_pairing(first, second).0;
        assert_eq!(ours.to_bytes()[..], gt_bytes(&theirs)[..], "{n} pairs");
    }
}

#[test]
fn powers_in_the_target_group_agree_with_square_and_multiply() {
    let one = Gt::pairing_product(&[G1::generator()], &[G2::generator()]);
    let base = GtBase::new(&one);
    let theirs = ark_gt(Fr::from(1u64));
    let z = 0xd201_0000_0001_0000u64;
    let mut cases: Vec<_> = (0..16).map(|_| scalar()).collect();
    cases.extend([1, 2, z - 1, z, z + 1, u64::MAX].map(|n| (small(n), Fr::from(n))));
    for power in [z, z - 1] {
        let f = Fr::from(z) * Fr::from(z) * Fr::from(power);
        let bytes: [u8; 32] = f.into_bigint().to_bytes_be().try_into().unwrap();
        cases.push((Scalar::from_bytes(&bytes).unwrap(), f));
    }
    let last: [u8; 32] = (-Fr::from(1u64)).into_bigint().to_bytes_be().try_into().unwrap();
    cases.push((Scalar::from_bytes(&last).unwrap(), -Fr::from(1u64)));
    for (s, f) in &cases {
        let got = GtBase::product_of_powers(&[(&base, s)]);
        assert_eq!(got.to_bytes()[..], gt_bytes(&theirs.pow(f.into_bigint()))[..]);
    }
    let second = GtBase::new(&GtBase::product_of_powers(&[(&base, &cases[0].0)]));
    let got = GtBase::product_of_powers(&[(&base, &cases[1].0), (&second, &cases[2].0)]);
    assert_eq!(got.to_bytes()[..], gt_bytes(&ark_gt(cases[1].1 + cases[0].1 * cases[2].1))[..]);
}

#[test]
fn scalars_out_of_range_are_refused() {
    let order: [u8; 32] = Fr::MODULUS.to_bytes_be().try_into().unwrap();
    assert!(Scalar::from_bytes(&order).is_none());
    assert!(Scalar::from_bytes(&[0; 32]).is_none());
    assert!(Scalar::from_bytes(&[0xff; 32]).is_none());
    let mut below = order;
    below[31] -= 1;
    assert_eq!(Scalar::from_bytes(&below).unwrap().to_bytes()[..], below);
}

#[test]
fn points_that_are_not_in_the_subgroup_are_refused() {
    let mut found = (0, 0);
    for x in 1..60u64 {
        if let Some(p) = G1Affine::get_point_from_x_unchecked(Fq::from(x), true) {
            assert_eq!(g1(p).is_some(), p.is_in_correct_subgroup_assuming_on_curve());
            found.0 += u32::from(g1(p).is_none());
        }
        let x = Fq2::new(Fq::from(x), Fq::from(1u64));
        if let Some(q) = G2Affine::get_point_from_x_unchecked(x, false) {
            assert_eq!(g2(q).is_some(), q.is_in_correct_subgroup_assuming_on_curve());
            found.1 += u32::from(g2(q).is_none());
        }
    }
    assert!(found.0 > 10 && found.1 > 10, "{found:?}");
}

#[test]
fn each_point_has_one_encoding() {
    let (p, q) = (G1::generator().to_bytes(), G2::generator().to_bytes());
    let modulus: [u8; 48] = Fq::MODULUS.to_bytes_be().try_into().unwrap();
    for flags in [0x00, 0x20, 0x40, 0x60, 0xc0, 0xe0] {
        let (mut p, mut q) = (p, q);
        p[0] = (p[0] & 0x1f) | flags;
        q[0] = (q[0] & 0x1f) | flags;
        assert!(G1::from_bytes(&p).is_none() && G2::from_bytes(&q).is_none(), "{flags:#x}");
    }
    for infinity in [0xc0, 0xe0, 0x40] {
        let (mut p, mut q) = ([0; 48], [0; 96]);
        (p[0], q[0]) = (infinity, infinity);
        assert!(G1::from_bytes(&p).is_none() && G2::from_bytes(&q).is_none(), "{infinity:#x}");
    }
    // x + p encodes the same residue when it fits 381 bits: the smallest x on the curve that does.
    let x = (0..100u64)
        .map(Fq::from)
        .find(|x| G1Affine::get_point_from_x_unchecked(*x, true).is_some());
    let mut sum = x.unwrap().into_bigint();
    sum.add_with_carry(&Fq::MODULUS);
    let mut p: [u8; 48] = sum.to_bytes_be().try_into().unwrap();
    p[0] |= 0x80;
    assert!(G1::from_bytes(&p).is_none());
    for at in [0, 48] {
        let mut q = q;
        q[at..at + 48].copy_from_slice(&modulus);
        q[0] |= 0x80;
        assert!(G2::from_bytes(&q).is_none(), "coefficient at {at}");
    }
}

#[test]
fn target_group_elements_are_checked() {
    let good = *Gt::pairing_product(&[G1::generator()], &[G2::generator()]).to_bytes();
    assert_eq!(Gt::from_bytes(&good).unwrap().to_bytes()[..], good);
    let mut one = [0; 576];
    one[47] = 1;
    assert!(Gt::from_bytes(&one).is_none(), "the identity");
    assert!(Gt::from_bytes(&[0; 576]).is_none(), "zero");
    let minus_one: Vec<u8> = gt_bytes(&-Fq12::from(1u64));
    assert!(Gt::from_bytes(&minus_one.try_into().unwrap()).is_none(), "order two");
    for at in 0..12 {
        let mut bad = good;
        bad[at * 48 + 47] ^= 1;
        assert!(Gt::from_bytes(&bad).is_none(), "outside the group");
        let mut bad = good;
        let value = ark_ff::BigInteger384::new(std::array::from_fn(|i| {
            u64::from_be_bytes(good[at * 48 + 40 - 8 * i..][..8].try_into().unwrap())
        }));
        let mut sum = value;
        assert!(!sum.add_with_carry(&Fq::MODULUS));
        bad[at * 48..][..48].copy_from_slice(&sum.to_bytes_be());
        assert!(Gt::from_bytes(&bad).is_none(), "not canonical");
    }
    // In the cyclotomic subgroup, but not in the one of prime order.
    let f = Fq12::new(Fq6::from(5u64), Fq6::from(3u64));
    let unitary = f.cyclotomic_inverse().unwrap() * f.inverse().unwrap();
    let mut square = unitary;
    square.frobenius_map_in_place(2);
    let cyclotomic = square * unitary;
    assert!(!cyclotomic.is_zero());
    assert!(Gt::from_bytes(&gt_bytes(&cyclotomic).try_into().unwrap()).is_none());
}
