//! Seconds since 1970 as dates of the proleptic Gregorian calendar, in UTC.

use crate::error::{Error, Kind, Result};

const DAY_S: i64 = 86_400;

/// Returns year, month and day of a day counted from 1970-01-01.
fn civil(day: i64) -> (i64, i64, i64) {
    // Days are counted from 0000-03-01, so that the leap day ends a year.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Returns the day, counted from 1970-01-01, of a date.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Returns the first second of the year that a second lies in.
pub(crate) fn year_start_unix_s(unix_s: i64) -> i64 {
    let (year, _, _) = civil(unix_s.div_euclid(DAY_S));
    day_number(year, 1, 1) * DAY_S
}

/// Writes a second as RFC 3339: `2027-02-03T04:05:06Z`.
pub(crate) fn format_unix_s(unix_s: i64) -> String {
    let (year, month, day) = civil(unix_s.div_euclid(DAY_S));
    let second = unix_s.rem_euclid(DAY_S);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

/// Reads `2027-02-03` and returns the last second of that day in UTC.
pub(crate) fn end_of_day(text: &str) -> Result<i64> {
    let bad = || {
        Error::new(Kind::Usage, format!("{text:?} is not a date"))
            .hint("write it as year-month-day: 2027-02-03")
    };
    let mut parts = text.split('-').map(|p| {
        let is_number = (2..=4).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit());
        if is_number { p.parse::<i64>().ok() } else { None }
    });
    let mut next = || parts.next().flatten().ok_or_else(bad);
    let (year, month, day) = (next()?, next()?, next()?);
    let number = day_number(year, month, day);
    if parts.next().is_some() || civil(number) != (year, month, day) {
        return Err(bad());
    }
    Ok(number * DAY_S + DAY_S - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_begins_on_its_first_day() {
        let start = |text: &str| format_unix_s(year_start_unix_s(end_of_day(text).unwrap()));
        assert_eq!(start("2027-01-01"), "2027-01-01T00:00:00Z");
        assert_eq!(start("2024-12-31"), "2024-01-01T00:00:00Z");
        assert_eq!(start("1969-06-30"), "1969-01-01T00:00:00Z");
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        let mut expected = (1970, 1, 1);
        for day in 0..146_097 {
            let (y, m, d) = civil(day);
            assert_eq!((y, m, d), expected);
            assert_eq!(day_number(y, m, d), day);
            let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
            let length = match m {
                2 => 28 + i64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (m, d == length) {
                (12, true) => (y + 1, 1, 1),
                (_, true) => (y, m + 1, 1),
                _ => (y, m, d + 1),
            };
        }
    }

    #[test]
    fn known_seconds_are_written_and_read() {
        assert_eq!(format_unix_s(0), "1970-01-01T00:00:00Z");
        assert_eq!(format_unix_s(1_709_210_096), "2024-02-29T12:34:56Z");
        assert_eq!(format_unix_s(-1), "1969-12-31T23:59:59Z");
        assert_eq!(format_unix_s(end_of_day("2024-02-29").unwrap()), "2024-02-29T23:59:59Z");
        for bad in ["2023-02-29", "2024-13-01", "2024-2", "24-02-01x", "", "2024-00-10", "a-b-c"] {
            assert!(end_of_day(bad).is_err(), "{bad}");
        }
    }
}
