//! SHA-256, HKDF-SHA-256 (RFC 5869) and random bytes, from the one crypto module.

use aws_lc_rs::{constant_time, digest, hkdf, hmac, rand};

use super::secret::Secret;

/// Returns SHA-256 over the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut ctx = digest::Context::new(&digest::SHA256);
    for p in parts {
        ctx.update(p);
    }
    let mut out = [0; 32];
    out.copy_from_slice(ctx.finish().as_ref());
    out
}

/// Returns HMAC-SHA-256 over the concatenation of `parts`.
pub fn hmac_sha256(key: &Secret<32>, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// Derives `N` bytes by HKDF-SHA-256 from `ikm` under `salt`, bound to the concatenated `info`.
///
/// # Panics
/// Never: `N` is far below the limit of 255 blocks.
pub fn hkdf<const N: usize>(salt: &[u8], ikm: &[u8], info: &[&[u8]]) -> Secret<N> {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(ikm);
    let okm = prk.expand(info, Len(N)).expect("the output is shorter than 255 blocks");
    let mut out = zeroize::Zeroizing::new([0; N]);
    okm.fill(&mut out[..]).expect("the buffer has the length asked for");
    Secret::new(*out)
}

/// Fills `out` with random bytes of the crypto module.
///
/// # Panics
/// When the operating system has no randomness: nothing safe can be done without it.
pub fn fill_random(out: &mut [u8]) {
    rand::fill(out).expect("the operating system provides randomness");
}

/// Returns `N` random public bytes: names, nonces, identifiers.
pub fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    fill_random(&mut out);
    out
}

/// Compares in constant time.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231_for_a_key_of_32_bytes() {
        // The key of its first case, filled up with zeros as HMAC does.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let tag = hmac_sha256(&Secret::new(key), &[b"Hi ", b"There"]);
        assert_eq!(tag[..4], [0xb0, 0x34, 0x4c, 0x61]);
        assert_eq!(tag[28..], [0x2e, 0x32, 0xcf, 0xf7]);
    }

    #[test]
    fn hkdf_gives_rfc_5869_test_case_1() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let okm = hkdf::<42>(&salt, &[0x0b; 22], &[&info]);
        assert_eq!(okm.expose()[..4], [0x3c, 0xb2, 0x5f, 0x25]);
        assert_eq!(okm.expose()[38..], [0x87, 0x18, 0x58, 0x65]);
    }
}
