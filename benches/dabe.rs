//! What a clause costs: encapsulate and decapsulate for AND 1 to 20, each attribute of one of
//! three authorities, and for AND 2 the least that a decapsulation can do.

#![allow(missing_docs, unsafe_code)]

use std::hint::black_box;

use blst::{blst_fp12, blst_p1_affine, blst_p2_affine};
use chartfs::key::attribute::{Attribute, Epoch, EpochAttribute, Gid};
use chartfs::key::dabe::{
    AttributeKey, AuthorityPublic, AuthoritySecret, Row, decapsulate, encapsulate,
    encapsulate_with_seed,
};
use chartfs::key::secret::Secret;
use criterion::{Criterion, criterion_group, criterion_main};

const AUTHORITIES: usize = 3;
const ASSOCIATED_DATA: &[u8] = b"associated data";

struct Clause {
    gid: Gid,
    attributes: Vec<EpochAttribute>,
    public: Vec<AuthorityPublic>,
    keys: Vec<AttributeKey>,
}

impl Clause {
    fn of(count: usize) -> Self {
        let secrets: Vec<_> = (0..AUTHORITIES).map(|_| AuthoritySecret::generate()).collect();
        let mut which: Vec<usize> = (0..count).map(|i| i % AUTHORITIES).collect();
        which.sort_unstable();
        let gid = Gid::of(&[1; 32]);
        let (mut attributes, mut public, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (i, at) in which.into_iter().enumerate() {
            let attribute: Attribute =
                format!("attribute-{i:02}@hospital-{at}").parse().expect("a name");
            let what = EpochAttribute { attribute, epoch: Epoch(1) };
            keys.push(secrets[at].issue(&gid, &what));
            public.push(secrets[at].public());
            attributes.push(what);
        }
        Self { gid, attributes, public, keys }
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let rows = self.attributes.iter().zip(&self.public);
        rows.map(|(what, authority)| Row { what, authority }).collect()
    }
}

/// Pairs as many points as a decapsulation does, in one Miller loop and one final exponentiation.
fn pairings(first: &[blst_p1_affine], second: &[blst_p2_affine]) -> blst_fp12 {
    let first: Vec<_> = first.iter().map(|p| &raw const *p).collect();
    let second: Vec<_> = second.iter().map(|q| &raw const *q).collect();
    let mut out = blst_fp12::default();
    // SAFETY: both lists hold as many pointers to live points as the count says.
    unsafe {
        blst::blst_miller_loop_n(&raw mut out, second.as_ptr(), first.as_ptr(), first.len());
    }
    out.final_exp()
}

fn clauses(c: &mut Criterion) {
    for count in [1, 2, 5, 10, 20] {
        let clause = Clause::of(count);
        let rows = clause.rows();
        let keys: Vec<&AttributeKey> = clause.keys.iter().collect();
        let (_, ciphertext) = encapsulate(&rows, ASSOCIATED_DATA).expect("canonical rows");
        c.bench_function(&format!("encapsulate_and_{count}"), |b| {
            b.iter(|| encapsulate(black_box(&rows), ASSOCIATED_DATA));
        });
        c.bench_function(&format!("decapsulate_and_{count}"), |b| {
            b.iter(|| {
                decapsulate(&rows, &keys, &clause.gid, ASSOCIATED_DATA, black_box(&ciphertext))
            });
        });
    }
}

fn least(c: &mut Criterion) {
    let clause = Clause::of(2);
    let (rows, seed) = (clause.rows(), Secret::random());
    let first = vec![generator1(); 5];
    let second = vec![generator2(); 5];
    c.bench_function("pairings_and_reencryption_and_2", |b| {
        b.iter(|| {
            black_box(pairings(black_box(&first), black_box(&second)));
            encapsulate_with_seed(black_box(&rows), ASSOCIATED_DATA, &seed)
        });
    });
}

fn generator1() -> blst_p1_affine {
    // SAFETY: `blst` returns a pointer to a constant.
    unsafe { *blst::blst_p1_affine_generator() }
}

fn generator2() -> blst_p2_affine {
    // SAFETY: `blst` returns a pointer to a constant.
    unsafe { *blst::blst_p2_affine_generator() }
}

fn authorities(c: &mut Criterion) {
    let clause = Clause::of(1);
    let secret = AuthoritySecret::generate();
    let (what, public) = (&clause.attributes[0], &clause.public[0]);
    c.bench_function("authority_public", |b| b.iter(|| secret.public()));
    c.bench_function("attribute_key_issue", |b| b.iter(|| secret.issue(&clause.gid, what)));
    c.bench_function("attribute_key_verify", |b| {
        b.iter(|| clause.keys[0].verify(public, &clause.gid, what));
    });
}

criterion_group!(benches, least, clauses, authorities);
criterion_main!(benches);
