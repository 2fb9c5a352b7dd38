//! What time it is: the one place that asks the machine's clock.

pub(crate) mod date;

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns nanoseconds since 1970-01-01T00:00:00Z.
pub fn now_unix_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Returns seconds since 1970-01-01T00:00:00Z.
pub fn now_unix_s() -> i64 {
    now_unix_ns() / 1_000_000_000
}

/// Returns the beginning of the year that a time lies in, in UTC.
pub fn year_of_unix_ns(unix_ns: i64) -> i64 {
    const NS_PER_S: i64 = 1_000_000_000;
    date::year_start_unix_s(unix_ns.div_euclid(NS_PER_S)).saturating_mul(NS_PER_S)
}
