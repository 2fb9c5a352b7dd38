//! Texts that say who wrote them and whether they are whole; random numbers; time.

use std::time::SystemTime;

/// Which text of which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TextId {
    pub(crate) worker: u64,
    pub(crate) number: u64,
}

impl std::fmt::Display for TextId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.worker, self.number)
    }
}

impl TextId {
    pub(crate) fn parse(text: &str) -> Self {
        let (worker, number) = text.split_once(':').expect("two numbers");
        Self { worker: worker.parse().unwrap(), number: number.parse().unwrap() }
    }

    /// Makes the text: of a length that differs from text to text.
    pub(crate) fn text(self) -> Vec<u8> {
        let len = (self.number * 7919 + self.worker * 104_729) % 12_000;
        let line = format!("{self} of {len}\n");
        let mut text = line.clone().into_bytes();
        while (text.len() as u64) < len {
            text.extend_from_slice(line.as_bytes());
        }
        text
    }

    /// Says which text this is; `None` when it is none, or not whole.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let end = text.iter().position(|b| *b == b' ')?;
        let (worker, number) = std::str::from_utf8(&text[..end]).ok()?.split_once(':')?;
        let id = Self { worker: worker.parse().ok()?, number: number.parse().ok()? };
        (id.text() == text).then_some(id)
    }
}

/// Numbers that depend on the seed alone (Knuth's MMIX generator, its upper half).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) % limit
    }
}

/// Nanoseconds that all processes of this machine count alike.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2554")
}
