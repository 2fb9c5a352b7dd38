//! What a clause costs: encapsulate and decapsulate for AND 1 to 20, each attribute of one of
//! three authorities, and for AND 2 the least that a decapsulation can do.

#![allow(missing_docs, unsafe_code, clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use blst::{blst_fp12, blst_p1_affine, blst_p2_affine};
use chartfs::key::attribute::{Attribute, Epoch, EpochAttribute, Gid};
use chartfs::key::dabe::{
    AttributeKey, AuthorityPublic, AuthoritySecret, Row, decapsulate, encapsulate,
    encapsulate_with_seed,
};
use chartfs::key::secret::Secret;
use criterion::{Criterion, criterion_group};

const AUTHORITIES: usize = 3;
const ROUNDS: usize = 500;
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

/// Compares a decapsulation with its pairings and its encryption again, done alone.
///
/// The two take turns and the least time of each counts, so that other load on the machine falls
/// on both or on neither.
fn decapsulate_over_least() -> f64 {
    let clause = Clause::of(2);
    let (rows, seed) = (clause.rows(), Secret::random());
    let keys: Vec<&AttributeKey> = clause.keys.iter().collect();
    let (_, ciphertext) = encapsulate(&rows, ASSOCIATED_DATA).expect("canonical rows");
    let (first, second) = (vec![generator1(); 5], vec![generator2(); 5]);
    let mut shortest = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        black_box(pairings(black_box(&first), black_box(&second)));
        black_box(encapsulate_with_seed(black_box(&rows), ASSOCIATED_DATA, &seed))
            .expect("canonical rows");
        let middle = Instant::now();
        decapsulate(black_box(&rows), &keys, &clause.gid, ASSOCIATED_DATA, &ciphertext)
            .expect("it opens");
        shortest[0] = shortest[0].min(middle - start);
        shortest[1] = shortest[1].min(middle.elapsed());
    }
    shortest[1].as_secs_f64() / shortest[0].as_secs_f64()
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

criterion_group!(benches, clauses, authorities);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    println!("decapsulate_and_2_over_least={:.2}", decapsulate_over_least());
}
