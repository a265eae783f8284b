//! When rollouts may begin: the time after each moment that a cron pattern names, in a time zone.
//!
//! The one file that knows of calendars. A moment that a change of clocks skips or doubles is the library's to place.

use std::str::FromStr as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, human};

/// A time in which rollouts may begin; reverts ask nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// When it opens: five fields, as cron has them.
    pub cron: String,
    /// Where that is said: a name of the IANA database.
    pub time_zone: String,
    /// How long it stays open.
    #[serde(with = "human")]
    pub duration: Duration,
}

/// Whether this is a cron pattern.
///
/// # Errors
/// What is wrong with it.
pub fn cron(text: &str) -> Result<(), String> {
    let epoch = DateTime::<Utc>::UNIX_EPOCH;
    let next = read_cron(text)?.find_next_occurrence(&epoch, true);
    next.map(drop).map_err(|_| "names no moment that ever comes".to_owned())
}

/// Whether this is a time zone.
///
/// # Errors
/// That it is none.
pub fn time_zone(text: &str) -> Result<(), String> {
    read_zone(text).map(drop)
}

fn read_cron(text: &str) -> Result<Cron, String> {
    Cron::from_str(text).map_err(|why| why.to_string())
}

fn read_zone(text: &str) -> Result<Tz, String> {
    Tz::from_str(text).map_err(|_| "is not known to the IANA database".to_owned())
}

impl Window {
    /// Whether it is open at `now`; when it opens next where it is not, if it ever does.
    fn at(&self, now: Timestamp) -> Result<(), Option<Timestamp>> {
        let (Ok(cron), Ok(zone)) = (read_cron(&self.cron), read_zone(&self.time_zone)) else { return Err(None) };
        let moment = i64::try_from(now.as_millis()).ok().and_then(DateTime::<Utc>::from_timestamp_millis);
        let Some(moment) = moment.map(|moment| moment.with_timezone(&zone)) else { return Err(None) };
        let millis = |moment: DateTime<Tz>| u64::try_from(moment.timestamp_millis()).ok().map(Timestamp::from_millis);
        let opened = cron.find_previous_occurrence(&moment, true).ok().and_then(millis);
        if opened.is_some_and(|opened| now < opened.after(self.duration)) {
            return Ok(());
        }
        Err(cron.find_next_occurrence(&moment, false).ok().and_then(millis))
    }
}

/// Whether a rollout may begin at `now`; when the next window opens where it may not, if one ever does.
///
/// # Errors
/// The moment at which the next window opens.
pub fn may_begin(windows: &[Window], now: Timestamp) -> Result<(), Option<Timestamp>> {
    let all: Vec<_> = windows.iter().map(|window| window.at(now)).collect();
    if all.is_empty() || all.iter().any(Result::is_ok) {
        return Ok(());
    }
    Err(all.into_iter().filter_map(|shut| shut.err().flatten()).min())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(cron: &str, time_zone: &str, hours: u64) -> Window {
        Window { cron: cron.to_owned(), time_zone: time_zone.to_owned(), duration: Duration::from_secs(3_600 * hours) }
    }

    fn at(text: &str) -> Timestamp {
        let moment: DateTime<Utc> = text.parse().expect("a moment");
        Timestamp::from_millis(u64::try_from(moment.timestamp_millis()).expect("after 1970"))
    }

    #[test]
    fn a_window_opens_by_the_clock_of_its_place_and_shuts_after_its_time() {
        let office = [window("0 9 * * MON-FRI", "Europe/Berlin", 8)];
        // A Friday in winter: 9:00 there is 8:00 UTC.
        assert_eq!(may_begin(&office, at("2026-11-20T07:59:59Z")), Err(Some(at("2026-11-20T08:00:00Z"))));
        assert_eq!(may_begin(&office, at("2026-11-20T08:00:00Z")), Ok(()));
        assert_eq!(may_begin(&office, at("2026-11-20T15:59:59Z")), Ok(()));
        // Shut until Monday.
        assert_eq!(may_begin(&office, at("2026-11-20T16:00:00Z")), Err(Some(at("2026-11-23T08:00:00Z"))));
        // In summer 9:00 there is 7:00 UTC.
        assert_eq!(may_begin(&office, at("2026-07-01T07:00:00Z")), Ok(()));
    }

    #[test]
    fn without_a_window_it_is_always_time_and_of_several_one_is_enough() {
        let night = at("2026-11-20T02:00:00Z");
        assert_eq!(may_begin(&[], night), Ok(()));
        let both = [window("0 9 * * *", "UTC", 1), window("0 1 * * *", "UTC", 2)];
        assert_eq!(may_begin(&both, night), Ok(()));
        assert_eq!(may_begin(&both, at("2026-11-20T04:00:00Z")), Err(Some(at("2026-11-20T09:00:00Z"))));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!((cron("0 9 * * MON-FRI"), time_zone("Europe/Berlin")), (Ok(()), Ok(())));
        assert!(cron("0 25 * * *").is_err() && cron("soon").is_err());
        assert_eq!(cron("0 0 30 2 *"), Err("names no moment that ever comes".to_owned()));
        assert!(time_zone("Europe/Berln").is_err());
    }
}
