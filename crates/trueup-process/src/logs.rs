//! What instances write: bounded, and with a notion of when.
//!
//! A program writes straight into a file, so that nobody's death can break its pipe. We look at the sizes now and then:
//! a file that has grown gets a mark of position and moment; of one that is too big the end is copied aside, and it is
//! emptied, whether or not there was room for the copy: a program that writes much must not fill the disk. Positions
//! count from the beginning of the life, through every cut.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Weak;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use trueup_seams::{LogLine, LogQuery};
use trueup_types::Timestamp;

use crate::paths::LifePaths;
use crate::runtime::Inner;
use trueup_host::files::{self, Durability};

/// A log beyond this is cut, and at most as much of its end kept: for each life twice as much, and what it writes from one
/// look to the next.
pub const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// The shortest time from one look at the sizes to the next: the resolution of `--since`.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Files looked at in a second, so that a thousand quiet apps cost next to nothing.
const LOOKS_PER_SECOND: usize = 100;
/// Marks kept for a life; the older half is thinned out when there are more.
const MARKS_MAX: usize = 2_000;
/// Most bytes read for one query, from the end.
const READ_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where the files of a life begin, and when they had which size: `log.index`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Index {
    /// The position of the first byte of `log`.
    base: u64,
    /// The position of the first byte of `log.1`.
    base_before: u64,
    /// At this moment all before this position had been written.
    marks: Vec<(u64, Timestamp)>,
}

/// Looks at the logs for as long as the runtime is there.
pub(crate) async fn keep_bounded(runtime: Weak<Inner>) {
    let mut wait = LOOK_EVERY;
    loop {
        tokio::time::sleep(wait).await;
        let Some(inner) = runtime.upgrade() else { return };
        let looked = tokio::task::spawn_blocking(move || {
            let writing = inner.writing();
            let now = inner.time();
            for paths in &writing {
                if let Err(error) = look(paths, now) {
                    tracing::debug!(%error, folder = %paths.0.display(), "a log could not be looked at");
                }
            }
            writing.len()
        });
        let count = looked.await.unwrap_or(0);
        wait = LOOK_EVERY * u32::try_from(count / LOOKS_PER_SECOND + 1).unwrap_or(u32::MAX);
    }
}

fn look(paths: &LifePaths, now: Timestamp) -> std::io::Result<()> {
    let size = match std::fs::metadata(paths.log()) {
        Ok(metadata) => metadata.len(),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(why),
    };
    // An empty one needs no mark; most instances write little.
    if size == 0 {
        return Ok(());
    }
    let mut index: Index = files::read_unsynced(&paths.log_index())?.unwrap_or_default();
    let position = index.base + size;
    if index.marks.last().is_some_and(|(marked, _)| *marked == position) {
        return Ok(());
    }
    index.marks.push((position, now));
    if index.marks.len() > MARKS_MAX {
        thin(&mut index.marks);
    }
    if size > LOG_BYTES_MAX {
        cut(paths, &mut index)?;
    }
    files::write(&paths.log_index(), &index, Durability::ThisBoot)
}

/// Drops every other mark of the older half.
fn thin(marks: &mut Vec<(u64, Timestamp)>) {
    let half = marks.len() / 2;
    let mut place = 0;
    marks.retain(|_| {
        place += 1;
        place > half || place % 2 == 0
    });
}

/// Keeps the end of the log aside and empties it. What is written between the two is lost: a few lines, at most once in
/// ten mebibytes; a rename would leave the program writing to the copy.
fn cut(paths: &LifePaths, index: &mut Index) -> std::io::Result<()> {
    // It goes first: on a full disk its room is what the new one needs.
    absent(std::fs::remove_file(paths.log_before()))?;
    let kept = copy_end(paths);
    let log = File::options().write(true).open(paths.log())?;
    let (from, until) = match kept {
        Ok(kept) => kept,
        Err(error) => {
            tracing::warn!(%error, folder = %paths.0.display(), "a log is emptied without a copy");
            let size = log.metadata()?.len();
            (size, size)
        }
    };
    log.set_len(0)?;
    index.base_before = index.base + from;
    index.base += until;
    index.marks.retain(|(position, _)| *position >= index.base_before);
    Ok(())
}

/// Copies the end of the log aside; gives back from where to where.
fn copy_end(paths: &LifePaths) -> std::io::Result<(u64, u64)> {
    let mut log = File::open(paths.log())?;
    let from = log.metadata()?.len().saturating_sub(LOG_BYTES_MAX);
    log.seek(SeekFrom::Start(from))?;
    let aside = paths.log_aside();
    // Whoever writes faster than we copy is not followed for ever.
    let copy = File::options().write(true).create(true).truncate(true).mode(0o600).open(&aside);
    let copied = copy.and_then(|mut copy| std::io::copy(&mut log.take(2 * LOG_BYTES_MAX), &mut copy));
    let copied = copied.and_then(|copied| std::fs::rename(&aside, paths.log_before()).map(|()| copied));
    if copied.is_err() {
        absent(std::fs::remove_file(&aside))?;
    }
    copied.map(|copied| (from, from + copied))
}

/// What is not there need not be removed.
fn absent(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(why),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The lines of a life that a query asks for.
pub(crate) fn read(paths: &LifePaths, query: &LogQuery) -> std::io::Result<Vec<LogLine>> {
    let index: Index = files::read_unsynced(&paths.log_index())?.unwrap_or_default();
    let (start, bytes) = tail(paths, &index, query.after.unwrap_or(0))?;
    let mut lines = Vec::new();
    let mut position = start;
    for chunk in bytes.split_inclusive(|byte| *byte == b'\n') {
        let began = position;
        position += chunk.len() as u64;
        // A line that is still being written is not a line yet, when somebody follows.
        let whole = chunk.ends_with(b"\n");
        if query.after.is_some_and(|after| began < after || !whole) {
            continue;
        }
        let at = moment(&index, began);
        if query.since.is_some_and(|since| moment_after(&index, began).is_some_and(|until| until < since)) {
            continue;
        }
        let text = String::from_utf8_lossy(chunk.strip_suffix(b"\n").unwrap_or(chunk)).into_owned();
        lines.push(LogLine { at, position, text });
    }
    let surplus = lines.len().saturating_sub(query.lines_max);
    Ok(lines.split_off(surplus))
}

/// The last bytes of a life behind a position, and the position of the first of them.
fn tail(paths: &LifePaths, index: &Index, after: u64) -> std::io::Result<(u64, Vec<u8>)> {
    let behind = after.saturating_sub(index.base);
    let (from, newest) = end_of(&paths.log(), behind, READ_BYTES_MAX)?;
    if from > behind {
        return Ok(whole_lines(index.base + from, newest));
    }
    if after >= index.base {
        return Ok((after, newest));
    }
    let room = READ_BYTES_MAX - newest.len() as u64;
    let behind = after.saturating_sub(index.base_before);
    let (from, mut bytes) = end_of(&paths.log_before(), behind, room)?;
    let start = index.base.saturating_sub(bytes.len() as u64);
    bytes.extend(newest);
    Ok(if from > behind { whole_lines(start, bytes) } else { (start, bytes) })
}

/// What a file holds from an offset on, but at most so many bytes of it, the last ones; and from where they are. A missing
/// file holds nothing.
fn end_of(path: &Path, offset: u64, bytes_max: u64) -> std::io::Result<(u64, Vec<u8>)> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok((offset, Vec::new())),
        Err(why) => return Err(why),
    };
    let from = offset.max(file.metadata()?.len().saturating_sub(bytes_max));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok((from, bytes))
}

/// Begins with the first line that is whole, where there is one.
fn whole_lines(start: u64, mut bytes: Vec<u8>) -> (u64, Vec<u8>) {
    let broken = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    bytes.drain(..broken);
    (start + broken as u64, bytes)
}

/// The latest moment at which the byte at this position was certainly not written yet.
fn moment(index: &Index, position: u64) -> Option<Timestamp> {
    let after = index.marks.partition_point(|(marked, _)| *marked <= position);
    // Written before the first mark: the mark's own moment is the nearest that is known.
    index.marks.get(after.saturating_sub(1)).map(|(_, at)| *at)
}

/// The earliest moment at which it certainly was.
fn moment_after(index: &Index, position: u64) -> Option<Timestamp> {
    let after = index.marks.partition_point(|(marked, _)| *marked <= position);
    index.marks.get(after).map(|(_, at)| *at)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn query() -> LogQuery {
        let instance = "web-r1-0".parse().expect("a name");
        LogQuery { instance, since: None, lines_max: 100, previous: false, after: None }
    }

    fn life() -> (tempfile::TempDir, LifePaths) {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = LifePaths(folder.path().to_owned());
        (folder, paths)
    }

    fn append(paths: &LifePaths, text: &str) {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(paths.log());
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("it is written");
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn lines_are_followed_by_position_and_half_lines_wait() {
        let (_folder, paths) = life();
        append(&paths, "one\ntwo\nhal");
        let first = read(&paths, &query()).expect("it is read");
        assert_eq!(texts(&first), ["one", "two", "hal"]);
        let behind = first[1].position;
        let more = read(&paths, &LogQuery { after: Some(behind), ..query() }).expect("it is read");
        assert!(more.is_empty(), "half a line is not a line yet");
        append(&paths, "f\nthree\n");
        let more = read(&paths, &LogQuery { after: Some(behind), ..query() }).expect("it is read");
        assert_eq!(texts(&more), ["half", "three"]);
        assert_eq!(texts(&read(&paths, &LogQuery { lines_max: 1, ..query() }).expect("it is read")), ["three"]);
    }

    #[test]
    fn a_cut_loses_no_position_and_since_skips_what_is_older() {
        let (_folder, paths) = life();
        append(&paths, "old\n");
        look(&paths, Timestamp::from_millis(1_000)).expect("it is marked");
        let filler = format!("{}\n", "x".repeat(1_023)).repeat(11 * 1_024);
        append(&paths, &filler);
        look(&paths, Timestamp::from_millis(2_000)).expect("it is cut");
        assert_eq!(std::fs::metadata(paths.log()).expect("it is there").len(), 0);
        append(&paths, "new\n");
        look(&paths, Timestamp::from_millis(3_000)).expect("it is marked");
        let kept = std::fs::metadata(paths.log_before()).expect("it is kept").len();
        assert_eq!(kept, LOG_BYTES_MAX, "the end of it, and no more");
        let position = 4 + filler.len() as u64;
        let behind = read(&paths, &LogQuery { after: Some(position), ..query() }).expect("it is read");
        assert_eq!(texts(&behind), ["new"]);
        assert_eq!(behind[0].position, position + 4);
        let late = LogQuery { since: Some(Timestamp::from_millis(2_500)), ..query() };
        assert_eq!(texts(&read(&paths, &late).expect("it is read")), ["new"]);
    }

    #[test]
    fn a_log_is_emptied_though_there_is_no_room_for_a_copy() {
        let (_folder, paths) = life();
        append(&paths, &"x\n".repeat(6 * 1_024 * 1_024));
        // Nothing can be written where a folder stands.
        std::fs::create_dir_all(paths.log_aside()).expect("it is made");
        std::fs::write(paths.log_before(), "older\n").expect("it is written");
        look(&paths, Timestamp::from_millis(1_000)).expect("it is cut");
        assert_eq!(std::fs::metadata(paths.log()).expect("it is there").len(), 0);
        assert!(!paths.log_before().exists(), "what came before what is lost");
        append(&paths, "new\n");
        let lines = read(&paths, &query()).expect("it is read");
        assert_eq!((texts(&lines), lines[0].position), (vec!["new"], 12 * 1_024 * 1_024 + 4));
    }

    #[test]
    fn of_much_the_end_is_read_and_from_a_whole_line_on() {
        let (_folder, paths) = life();
        let line = format!("{}\n", "y".repeat(999));
        append(&paths, &line.repeat(5_000));
        append(&paths, "last\n");
        let all = LogQuery { lines_max: usize::MAX, ..query() };
        let lines = read(&paths, &all).expect("it is read");
        assert_eq!(lines.len(), 4_195, "4,194 whole ones fit into four mebibytes, and the last");
        assert_eq!((lines[0].text.len(), lines[0].position), (999, 807_000));
        assert_eq!(lines.last().map(|line| line.position), Some(5_000_005));
    }
}
