//! Times and lists in words. Pure.

use std::time::Duration;

/// "12:47", "1:02:03".
pub fn elapsed_words(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// "Ana", "Ana and Bo", "Ana, Bo and Chen".
pub fn list_words(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Who was not connected when a line was sent.
pub fn unreached_words(names: &[String]) -> String {
    let verb = if names.len() == 1 { "was" } else { "were" };
    format!("{} {verb} not connected yet and did not get this.", list_words(names))
}

const DAY_SECS: i64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// "14:02". `local_secs` is Unix time plus the local offset, in seconds.
pub fn clock_words(local_secs: i64) -> String {
    let of_day = local_secs.rem_euclid(DAY_SECS);
    format!("{:02}:{:02}", of_day / 3_600, of_day / 60 % 60)
}

/// "today", "yesterday", "Thursday", "3 November", "3 November 2025". Both are local times as in [`clock_words`].
pub fn day_words(then_local_secs: i64, now_local_secs: i64) -> String {
    let (then, now) = (then_local_secs.div_euclid(DAY_SECS), now_local_secs.div_euclid(DAY_SECS));
    match now - then {
        ..=0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        2..=6 => WEEKDAYS[then.rem_euclid(7) as usize].to_owned(),
        _ => {
            let (year, month, day) = civil(then);
            let date = format!("{day} {}", MONTHS[month - 1]);
            if year == civil(now).0 { date } else { format!("{date} {year}") }
        }
    }
}

/// Year, month 1–12 and day of a day since 1970 in the Gregorian calendar, counted from March so that the leap day
/// comes last in its year.
fn civil(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_reads_like_a_clock() {
        assert_eq!(elapsed_words(Duration::from_secs(5)), "0:05");
        assert_eq!(elapsed_words(Duration::from_secs(767)), "12:47");
        assert_eq!(elapsed_words(Duration::from_secs(3_723)), "1:02:03");
    }

    #[test]
    fn names_are_listed_as_one_speaks() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(list_words(&names(&["Ana"])), "Ana");
        assert_eq!(list_words(&names(&["Ana", "Bo", "Chen"])), "Ana, Bo and Chen");
        assert_eq!(unreached_words(&names(&["Bo"])), "Bo was not connected yet and did not get this.");
    }

    #[test]
    fn days_are_named_by_their_distance() {
        // 2026-11-21 14:02, a Saturday.
        let now = 1_795_269_720;
        assert_eq!(clock_words(now), "14:02");
        assert_eq!(day_words(now - 60, now), "today");
        assert_eq!(day_words(now + 100_000, now), "today");
        assert_eq!(day_words(now - 15 * 3_600, now), "yesterday");
        assert_eq!(day_words(now - 2 * DAY_SECS, now), "Thursday");
        assert_eq!(day_words(now - 18 * DAY_SECS, now), "3 November");
        assert_eq!(day_words(now - 400 * DAY_SECS, now), "17 October 2025");
        assert_eq!(day_words(951_782_400, now), "29 February 2000");
    }
}
