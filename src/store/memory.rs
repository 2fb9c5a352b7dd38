//! A bucket in the memory of this process, for tests.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::backend::{
    Attempt, Backend, Condition, Counters, Fetched, Listed, Object, Pages, Put, RequestCounts,
    Upload, Version, absent, over_limit, wrong_length,
};
use super::name::ObjectName;

#[derive(Default)]
struct Objects {
    by_name: BTreeMap<ObjectName, Object>,
    written: u64,
}

impl Objects {
    fn store(&mut self, name: &ObjectName, bytes: Bytes) -> Version {
        self.written += 1;
        let version = Version::new(&self.written.to_string());
        self.by_name.insert(name.clone(), Object { bytes, version: version.clone() });
        version
    }
}

#[derive(Clone, Default)]
pub(super) struct Memory {
    objects: Arc<Mutex<Objects>>,
    counters: Arc<Counters>,
}

impl Memory {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Backend for Memory {
    async fn get(
        &self,
        name: &ObjectName,
        unless: Option<&Version>,
        limit_bytes: u64,
    ) -> Attempt<Fetched> {
        Counters::count(&self.counters.get);
        let objects = self.objects();
        let Some(object) = objects.by_name.get(name) else { return Ok(Fetched::Absent) };
        if unless == Some(&object.version) {
            return Ok(Fetched::Unchanged);
        }
        let size_bytes = object.bytes.len() as u64;
        if size_bytes > limit_bytes {
            return Err(over_limit(name, size_bytes, limit_bytes).into());
        }
        Ok(Fetched::Changed(object.clone()))
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Attempt<Bytes> {
        Counters::count(&self.counters.get_range);
        let objects = self.objects();
        let object = objects.by_name.get(name).ok_or_else(|| absent(name))?;
        let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end))
        else {
            return Err(wrong_length(name, &range).into());
        };
        if end > object.bytes.len() {
            return Err(wrong_length(name, &range).into());
        }
        Ok(object.bytes.slice(start..end))
    }

    async fn put(&self, name: &ObjectName, bytes: Bytes, condition: &Condition) -> Attempt<Put> {
        Counters::count(&self.counters.put);
        let mut objects = self.objects();
        let current = objects.by_name.get(name).map(|o| &o.version);
        let holds = match condition {
            Condition::Absent => current.is_none(),
            Condition::Matches(version) => current == Some(version),
            Condition::Always => true,
        };
        if !holds {
            return Ok(Put::Refused);
        }
        Ok(Put::Stored(objects.store(name, bytes)))
    }

    async fn upload(&self, name: &ObjectName) -> Attempt<Box<dyn Upload>> {
        let parts = Mutex::default();
        Ok(Box::new(MemoryUpload { memory: self.clone(), name: name.clone(), parts }))
    }

    fn list(&self, prefix: &str) -> Box<dyn Pages> {
        Counters::count(&self.counters.list);
        let below = |name: &ObjectName| {
            prefix.is_empty()
                || name.as_str().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
        };
        let objects = self.objects();
        let found: Vec<_> = objects
            .by_name
            .iter()
            .filter(|(name, _)| below(name))
            .map(|(name, object)| Listed {
                name: name.clone(),
                size_bytes: object.bytes.len() as u64,
                version: object.version.clone(),
            })
            .collect();
        Box::new(OnePage(Some(found)))
    }

    async fn delete(&self, name: &ObjectName) -> Attempt<()> {
        Counters::count(&self.counters.delete);
        self.objects().by_name.remove(name);
        Ok(())
    }

    async fn sync(&self) -> Attempt<()> {
        Ok(())
    }

    fn requests(&self) -> RequestCounts {
        self.counters.snapshot()
    }
}

struct OnePage(Option<Vec<Listed>>);

#[async_trait]
impl Pages for OnePage {
    async fn next(&mut self) -> Attempt<Option<Vec<Listed>>> {
        Ok(self.0.take())
    }
}

struct MemoryUpload {
    memory: Memory,
    name: ObjectName,
    parts: Mutex<BTreeMap<usize, Bytes>>,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn part(&self, index: usize, bytes: Bytes) -> Attempt<()> {
        Counters::count(&self.memory.counters.put);
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(index, bytes);
        Ok(())
    }

    async fn complete(&self) -> Attempt<Version> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let whole: Vec<u8> = parts.values().flatten().copied().collect();
        Ok(self.memory.objects().store(&self.name, whole.into()))
    }

    async fn abort(&self) {}
}
