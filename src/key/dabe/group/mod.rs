//! The groups of BLS12-381 over `blst`: the only place that names it, and the only `unsafe`.
//!
//! Every point that enters through `from_bytes` is canonical, on the curve, in the prime-order
//! subgroup and not the identity; the only other sources are generators, hashes and products of
//! those. Exponentiations take the same time for every exponent.

#![allow(unsafe_code)]

mod target;

use blst::{blst_p1, blst_p1_affine, blst_p2, blst_p2_affine, blst_scalar};
use zeroize::{Zeroize, Zeroizing};

use crate::key::hash;

pub(super) use target::{Gt, GtBase};

/// Bytes of a compressed point of the first group.
pub(super) const G1_LEN: usize = 48;
/// Bytes of a compressed point of the second group.
pub(super) const G2_LEN: usize = 96;
/// Bytes of an element of the target group: twelve field elements.
pub(super) const GT_LEN: usize = 576;
/// Bytes of a scalar.
pub(super) const SCALAR_LEN: usize = 32;

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
