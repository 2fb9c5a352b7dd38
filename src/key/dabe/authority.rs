//! What an authority holds, publishes and issues.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use lru::LruCache;
use zeroize::Zeroizing;

use super::group::{G1, G1_LEN, G2, G2_LEN, GT_LEN, Gt, GtBase, SCALAR_LEN, Scalar};
use crate::error::{Error, Result};
use crate::key::attribute::{EpochAttribute, Gid};
use crate::key::hash::sha256;
use crate::key::secret::Secret;
use crate::wire::Writer;

/// Bytes of an authority's secret: two scalars.
pub const AUTHORITY_SECRET_LEN: usize = 2 * SCALAR_LEN;
/// Bytes of an authority's public key: E and Y.
pub const AUTHORITY_PUBLIC_LEN: usize = GT_LEN + G2_LEN;
/// Bytes of an attribute key: K and K'.
pub const ATTRIBUTE_KEY_LEN: usize = G1_LEN + G2_LEN;

const GID_DST: &[u8] = b"CHARTFS-MAABE-V1-GID-BLS12381G1_XMD:SHA-256_SSWU_RO_";
const ATTRIBUTE_DST: &[u8] = b"CHARTFS-MAABE-V1-ATTR-BLS12381G1_XMD:SHA-256_SSWU_RO_";
const TAU_DST: &[u8] = b"CHARTFS-MAABE-V1-TAU-XMD:SHA-256";

/// The same few attributes and one identifier return in every capsule; all are public.
const HASHES_KEPT: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");
type Hashes = LruCache<(&'static [u8], Vec<u8>), G1>;
static HASHES: LazyLock<Mutex<Hashes>> = LazyLock::new(|| Mutex::new(LruCache::new(HASHES_KEPT)));

fn hashed(message: Vec<u8>, dst: &'static [u8]) -> G1 {
    let hashes = || HASHES.lock().unwrap_or_else(PoisonError::into_inner);
    let name = (dst, message);
    if let Some(point) = hashes().get(&name) {
        return point.clone();
    }
    let point = G1::hash(&name.1, dst);
    hashes().put(name, point.clone());
    point
}

/// Hashes a global identifier: nobody knows its logarithm, which is what keeps the keys of two
/// users apart.
pub(super) fn H(gid: &Gid) -> G1 {
    hashed(gid.0.to_vec(), GID_DST)
}

/// Hashes an attribute in an epoch, with its authority.
pub(super) fn F(what: &EpochAttribute) -> G1 {
    hashed(encoded(what), ATTRIBUTE_DST)
}

/// Encodes an attribute so that no two share an encoding.
pub(super) fn encoded(what: &EpochAttribute) -> Vec<u8> {
    let mut w = Writer::new();
    w.short(what.attribute.authority.as_str().as_bytes()).short(what.label().as_bytes());
    w.into_bytes()
}

/// What an authority issues with: it never leaves the authority.
pub struct AuthoritySecret {
    alpha: Scalar,
    y: Scalar,
}

impl AuthoritySecret {
    /// Makes a new authority.
    pub fn generate() -> Self {
        Self { alpha: Scalar::random(), y: Scalar::random() }
    }

    /// Reads the two scalars, big-endian.
    ///
    /// # Errors
    /// `Integrity` when one is zero or not below the group order.
    pub fn from_bytes(bytes: &[u8; AUTHORITY_SECRET_LEN]) -> Result<Self> {
        let scalar = |half: &[u8]| {
            let half = Zeroizing::new(half.try_into().expect("half of 64 bytes is 32"));
            Scalar::from_bytes(&half)
                .ok_or_else(|| Error::damaged("an authority's secret is damaged"))
        };
        let (alpha, y) = bytes.split_at(SCALAR_LEN);
        Ok(Self { alpha: scalar(alpha)?, y: scalar(y)? })
    }

    /// Returns the two scalars, to be sealed.
    pub fn to_secret(&self) -> Secret<AUTHORITY_SECRET_LEN> {
        let mut out = Zeroizing::new([0; AUTHORITY_SECRET_LEN]);
        out[..SCALAR_LEN].copy_from_slice(&self.alpha.to_bytes()[..]);
        out[SCALAR_LEN..].copy_from_slice(&self.y.to_bytes()[..]);
        Secret::new(*out)
    }

    /// Computes the public key.
    pub fn public(&self) -> AuthorityPublic {
        let alpha = G1::generator().times(&self.alpha);
        let E = Gt::pairing_product(&[alpha], &[G2::generator()]);
        AuthorityPublic::new(&E, G2::generator().times(&self.y))
    }

    /// Issues the key of one attribute to one user.
    pub fn issue(&self, gid: &Gid, what: &EpochAttribute) -> AttributeKey {
        self.issue_with_seed(gid, what, &Secret::random())
    }

    /// Issues as [`Self::issue`] does, with randomness from `seed`: for known answers.
    ///
    /// The secret and the names go into the hash too, so that a seed used twice by mistake still
    /// gives unrelated keys.
    pub fn issue_with_seed(
        &self,
        gid: &Gid,
        what: &EpochAttribute,
        seed: &Secret<32>,
    ) -> AttributeKey {
        let secret = self.to_secret();
        let parts: [&[u8]; 4] = [seed.expose(), secret.expose(), &gid.0, &encoded(what)];
        let tau = Scalar::hash(&Zeroizing::new(parts.concat()), TAU_DST);
        let g1 = G1::generator();
        let K = G1::sum_of_products(&[(&g1, &self.alpha), (&H(gid), &self.y), (&F(what), &tau)]);
        AttributeKey { K, K_prime: G2::generator().times(&tau) }
    }
}

/// What everyone knows of an authority; serves any number of attributes.
#[derive(Clone)]
pub struct AuthorityPublic(Arc<PublicParts>);

struct PublicParts {
    E: GtBase,
    Y: G2,
    id: [u8; 32],
}

impl AuthorityPublic {
    fn new(E: &Gt, Y: G2) -> Self {
        let id = sha256(&[&E.to_bytes()[..], &Y.to_bytes()]);
        Self(Arc::new(PublicParts { E: GtBase::new(E), Y, id }))
    }

    /// Reads a public key.
    ///
    /// # Errors
    /// `Integrity` unless it has the right length, E is canonical, in the group and not 1, and Y
    /// is a canonical point of the subgroup other than infinity.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let parse = || {
            let bytes: &[u8; AUTHORITY_PUBLIC_LEN] = bytes.try_into().ok()?;
            let (E, Y) = bytes.split_at(GT_LEN);
            Some(Self::new(
                &Gt::from_bytes(E.try_into().ok()?)?,
                G2::from_bytes(Y.try_into().ok()?)?,
            ))
        };
        parse().ok_or_else(|| Error::damaged("an authority's public key is damaged"))
    }

    /// Returns E and Y.
    pub fn to_bytes(&self) -> [u8; AUTHORITY_PUBLIC_LEN] {
        let mut out = [0; AUTHORITY_PUBLIC_LEN];
        out[..GT_LEN].copy_from_slice(&self.0.E.base().to_bytes()[..]);
        out[GT_LEN..].copy_from_slice(&self.0.Y.to_bytes());
        out
    }

    /// Returns SHA-256(E ‖ Y), the name of the key in capsules.
    pub fn id(&self) -> [u8; 32] {
        self.0.id
    }

    pub(super) fn E(&self) -> &GtBase {
        &self.0.E
    }

    pub(super) fn Y(&self) -> &G2 {
        &self.0.Y
    }
}

/// One attribute of one user: opens together with the user's other keys, never with another
/// user's.
pub struct AttributeKey {
    K: G1,
    K_prime: G2,
}

impl Drop for AttributeKey {
    fn drop(&mut self) {
        self.K.wipe();
        self.K_prime.wipe();
    }
}

impl AttributeKey {
    /// Reads a key. Says nothing about whose it is: see [`Self::verify`].
    ///
    /// # Errors
    /// `Integrity` unless both points are canonical, in their subgroup and not infinity.
    pub fn from_bytes(bytes: &[u8; ATTRIBUTE_KEY_LEN]) -> Result<Self> {
        let parse = || {
            let (K, K_prime) = bytes.split_at(G1_LEN);
            let K = G1::from_bytes(K.try_into().ok()?)?;
            Some(Self { K, K_prime: G2::from_bytes(K_prime.try_into().ok()?)? })
        };
        parse().ok_or_else(|| Error::damaged("an attribute key is damaged"))
    }

    /// Returns K and K', to be sealed.
    pub fn to_secret(&self) -> Secret<ATTRIBUTE_KEY_LEN> {
        let mut out = Zeroizing::new([0; ATTRIBUTE_KEY_LEN]);
        out[..G1_LEN].copy_from_slice(&self.K.to_bytes());
        out[G1_LEN..].copy_from_slice(&self.K_prime.to_bytes());
        Secret::new(*out)
    }

    /// Says whether the authority issued this key for this attribute to this user.
    ///
    /// Needs no secret: e(K, g2) = E · e(H(gid), Y) · e(F(what), K'), by one Miller loop.
    pub fn verify(&self, authority: &AuthorityPublic, gid: &Gid, what: &EpochAttribute) -> bool {
        let first = [self.K.clone(), H(gid).negated(), F(what).negated()];
        let second = [G2::generator(), authority.Y().clone(), self.K_prime.clone()];
        Gt::pairing_product(&first, &second).is(authority.E().base())
    }

    pub(super) fn K(&self) -> &G1 {
        &self.K
    }

    pub(super) fn K_prime(&self) -> &G2 {
        &self.K_prime
    }
}
