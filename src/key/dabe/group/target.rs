//! The target group, and exponentiation in it by the Frobenius map.

use blst::{blst_fp, blst_fp6, blst_fp12, blst_p1_affine, blst_p2_affine};
use zeroize::{Zeroize, Zeroizing};

use super::super::parallel;
use super::{G1, G2, GT_LEN, Scalar};

const FP_LEN: usize = 48;

/// An element of the target group; it masks secrets, so it is wiped on drop.
#[derive(Clone)]
pub(in crate::key::dabe) struct Gt(blst_fp12);

impl Drop for Gt {
    fn drop(&mut self) {
        limbs_mut(&mut self.0).for_each(Zeroize::zeroize);
    }
}

fn limbs_mut(f: &mut blst_fp12) -> impl Iterator<Item = &mut u64> {
    f.fp6.iter_mut().flat_map(|c| &mut c.fp2).flat_map(|c| &mut c.fp).flat_map(|c| &mut c.l)
}

impl Gt {
    /// Returns the product of the pairings: one Miller loop and one final exponentiation.
    ///
    /// # Panics
    /// When the two lists differ in length or are empty; callers build them side by side.
    pub(in crate::key::dabe) fn pairing_product(first: &[G1], second: &[G2]) -> Self {
        assert!(!first.is_empty() && first.len() == second.len(), "points come in pairs");
        let many = first.len() > 2 * parallel::ROWS_MIN;
        let (first, last) = first.split_at(if many { first.len() / 2 } else { 0 });
        let (second, rest) = second.split_at(first.len());
        let (part, lines) = parallel::both(
            many,
            || Self::line_product(first, second),
            || Self::line_product(last, rest),
        );
        let lines = if many { lines.multiplied(&part) } else { lines };
        let mut out = Self(blst_fp12::default());
        // SAFETY: two live elements.
        unsafe { blst::blst_final_exp(&raw mut out.0, &raw const lines.0) };
        out
    }

    /// The Miller loop over pairs of points; 1 for none.
    fn line_product(first: &[G1], second: &[G2]) -> Self {
        let mut out = Self(blst_fp12::default());
        let first: Vec<*const blst_p1_affine> = first.iter().map(|p| &raw const p.0).collect();
        let second: Vec<*const blst_p2_affine> = second.iter().map(|p| &raw const p.0).collect();
        let count = first.len().min(second.len());
        if count > 0 {
            // SAFETY: both vectors hold at least as many pointers as the count says, to points
            // that outlive the call.
            unsafe {
                blst::blst_miller_loop_n(&raw mut out.0, second.as_ptr(), first.as_ptr(), count);
            }
        }
        out
    }

    /// Takes twelve canonical field elements of an element of the group other than 1.
    pub(in crate::key::dabe) fn from_bytes(bytes: &[u8; GT_LEN]) -> Option<Self> {
        let mut out = Self(blst_fp12 { fp6: [blst_fp6::default(); 2] });
        for (i, chunk) in bytes.chunks_exact(FP_LEN).enumerate() {
            let mut fp = blst_fp::default();
            let mut again = [0; FP_LEN];
            // SAFETY: the chunk and `again` have the 48 bytes of a field element.
            unsafe {
                blst::blst_fp_from_bendian(&raw mut fp, chunk.as_ptr());
                blst::blst_bendian_from_fp(again.as_mut_ptr(), &raw const fp);
            }
            if again != chunk {
                return None;
            }
            out.0.fp6[(i / 2) % 2].fp2[i / 4].fp[i % 2] = fp;
        }
        // SAFETY: both functions only read a live element.
        let fine = unsafe {
            blst::blst_fp12_in_group(&raw const out.0) && !blst::blst_fp12_is_one(&raw const out.0)
        };
        fine.then_some(out)
    }

    /// Returns the twelve field elements, big-endian, coefficients of w^0 to w^5.
    pub(in crate::key::dabe) fn to_bytes(&self) -> Zeroizing<[u8; GT_LEN]> {
        let mut out = Zeroizing::new([0; GT_LEN]);
        // SAFETY: `out` has the 576 bytes that are written.
        unsafe { blst::blst_bendian_from_fp12(out.as_mut_ptr(), &raw const self.0) };
        out
    }

    /// Says whether both are the same element. For public values.
    pub(in crate::key::dabe) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn multiplied(&self, other: &Self) -> Self {
        let mut out = blst_fp12::default();
        // SAFETY: three live elements.
        unsafe { blst::blst_fp12_mul(&raw mut out, &raw const self.0, &raw const other.0) };
        Self(out)
    }

    /// Returns the element to the power |z|^k: on this group the p-th power is the z-th.
    fn to_parameter_power(&self, k: usize) -> Self {
        let mut out = blst_fp12::default();
        // SAFETY: live elements; the map is defined for 1 to 3. Conjugation is inversion here,
        // and corrects the sign of z in the odd powers.
        unsafe {
            blst::blst_fp12_frobenius_map(&raw mut out, &raw const self.0, k);
            if k % 2 == 1 {
                blst::blst_fp12_conjugate(&raw mut out);
            }
        }
        Self(out)
    }
}

/// A public base in the target group with its products of g, g^|z|, g^|z|², g^|z|³.
pub(in crate::key::dabe) struct GtBase(Vec<Gt>);

impl GtBase {
    /// Precomputes for `base`.
    pub(in crate::key::dabe) fn new(base: &Gt) -> Self {
        let mut table = vec![Gt(blst_fp12::default()), base.clone()];
        for k in 1..4 {
            let power = base.to_parameter_power(k);
            let with: Vec<Gt> = table.iter().skip(1).map(|e| e.multiplied(&power)).collect();
            table.push(power);
            table.extend(with);
        }
        Self(table)
    }

    /// Returns the base.
    pub(in crate::key::dabe) fn base(&self) -> &Gt {
        &self.0[1]
    }

    /// Reads the whole table, so that memory traffic does not depend on the index.
    fn select(&self, index: u64) -> Gt {
        let mut out = Gt(blst_fp12 { fp6: [blst_fp6::default(); 2] });
        for (i, entry) in (0u64..).zip(&self.0) {
            let other = std::hint::black_box(i ^ index);
            let mask = ((other | other.wrapping_neg()) >> 63).wrapping_sub(1);
            for j in 0..2 {
                for k in 0..3 {
                    for l in 0..2 {
                        let to = &mut out.0.fp6[j].fp2[k].fp[l].l;
                        let from = &entry.0.fp6[j].fp2[k].fp[l].l;
                        to.iter_mut().zip(from).for_each(|(t, f)| *t |= f & mask);
                    }
                }
            }
        }
        out
    }

    /// Returns the product of the bases, each to the power of its scalar.
    ///
    /// A scalar is four digits in base |z|; one run of 64 squarings serves them all.
    pub(in crate::key::dabe) fn product_of_powers(terms: &[(&Self, &Scalar)]) -> Gt {
        let digits: Vec<_> = terms.iter().map(|(_, scalar)| digits(scalar)).collect();
        let mut out = Gt(blst_fp12::default());
        for bit in (0..64).rev() {
            // SAFETY: one live element, which `blst` may read and write in place.
            unsafe { blst::blst_fp12_cyclotomic_sqr(&raw mut out.0, &raw const out.0) };
            for ((base, _), d) in terms.iter().zip(&digits) {
                let index = (0..4).fold(0, |acc, k| acc | ((d[k] >> bit) & 1) << k);
                out = out.multiplied(&base.select(index));
            }
        }
        out
    }
}

/// Writes the number in base |z|, z the curve parameter: four digits of 64 bits, lowest first.
///
/// Restoring division bit by bit: 768 steps whose course does not depend on the number.
fn digits(scalar: &Scalar) -> Zeroizing<[u64; 4]> {
    let mut rest = Zeroizing::new([0u64; 4]);
    for (limb, bytes) in rest.iter_mut().zip(scalar.0.b.chunks_exact(8)) {
        *limb = u64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes"));
    }
    let mut digits = Zeroizing::new([0u64; 4]);
    for digit in digits.iter_mut().take(3) {
        *digit = divide(&mut rest, PARAMETER);
    }
    digits[3] = rest[0];
    digits
}

/// The absolute value of the curve parameter; the parameter itself is negative.
const PARAMETER: u64 = 0xd201_0000_0001_0000;

/// Divides a 256-bit number in place and returns the remainder, in constant time.
fn divide(number: &mut [u64; 4], by: u64) -> u64 {
    let by = u128::from(by);
    let mut remainder = 0u128;
    for limb in number.iter_mut().rev() {
        let mut quotient = 0;
        for bit in (0..64).rev() {
            remainder = (remainder << 1) | u128::from((*limb >> bit) & 1);
            let (less, borrow) = remainder.overflowing_sub(by);
            let keep = std::hint::black_box(u128::from(borrow)).wrapping_neg();
            remainder = (remainder & keep) | (less & !keep);
            quotient = (quotient << 1) | u64::from(keep == 0);
        }
        *limb = quotient;
    }
    u64::try_from(remainder).expect("a remainder is below its 64-bit divisor")
}
