//! The one encoding of stored structures: fixed-width little-endian integers, length-prefixed
//! byte strings with a limit, and nothing after the end.
//!
//! Every reader takes the limit before it allocates, and [`Reader::finish`] refuses trailing
//! bytes, so that one meaning has one encoding.

use crate::error::{Error, Result};

/// Appends fields to a growing byte string.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Makes an empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one byte.
    pub fn u8(&mut self, v: u8) -> &mut Self {
        self.0.push(v);
        self
    }

    /// Appends two bytes, little-endian.
    pub fn u16(&mut self, v: u16) -> &mut Self {
        self.bytes(&v.to_le_bytes())
    }

    /// Appends four bytes, little-endian.
    pub fn u32(&mut self, v: u32) -> &mut Self {
        self.bytes(&v.to_le_bytes())
    }

    /// Appends eight bytes, little-endian.
    pub fn u64(&mut self, v: u64) -> &mut Self {
        self.bytes(&v.to_le_bytes())
    }

    /// Appends eight bytes, little-endian two's complement.
    pub fn i64(&mut self, v: i64) -> &mut Self {
        self.bytes(&v.to_le_bytes())
    }

    /// Appends bytes whose count the reader knows.
    pub fn bytes(&mut self, v: &[u8]) -> &mut Self {
        self.0.extend_from_slice(v);
        self
    }

    /// Appends a two-byte count and that many bytes.
    ///
    /// # Panics
    /// Never for the values that callers pass: every short field is limited below 65,536 bytes
    /// where it is made.
    pub fn short(&mut self, v: &[u8]) -> &mut Self {
        let n = u16::try_from(v.len()).expect("short fields are limited where they are made");
        self.u16(n).bytes(v)
    }

    /// Appends a four-byte count and that many bytes.
    pub fn long(&mut self, v: &[u8]) -> &mut Self {
        let n = u32::try_from(v.len()).expect("long fields are limited where they are made");
        self.u32(n).bytes(v)
    }

    /// Returns the number of bytes so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Returns the bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Takes fields off a byte string that came from outside.
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
    start_len: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte; `what` names the structure in errors.
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what, start_len: bytes.len() }
    }

    /// Makes the error of this structure.
    pub fn bad(&self, why: &str) -> Error {
        Error::damaged(format!("{} cannot be read", self.what)).because(why)
    }

    /// Returns how many bytes were taken.
    pub fn position(&self) -> usize {
        self.start_len - self.rest.len()
    }

    /// Returns how many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    /// `Integrity` when fewer are left; so for every method here.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        if n > self.rest.len() {
            return Err(self.bad("it ends too early"));
        }
        let (head, rest) = self.rest.split_at(n);
        self.rest = rest;
        Ok(head)
    }

    /// Takes exactly `N` bytes.
    ///
    /// # Errors
    /// `Integrity` when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.bytes(N)?.try_into().expect("bytes(N) returns N bytes"))
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// `Integrity` when none is left.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Takes two bytes, little-endian.
    ///
    /// # Errors
    /// `Integrity` when fewer are left.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Takes four bytes, little-endian.
    ///
    /// # Errors
    /// `Integrity` when fewer are left.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Takes eight bytes, little-endian.
    ///
    /// # Errors
    /// `Integrity` when fewer are left.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Takes eight bytes, little-endian two's complement.
    ///
    /// # Errors
    /// `Integrity` when fewer are left.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Takes a two-byte count and that many bytes, at most `limit`.
    ///
    /// # Errors
    /// `Integrity` when the count is over the limit or over what is left.
    pub fn short(&mut self, limit: usize) -> Result<&'a [u8]> {
        let n = usize::from(self.u16()?);
        if n > limit {
            return Err(self.bad("a field is over its limit"));
        }
        self.bytes(n)
    }

    /// Takes a four-byte count and that many bytes, at most `limit`.
    ///
    /// # Errors
    /// `Integrity` when the count is over the limit or over what is left.
    pub fn long(&mut self, limit: usize) -> Result<&'a [u8]> {
        let n = self.u32()? as usize;
        if n > limit {
            return Err(self.bad("a field is over its limit"));
        }
        self.bytes(n)
    }

    /// Takes a short field that must be UTF-8.
    ///
    /// # Errors
    /// `Integrity` when it is over the limit or not UTF-8.
    pub fn text(&mut self, limit: usize) -> Result<&'a str> {
        let bytes = self.short(limit)?;
        std::str::from_utf8(bytes).map_err(|_| self.bad("a text is not UTF-8"))
    }

    /// Ends the structure.
    ///
    /// # Errors
    /// `Integrity` when bytes are left over.
    pub fn finish(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.bad("bytes follow its end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn what_is_written_is_read_and_nothing_may_follow() {
        let mut w = Writer::new();
        w.u8(7).u16(0x1234).u32(1).u64(u64::MAX).i64(-5).short(b"ab").long(b"xyz");
        let mut bytes = w.into_bytes();
        let mut r = Reader::new(&bytes, "test");
        assert_eq!((r.u8().unwrap(), r.u16().unwrap(), r.u32().unwrap()), (7, 0x1234, 1));
        assert_eq!((r.u64().unwrap(), r.i64().unwrap()), (u64::MAX, -5));
        assert_eq!((r.short(2).unwrap(), r.long(3).unwrap()), (&b"ab"[..], &b"xyz"[..]));
        r.finish().unwrap();
        bytes.push(0);
        let mut r = Reader::new(&bytes, "test");
        r.bytes(bytes.len() - 1).unwrap();
        assert_eq!(r.finish().unwrap_err().kind(), Kind::Integrity);
    }

    #[test]
    fn a_count_over_the_limit_is_refused_before_anything_is_taken() {
        let mut r = Reader::new(&[0xff, 0xff, 0xff, 0xff, 1], "test");
        assert!(r.long(1 << 20).is_err());
        let mut r = Reader::new(&[3, 0, 1, 2, 3], "test");
        assert!(r.short(2).is_err());
    }
}
