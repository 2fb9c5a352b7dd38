//! Does this store really honour conditional writes?

use bytes::Bytes;

use super::Bucket;
use super::backend::{Condition, Put, Version};
use super::name::ObjectName;
use crate::error::{Error, Kind, Result};

impl Bucket {
    /// Proves on a throw-away object that the bucket can be written and that conditions count:
    /// a second creation and an update of a stale version must be refused, an update of the
    /// current version must happen.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] when a condition is ignored, with its name; else what the store says.
    pub async fn probe(&self) -> Result<()> {
        let name = ObjectName::new(&format!("probe/{}", random_hex()?))?;
        let verdict = self.probe_object(&name).await;
        let cleaned = self.delete(&name).await;
        verdict.and(cleaned)
    }

    async fn probe_object(&self, name: &ObjectName) -> Result<()> {
        let first = self.probe_put(name, "first", Condition::Absent).await?.ok_or_else(|| {
            broken("it refused to create an object that did not exist (If-None-Match: *)")
        })?;
        if self.probe_put(name, "again", Condition::Absent).await?.is_some() {
            return Err(ignored(
                "If-None-Match: *",
                "a second writer replaced an object that existed",
            ));
        }
        let second = self.probe_put(name, "second", Condition::Matches(first.clone())).await?;
        let second = second.ok_or_else(|| {
            broken("it refused to replace the version that it had just stored (If-Match)")
        })?;
        if self.probe_put(name, "stale", Condition::Matches(first)).await?.is_some() {
            return Err(ignored("If-Match", "a writer with an old version replaced a newer one"));
        }
        let read =
            self.get(name, 16).await?.ok_or_else(|| broken("it lost an object just stored"))?;
        if &read.bytes[..] != b"second" || read.version != second {
            return Err(broken("it reads back something else than was stored last"));
        }
        self.delete(name).await?;
        if self.probe_put(name, "gone", Condition::Matches(second)).await?.is_some() {
            return Err(ignored("If-Match", "a writer replaced an object that no longer exists"));
        }
        Ok(())
    }

    async fn probe_put(
        &self,
        name: &ObjectName,
        text: &'static str,
        condition: Condition,
    ) -> Result<Option<Version>> {
        match self.put(name, Bytes::from_static(text.as_bytes()), condition).await? {
            Put::Stored(version) => Ok(Some(version)),
            Put::Refused => Ok(None),
        }
    }
}

const HINT: &str = "use a store with conditional writes: AWS S3, Azure, Google Cloud Storage, \
                    SeaweedFS, MinIO, or a local directory (file://)";

fn ignored(condition: &str, seen: &str) -> Error {
    Error::new(Kind::Unsupported, "this store accepts conditional writes and ignores them")
        .because(format!(
            "{condition} had no effect: {seen}; two writers would lose each other's work"
        ))
        .hint(HINT)
}

fn broken(seen: &'static str) -> Error {
    Error::new(Kind::Unsupported, "this store does not do conditional writes")
        .because(seen)
        .hint(HINT)
}

fn random_hex() -> Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::new(Kind::Internal, "the operating system gives no random numbers"))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}
