//! Times: 100 ns units since 1601, and what people and other systems make of them. The machine's time zone is UTC.

use kernel::raw::{self, Outcome};

use crate::row::rows;

const MILLISECOND: u64 = 10_000;
const SECOND: u64 = 1000 * MILLISECOND;
const DAY: u64 = 86_400 * SECOND;
/// Seconds from 1601 to 1970 and to 1980.
const TO_1970: u64 = 11_644_473_600;
const TO_1980: u64 = 11_960_006_400;
/// The years that TIME_FIELDS may name.
const YEARS: std::ops::RangeInclusive<i16> = 1601..=30827;
/// Days in 400 years.
const ERA: u64 = 146_097;

/// TIME_FIELDS: year, month, day, hour, minute, second, milliseconds, weekday.
type Fields = [i16; 8];

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1601-01-01 to the first day of a year.
fn days_before_year(year: u64) -> u64 {
    let years = year - 1601;
    years * 365 + years / 4 - years / 100 + years / 400
}

fn to_fields(time: u64) -> Fields {
    let (days, rest) = (time / DAY, time % DAY);
    let mut year = 1601 + days / ERA * 400 + days % ERA / 366;
    while days_before_year(year + 1) <= days {
        year += 1;
    }
    let mut day = days - days_before_year(year);
    let mut month = 1;
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    let seconds = rest / SECOND;
    let milliseconds = rest % SECOND / MILLISECOND;
    // 1601-01-01 was a Monday.
    let weekday = (days + 1) % 7;
    [year, month, day + 1, seconds / 3600, seconds / 60 % 60, seconds % 60, milliseconds, weekday]
        .map(|field| i16::try_from(field).unwrap_or(i16::MAX))
}

/// None for a date or time of day that there is not. The weekday does not matter.
fn from_fields(fields: Fields) -> Option<u64> {
    let [year, month, day, hour, minute, second, milliseconds, _weekday] = fields;
    let within = |value: i16, limit: u64| u64::try_from(value).ok().filter(|value| *value < limit);
    let year = YEARS.contains(&year).then(|| year.unsigned_abs())?.into();
    let month = within(month, 13).filter(|month| *month > 0)?;
    let day = within(day, days_of_month(year, month) + 1).filter(|day| *day > 0)?;
    let days =
        days_before_year(year) + (1..month).map(|month| days_of_month(year, month)).sum::<u64>() + day - 1;
    let seconds = within(hour, 24)? * 3600 + within(minute, 60)? * 60 + within(second, 60)?;
    Some(days * DAY + seconds * SECOND + within(milliseconds, 1000)? * MILLISECOND)
}

/// Whole seconds from an epoch, itself in seconds from 1601; None outside of what a ULONG holds.
fn seconds_since(epoch: u64, time: u64) -> Option<u32> {
    u32::try_from((time / SECOND).checked_sub(epoch)?).ok()
}

fn store_seconds(epoch: u64, time: u64, seconds: u64) -> Outcome<bool> {
    match seconds_since(epoch, raw::read(time)?) {
        Some(count) => raw::write(seconds, count).map(|()| true),
        None => Ok(false),
    }
}

rows! {
    dll = "ntoskrnl.exe";

    /// Stores a time's year, month, day and so on.
    irql(HIGH_LEVEL)
    fn RtlTimeToTimeFields(call, time: u64, time_fields: u64) -> () {
        let _ = call;
        let mut at = time_fields;
        for field in to_fields(raw::read(time)?) {
            raw::write(at, field.cast_unsigned())?;
            at = at.wrapping_add(2);
        }
        Ok(())
    }

    /// Stores the time that year, month, day and so on name; false for a date that there is not.
    irql(HIGH_LEVEL)
    fn RtlTimeFieldsToTime(call, time_fields: u64, time: u64) -> bool {
        let _ = call;
        let mut fields = [0; 8];
        let mut at = time_fields;
        for field in &mut fields {
            *field = raw::read::<u16>(at)?.cast_signed();
            at = at.wrapping_add(2);
        }
        match from_fields(fields) {
            Some(value) => raw::write(time, value).map(|()| true),
            None => Ok(false),
        }
    }

    /// Stores a time as seconds since 1970; false when it is before that or after 2105.
    irql(HIGH_LEVEL)
    fn RtlTimeToSecondsSince1970(call, time: u64, elapsed_seconds: u64) -> bool {
        let _ = call;
        store_seconds(TO_1970, time, elapsed_seconds)
    }

    /// Stores a time as seconds since 1980; false when it is before that or after 2115.
    irql(HIGH_LEVEL)
    fn RtlTimeToSecondsSince1980(call, time: u64, elapsed_seconds: u64) -> bool {
        let _ = call;
        store_seconds(TO_1980, time, elapsed_seconds)
    }

    /// Stores the time of a second since 1970.
    irql(HIGH_LEVEL)
    fn RtlSecondsSince1970ToTime(call, elapsed_seconds: u32, time: u64) -> () {
        let _ = call;
        raw::write(time, (TO_1970 + u64::from(elapsed_seconds)) * SECOND)
    }

    /// Stores the time of a second since 1980.
    irql(HIGH_LEVEL)
    fn RtlSecondsSince1980ToTime(call, elapsed_seconds: u32, time: u64) -> () {
        let _ = call;
        raw::write(time, (TO_1980 + u64::from(elapsed_seconds)) * SECOND)
    }

    /// Stores a system time in local time, which is the same.
    irql(HIGH_LEVEL)
    fn ExSystemTimeToLocalTime(call, system_time: u64, local_time: u64) -> () {
        let _ = call;
        raw::write(local_time, raw::read::<u64>(system_time)?)
    }

    /// Stores a local time as a system time, which is the same.
    irql(HIGH_LEVEL)
    fn ExLocalTimeToSystemTime(call, local_time: u64, system_time: u64) -> () {
        let _ = call;
        raw::write(system_time, raw::read::<u64>(local_time)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_have_their_dates() {
        assert_eq!(to_fields(0), [1601, 1, 1, 0, 0, 0, 0, 1]);
        // A Thursday.
        assert_eq!(to_fields(TO_1970 * SECOND), [1970, 1, 1, 0, 0, 0, 0, 4]);
        assert_eq!(to_fields(TO_1980 * SECOND), [1980, 1, 1, 0, 0, 0, 0, 2]);
        // 2000-02-29 12:34:56.789, a Tuesday: seconds since 1970 by `date -u`.
        let time = (TO_1970 + 951_827_696) * SECOND + 789 * MILLISECOND;
        assert_eq!(to_fields(time), [2000, 2, 29, 12, 34, 56, 789, 2]);
    }

    #[test]
    fn every_day_of_four_centuries_goes_to_fields_and_back() {
        for day in 0..ERA + 1000 {
            let time = day * DAY + DAY - MILLISECOND;
            let fields = to_fields(time);
            assert_eq!(from_fields(fields), Some(time), "{fields:?}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for wrong in [
            [1600, 1, 1, 0, 0, 0, 0, 0],
            [1900, 2, 29, 0, 0, 0, 0, 0],
            [2001, 13, 1, 0, 0, 0, 0, 0],
            [2001, 0, 1, 0, 0, 0, 0, 0],
            [2001, 4, 31, 0, 0, 0, 0, 0],
            [2001, 4, 1, 24, 0, 0, 0, 0],
            [2001, 4, 1, 0, 0, 0, 1000, 0],
            [2001, 4, 1, 0, -1, 0, 0, 0],
        ] {
            assert_eq!(from_fields(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn seconds_are_counted_inside_a_ulong_only() {
        assert_eq!(seconds_since(TO_1970, (TO_1970 + 7) * SECOND + SECOND - 1), Some(7));
        assert_eq!(seconds_since(TO_1970, (TO_1970 - 1) * SECOND), None);
        assert_eq!(seconds_since(TO_1970, (TO_1970 + (1 << 32)) * SECOND), None);
    }

    #[test]
    fn the_last_time_is_no_panic() {
        assert_eq!(to_fields(u64::MAX)[0], i16::MAX);
    }
}
