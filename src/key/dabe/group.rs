//! The groups of BLS12-381 over `blst`: the only place that names it, and the only `unsafe`.
//!
//! Every point that enters through `from_bytes` is canonical, on the curve, in the prime-order
//! subgroup and not the identity; the only other sources are generators, hashes and products of
//! those. Exponentiations take the same time for every exponent.

#![allow(unsafe_code)]

use blst::{
    blst_fp, blst_fp6, blst_fp12, blst_p1, blst_p1_affine, blst_p2, blst_p2_affine, blst_scalar,
};
use zeroize::{Zeroize, Zeroizing};

use crate::key::hash;

/// Bytes of a compressed point of the first group.
pub(super) const G1_LEN: usize = 48;
/// Bytes of a compressed point of the second group.
pub(super) const G2_LEN: usize = 96;
/// Bytes of an element of the target group: twelve field elements.
pub(super) const GT_LEN: usize = 576;
/// Bytes of a scalar.
pub(super) const SCALAR_LEN: usize = 32;

const FP_LEN: usize = 48;
const SCALAR_BITS: usize = 255;
/// RFC 9380, `hash_to_field` for a 255-bit order at 128 bits: ceil((255 + 128) / 8).
const WIDE_LEN: usize = 48;

/// An exponent below the group order; `blst` wipes it on drop.
pub(super) struct Scalar(blst_scalar);

impl Scalar {
    /// Takes 32 big-endian bytes of a number from 1 to the order minus 1.
    pub(super) fn from_bytes(bytes: &[u8; SCALAR_LEN]) -> Option<Self> {
        let mut out = blst_scalar::default();
        // SAFETY: both pointers are to live buffers of 32 bytes; the check only reads `out`.
        let in_range = unsafe {
            blst::blst_scalar_from_bendian(&raw mut out, bytes.as_ptr());
            blst::blst_sk_check(&raw const out)
        };
        in_range.then_some(Self(out))
    }

    /// Returns 32 big-endian bytes.
    pub(super) fn to_bytes(&self) -> Zeroizing<[u8; SCALAR_LEN]> {
        let mut out = Zeroizing::new([0; SCALAR_LEN]);
        // SAFETY: `out` has the 32 bytes that are written.
        unsafe { blst::blst_bendian_from_scalar(out.as_mut_ptr(), &raw const self.0) };
        out
    }

    /// Hashes to a scalar: 48 bytes of `expand_message_xmd` (RFC 9380) modulo the order.
    pub(super) fn hash(message: &[u8], dst: &[u8]) -> Self {
        let mut wide = Zeroizing::new([0; WIDE_LEN]);
        let mut out = blst_scalar::default();
        // SAFETY: every pointer goes with the length of its own live buffer. The result of the
        // reduction only says whether it is zero, which has probability 2^-255.
        unsafe {
            blst::blst_expand_message_xmd(
                wide.as_mut_ptr(),
                WIDE_LEN,
                message.as_ptr(),
                message.len(),
                dst.as_ptr(),
                dst.len(),
            );
            blst::blst_scalar_from_be_bytes(&raw mut out, wide.as_ptr(), WIDE_LEN);
        }
        Self(out)
    }

    /// Draws a scalar from the crypto module's generator.
    pub(super) fn random() -> Self {
        loop {
            let mut bytes = Zeroizing::new([0; SCALAR_LEN]);
            hash::fill_random(&mut bytes[..]);
            bytes[0] &= 0x7f;
            if let Some(scalar) = Self::from_bytes(&bytes) {
                return scalar;
            }
        }
    }

    /// Makes a second copy, wiped like the first.
    pub(super) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Adds modulo the order.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut out = blst_scalar::default();
        // SAFETY: three live scalars; the result only says whether the sum is zero.
        unsafe {
            blst::blst_sk_add_n_check(&raw mut out, &raw const self.0, &raw const other.0);
        }
        Self(out)
    }

    /// Writes the number in base |z|, z the curve parameter: four digits of 64 bits, lowest first.
    ///
    /// Restoring division bit by bit: 768 steps whose course does not depend on the number.
    fn digits(&self) -> Zeroizing<[u64; 4]> {
        let mut rest = Zeroizing::new([0u64; 4]);
        for (limb, bytes) in rest.iter_mut().zip(self.0.b.chunks_exact(8)) {
            *limb = u64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes"));
        }
        let mut digits = Zeroizing::new([0u64; 4]);
        for digit in digits.iter_mut().take(3) {
            *digit = divide(&mut rest, PARAMETER);
        }
        digits[3] = rest[0];
        digits
    }
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

/// Gives each source group the same operations over its own `blst` functions.
macro_rules! source_group {
    ($(#[$doc:meta])* $name:ident, $len:expr, $affine:ty, $jacobian:ty, $generator:path,
     $uncompress:path, $in_group:path, $is_inf:path, $compress:path, $from_affine:path,
     $to_affine:path, $mult:path, $add:path) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub(super) struct $name($affine);

        impl $name {
            /// Returns the generator of the standard.
            pub(super) fn generator() -> Self {
                // SAFETY: `blst` returns a pointer to a constant.
                Self(unsafe { *$generator() })
            }

            /// Takes the one compressed encoding of a point of the subgroup other than infinity.
            pub(super) fn from_bytes(bytes: &[u8; $len]) -> Option<Self> {
                let mut point = <$affine>::default();
                // SAFETY: the input has the length of a compressed point; the checks only read.
                let fine = unsafe {
                    $uncompress(&raw mut point, bytes.as_ptr()) == blst::BLST_ERROR::BLST_SUCCESS
                        && !$is_inf(&raw const point)
                        && $in_group(&raw const point)
                };
                fine.then_some(Self(point))
            }

            /// Returns the compressed encoding.
            pub(super) fn to_bytes(&self) -> [u8; $len] {
                let mut out = [0; $len];
                // SAFETY: `out` has the length of a compressed point.
                unsafe { $compress(out.as_mut_ptr(), &raw const self.0) };
                out
            }

            /// Multiplies by a scalar.
            pub(super) fn times(&self, scalar: &Scalar) -> Self {
                Self::sum_of_products(&[(self, scalar)])
            }

            /// Returns the sum of the points, each times its scalar.
            pub(super) fn sum_of_products(terms: &[(&Self, &Scalar)]) -> Self {
                let mut sum = <$jacobian>::default();
                let mut affine = <$affine>::default();
                // SAFETY: all pointers are to live values of their types; a scalar has the 32
                // bytes that 255 bits need. The zero of the Jacobian form is infinity.
                unsafe {
                    for (point, scalar) in terms {
                        let mut from = <$jacobian>::default();
                        let mut product = <$jacobian>::default();
                        $from_affine(&raw mut from, &raw const point.0);
                        let bytes = scalar.0.b.as_ptr();
                        $mult(&raw mut product, &raw const from, bytes, SCALAR_BITS);
                        $add(&raw mut sum, &raw const sum, &raw const product);
                    }
                    $to_affine(&raw mut affine, &raw const sum);
                }
                Self(affine)
            }
        }
    };
}

source_group!(
    /// A point of the first group.
    G1, G1_LEN, blst_p1_affine, blst_p1, blst::blst_p1_affine_generator,
    blst::blst_p1_uncompress, blst::blst_p1_affine_in_g1, blst::blst_p1_affine_is_inf,
    blst::blst_p1_affine_compress, blst::blst_p1_from_affine, blst::blst_p1_to_affine,
    blst::blst_p1_mult, blst::blst_p1_add_or_double
);
source_group!(
    /// A point of the second group.
    G2, G2_LEN, blst_p2_affine, blst_p2, blst::blst_p2_affine_generator,
    blst::blst_p2_uncompress, blst::blst_p2_affine_in_g2, blst::blst_p2_affine_is_inf,
    blst::blst_p2_affine_compress, blst::blst_p2_from_affine, blst::blst_p2_to_affine,
    blst::blst_p2_mult, blst::blst_p2_add_or_double
);

impl G1 {
    /// Hashes to the group: RFC 9380, suite `BLS12381G1_XMD:SHA-256_SSWU_RO_`.
    pub(super) fn hash(message: &[u8], dst: &[u8]) -> Self {
        let mut point = blst_p1::default();
        let mut affine = blst_p1_affine::default();
        // SAFETY: every pointer goes with the length of its own live buffer; no augmentation.
        unsafe {
            blst::blst_hash_to_g1(
                &raw mut point,
                message.as_ptr(),
                message.len(),
                dst.as_ptr(),
                dst.len(),
                std::ptr::null(),
                0,
            );
            blst::blst_p1_to_affine(&raw mut affine, &raw const point);
        }
        Self(affine)
    }

    /// Returns the inverse.
    pub(super) fn negated(&self) -> Self {
        let mut point = blst_p1::default();
        let mut affine = blst_p1_affine::default();
        // SAFETY: all pointers are to live values of their types.
        unsafe {
            blst::blst_p1_from_affine(&raw mut point, &raw const self.0);
            blst::blst_p1_cneg(&raw mut point, true);
            blst::blst_p1_to_affine(&raw mut affine, &raw const point);
        }
        Self(affine)
    }

    /// Overwrites the point.
    pub(super) fn wipe(&mut self) {
        self.0.x.l.zeroize();
        self.0.y.l.zeroize();
    }
}

impl G2 {
    /// Overwrites the point.
    pub(super) fn wipe(&mut self) {
        for fp in self.0.x.fp.iter_mut().chain(&mut self.0.y.fp) {
            fp.l.zeroize();
        }
    }
}

/// An element of the target group; it masks secrets, so it is wiped on drop.
#[derive(Clone)]
pub(super) struct Gt(blst_fp12);

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
    pub(super) fn pairing_product(first: &[G1], second: &[G2]) -> Self {
        assert!(!first.is_empty() && first.len() == second.len(), "points come in pairs");
        let first: Vec<*const blst_p1_affine> = first.iter().map(|p| &raw const p.0).collect();
        let second: Vec<*const blst_p2_affine> = second.iter().map(|p| &raw const p.0).collect();
        let mut line_product = Self(blst_fp12::default());
        let mut out = Self(blst_fp12::default());
        // SAFETY: both vectors hold as many pointers as the count says, to points that outlive
        // the call.
        unsafe {
            let (points, count) = (&raw mut line_product.0, first.len());
            blst::blst_miller_loop_n(points, second.as_ptr(), first.as_ptr(), count);
            blst::blst_final_exp(&raw mut out.0, &raw const line_product.0);
        }
        out
    }

    /// Takes twelve canonical field elements of an element of the group other than 1.
    pub(super) fn from_bytes(bytes: &[u8; GT_LEN]) -> Option<Self> {
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
    pub(super) fn to_bytes(&self) -> Zeroizing<[u8; GT_LEN]> {
        let mut out = Zeroizing::new([0; GT_LEN]);
        // SAFETY: `out` has the 576 bytes that are written.
        unsafe { blst::blst_bendian_from_fp12(out.as_mut_ptr(), &raw const self.0) };
        out
    }

    /// Says whether both are the same element. For public values.
    pub(super) fn is(&self, other: &Self) -> bool {
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
pub(super) struct GtBase(Vec<Gt>);

impl GtBase {
    /// Precomputes for `base`.
    pub(super) fn new(base: &Gt) -> Self {
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
    pub(super) fn base(&self) -> &Gt {
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
    pub(super) fn product_of_powers(terms: &[(&Self, &Scalar)]) -> Gt {
        let digits: Vec<_> = terms.iter().map(|(_, scalar)| scalar.digits()).collect();
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
