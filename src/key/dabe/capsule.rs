//! A clause secret encapsulated to a clause.
//!
//! A ciphertext is, for each row, C2 (96 bytes) and C4 (48), then C3 (96), the masked seed (32)
//! and the commitment (32). Everything in it follows from the seed and the header, so that the
//! receiver can make it again and compare.

use zeroize::Zeroizing;

use super::authority::{AttributeKey, AuthorityPublic, F, H, encoded};
use super::group::{G1, G1_LEN, G2, G2_LEN, Gt, GtBase, Scalar};
use super::parallel;
use crate::error::{Error, Kind, Result};
use crate::key::attribute::{EpochAttribute, Gid};
use crate::key::hash::{equal, sha256};
use crate::key::secret::{ClauseSecret, Secret};
use crate::wire::{Reader, Writer};

/// The most attributes that a clause may have.
pub const CLAUSE_ATTRIBUTES_MAX: usize = 32;

const COIN_DST: &[u8] = b"CHARTFS-MAABE-V1-COIN-XMD:SHA-256";
const HEADER_TAG: &[u8] = b"CHARTFS-MAABE-V1-HDR";
const MASK_TAG: &[u8] = b"CHARTFS-MAABE-V1-MASK";
const SECRET_TAG: &[u8] = b"CHARTFS-MAABE-V1-SECRET";
const COMMIT_TAG: &[u8] = b"CHARTFS-MAABE-V1-COMMIT";

const ROW_LEN: usize = G2_LEN + G1_LEN;
const HASH_LEN: usize = 32;
const TAIL_LEN: usize = G2_LEN + 2 * HASH_LEN;

/// Returns the bytes of a ciphertext for a clause of `rows` attributes.
pub fn ciphertext_len(rows: usize) -> usize {
    rows * ROW_LEN + TAIL_LEN
}

/// One attribute of the clause, with the public key of its authority.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The attribute in its epoch.
    pub what: &'a EpochAttribute,
    /// The authority that vouches for it.
    pub authority: &'a AuthorityPublic,
}

impl Row<'_> {
    fn rank(&self) -> (&str, &str) {
        let attribute = &self.what.attribute;
        (attribute.authority.as_str(), attribute.name.as_str())
    }

    fn same_authority(&self, other: &Self) -> bool {
        self.rank().0 == other.rank().0
    }
}

/// Refuses rows that are not in the one order, so that a clause has one header.
fn check_rows(rows: &[Row<'_>]) -> Result<()> {
    let refuse = |why: &'static str| {
        Err(Error::new(Kind::Usage, "a clause cannot be encapsulated to").because(why))
    };
    if rows.is_empty() || rows.len() > CLAUSE_ATTRIBUTES_MAX {
        return refuse("a clause has 1 to 32 attributes");
    }
    for pair in rows.windows(2) {
        if pair[0].rank() >= pair[1].rank() {
            return refuse(
                "its attributes must ascend by authority, then name, without repetition",
            );
        }
        if pair[0].same_authority(&pair[1]) && pair[0].authority.id() != pair[1].authority.id() {
            return refuse("one authority has two public keys");
        }
    }
    Ok(())
}

/// The rows of each authority: C3 and Z need one exponentiation for all of them.
fn by_authority<'a, 'b>(rows: &'b [Row<'a>]) -> impl Iterator<Item = &'b [Row<'a>]> {
    rows.chunk_by(Row::same_authority)
}

/// Hashes what the ciphertext is bound to.
fn header(rows: &[Row<'_>], associated_data: &[u8]) -> [u8; HASH_LEN] {
    let mut w = Writer::new();
    w.u32(u32::try_from(rows.len()).expect("a clause has at most 32 rows"));
    for row in rows {
        w.bytes(&encoded(row.what));
    }
    for group in by_authority(rows) {
        w.bytes(&group[0].authority.id());
    }
    w.u64(u64::try_from(associated_data.len()).expect("a length fits 64 bits"));
    sha256(&[HEADER_TAG, w.as_bytes(), associated_data])
}

/// Encapsulates a fresh secret to all of the rows together.
///
/// # Errors
/// `Usage` when the rows are not 1 to 32, strictly ascending by authority and attribute name.
pub fn encapsulate(rows: &[Row<'_>], associated_data: &[u8]) -> Result<(ClauseSecret, Vec<u8>)> {
    encapsulate_with_seed(rows, associated_data, &Secret::random())
}

/// Encapsulates as [`encapsulate`] does, with all randomness from `m`: for known answers, and
/// to check a ciphertext by making it again.
///
/// # Errors
/// As [`encapsulate`].
pub fn encapsulate_with_seed(
    rows: &[Row<'_>],
    associated_data: &[u8],
    m: &Secret<32>,
) -> Result<(ClauseSecret, Vec<u8>)> {
    check_rows(rows)?;
    Ok(encrypt(rows, &header(rows, associated_data), m, None))
}

/// Makes everything that follows from the seed. A receiver has Z already: it was computed from
/// the ciphertext by verified keys, for which it is what the sender computes whenever the points
/// are the sender's, and those are made again here.
fn encrypt(
    rows: &[Row<'_>],
    header: &[u8; HASH_LEN],
    m: &Secret<32>,
    received_Z: Option<&Gt>,
) -> (ClauseSecret, Vec<u8>) {
    let coins: Vec<Scalar> = (0u32..).zip(rows).map(|(x, _)| coin(m, header, x)).collect();
    let mut out = Vec::with_capacity(ciphertext_len(rows.len()));
    let sums = sums_by_authority(rows, &coins);
    let C2 = || coins.iter().map(|t| G2::generator().times(t).to_bytes()).collect::<Vec<_>>();
    let C4_and_C3 = || {
        let C4 = rows.iter().zip(&coins).map(|(row, t)| F(row.what).times(t).to_bytes());
        let shares: Vec<(&G2, &Scalar)> = sums.iter().map(|(a, s)| (a.Y(), s)).collect();
        (C4.collect::<Vec<_>>(), G2::sum_of_products(&shares).to_bytes())
    };
    let many = rows.len() >= parallel::ROWS_MIN;
    let (C2, (C4, C3)) = parallel::both(many, C2, C4_and_C3);
    for (C2, C4) in C2.iter().zip(&C4) {
        out.extend_from_slice(C2);
        out.extend_from_slice(C4);
    }
    out.extend_from_slice(&C3);
    let mask = if let Some(Z) = received_Z {
        mask(header, &out, Z)
    } else {
        let shares: Vec<(&GtBase, &Scalar)> = sums.iter().map(|(a, s)| (a.E(), s)).collect();
        mask(header, &out, &GtBase::product_of_powers(&shares))
    };
    out.extend(m.expose().iter().zip(mask.expose()).map(|(a, b)| a ^ b));
    let all = sha256(&[header, &out]);
    out.extend_from_slice(&sha256(&[COMMIT_TAG, m.expose(), &all]));
    (Secret::new(sha256(&[SECRET_TAG, m.expose(), &all])), out)
}

/// Adds up the randomness of each authority's rows: the exponents of its Y and E.
fn sums_by_authority<'a>(rows: &[Row<'a>], coins: &[Scalar]) -> Vec<(&'a AuthorityPublic, Scalar)> {
    let mut rest = coins;
    let mut sums = Vec::new();
    for group in by_authority(rows) {
        let (mine, others) = rest.split_at(group.len());
        rest = others;
        let sum = mine[1..].iter().fold(mine[0].duplicate(), |sum, t| sum.plus(t));
        sums.push((group[0].authority, sum));
    }
    sums
}

/// Derives the randomness of row `x`.
fn coin(m: &Secret<32>, header: &[u8; HASH_LEN], x: u32) -> Scalar {
    let parts: [&[u8]; 3] = [m.expose(), header, &x.to_le_bytes()];
    Scalar::hash(&Zeroizing::new(parts.concat()), COIN_DST)
}

/// Derives what hides the seed; `points` is the ciphertext as far as C3.
fn mask(header: &[u8; HASH_LEN], points: &[u8], Z: &Gt) -> Secret<32> {
    Secret::new(sha256(&[MASK_TAG, header, points, &Z.to_bytes()[..]]))
}

/// Opens a ciphertext with the keys of one user, one for each row in the order of the rows.
///
/// # Errors
/// `Usage` when the rows are not canonical or the keys are not one for each row. `Integrity`, the
/// same for every cause, when the ciphertext is not one that [`encapsulate`] made for these rows
/// and this associated data, or a key is not this user's key for its row.
pub fn decapsulate(
    rows: &[Row<'_>],
    keys: &[&AttributeKey],
    gid: &Gid,
    associated_data: &[u8],
    ciphertext: &[u8],
) -> Result<ClauseSecret> {
    check_rows(rows)?;
    if keys.len() != rows.len() {
        return Err(Error::new(Kind::Usage, "a capsule cannot be opened")
            .because("there must be one key for each attribute of the clause"));
    }
    let refuse = || Error::damaged("a capsule does not open");
    let points = Points::parse(ciphertext, rows.len()).ok_or_else(refuse)?;
    let header = header(rows, associated_data);
    let Z = points.combine(keys, gid);
    let (open, hidden) = ciphertext.split_at(ciphertext.len() - 2 * HASH_LEN);
    let mask = mask(&header, open, &Z);
    let mut m = Zeroizing::new([0; HASH_LEN]);
    for (out, (a, b)) in m.iter_mut().zip(hidden.iter().zip(mask.expose())) {
        *out = a ^ b;
    }
    let (secret, again) = encrypt(rows, &header, &Secret::new(*m), Some(&Z));
    if equal(&again, ciphertext) { Ok(secret) } else { Err(refuse()) }
}

/// A ciphertext, decoded and checked.
struct Points {
    C2: Vec<G2>,
    C4: Vec<G1>,
    C3: G2,
}

impl Points {
    fn parse(ciphertext: &[u8], rows: usize) -> Option<Self> {
        if ciphertext.len() != ciphertext_len(rows) {
            return None;
        }
        let mut r = Reader::new(ciphertext, "a capsule");
        let (mut C2, mut C4) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        for _ in 0..rows {
            C2.push(G2::from_bytes(&r.array().ok()?)?);
            C4.push(G1::from_bytes(&r.array().ok()?)?);
        }
        Some(Self { C2, C4, C3: G2::from_bytes(&r.array().ok()?)? })
    }

    /// Computes Z: K pairs to alpha t + h y t + f tau t in the exponent, C4 takes away f tau t
    /// of each row, and C3 takes away h y t of all rows at once.
    fn combine(self, keys: &[&AttributeKey], gid: &Gid) -> Gt {
        let (mut first, mut second) = (vec![H(gid).negated()], vec![self.C3]);
        for ((key, C2), C4) in keys.iter().zip(self.C2).zip(self.C4) {
            first.extend([key.K().clone(), C4.negated()]);
            second.extend([C2, key.K_prime().clone()]);
        }
        let Z = Gt::pairing_product(&first, &second);
        first.iter_mut().for_each(G1::wipe);
        second.iter_mut().for_each(G2::wipe);
        Z
    }
}
