//! Makes other inputs of the ones that are known: bits and bytes, and pieces moved from here to there.
//!
//! Knows nothing of what the bytes mean: words that matter are learnt by taking pieces of the corpus.

/// Longest input, in bytes: more would only be slower.
const BYTES_MAX: usize = 16 * 1024;
/// Most changes at once.
const CHANGES_MAX: usize = 6;
/// Longest piece that is taken along, in bytes: a few lines.
const PIECE_BYTES_MAX: usize = 160;
/// Bytes at which readers stumble.
const TELLING: &[u8] = b"\0\n\r\t \"'{}[]:,-#&*!|>%@`~/\\0919azAZ\x7f\x80\xc3\xff\xfe";

/// An input that nobody has tried: a member of the corpus, changed; the first ones are the corpus itself.
pub fn input(corpus: &[Vec<u8>], number: u64, dice: &mut fastrand::Rng) -> Vec<u8> {
    let known = usize::try_from(number).ok().and_then(|number| corpus.get(number));
    if let Some(known) = known {
        return known.clone();
    }
    if corpus.is_empty() || dice.u8(..16) == 0 {
        return (0..dice.usize(..200)).map(|_| dice.u8(..)).collect();
    }
    let mut bytes = corpus[dice.usize(..corpus.len())].clone();
    for _ in 0..dice.usize(1..=CHANGES_MAX) {
        change(&mut bytes, corpus, dice);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut fastrand::Rng) {
    let at = dice.usize(..=bytes.len());
    match dice.u8(..10) {
        0 => one(bytes, at, |byte, dice| *byte ^= 1 << dice.u8(..8), dice),
        1 => one(bytes, at, |byte, dice| *byte = TELLING[dice.usize(..TELLING.len())], dice),
        2 => one(bytes, at, |byte, dice| *byte = byte.wrapping_add(dice.u8(..8)).wrapping_sub(4), dice),
        3 => bytes.insert(at, TELLING[dice.usize(..TELLING.len())]),
        4 => drop(bytes.drain(piece(bytes.len(), dice))),
        5 => {
            let twice = bytes[piece(bytes.len(), dice)].to_vec();
            drop(bytes.splice(at..at, twice));
        }
        6 => number(bytes, dice),
        7 => lines(bytes, dice),
        _ => {
            let other = &corpus[dice.usize(..corpus.len())];
            let taken = other[piece(other.len(), dice)].to_vec();
            // In place of something as often as between.
            let end = if dice.bool() { at } else { (at + taken.len()).min(bytes.len()) };
            drop(bytes.splice(at..end, taken));
        }
    }
}

fn one(bytes: &mut [u8], at: usize, how: impl Fn(&mut u8, &mut fastrand::Rng), dice: &mut fastrand::Rng) {
    if let Some(byte) = bytes.get_mut(at) {
        how(byte, dice);
    }
}

fn piece(length: usize, dice: &mut fastrand::Rng) -> std::ops::Range<usize> {
    let start = dice.usize(..=length);
    start..(start + dice.usize(..=PIECE_BYTES_MAX)).min(length)
}

/// A number in the text becomes one at which arithmetic stumbles.
fn number(bytes: &mut Vec<u8>, dice: &mut fastrand::Rng) {
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|at| {
            bytes[*at].is_ascii_digit() && !at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_digit())
        })
        .collect();
    let Some(start) = starts.get(dice.usize(..starts.len().max(1))).copied() else { return };
    let end = (start..bytes.len()).find(|at| !bytes[*at].is_ascii_digit()).unwrap_or(bytes.len());
    let telling: [u64; 9] = [0, 1, 100, 101, 65_536, 4_294_967_295, 4_294_967_296, u64::MAX - 1, u64::MAX];
    let text = telling[dice.usize(..telling.len())].to_string();
    drop(bytes.splice(start..end, text.into_bytes()));
}

/// Two lines change places.
fn lines(bytes: &mut Vec<u8>, dice: &mut fastrand::Rng) {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.is_empty() {
        return;
    }
    let (one, other) = (dice.usize(..lines.len()), dice.usize(..lines.len()));
    lines.swap(one, other);
    *bytes = lines.concat();
}

/// The smallest input found that still fails: pieces are left out, large ones first, and bytes become plain.
pub fn smallest(bytes: &[u8], fails: impl Fn(&[u8]) -> bool, tries: usize) -> Vec<u8> {
    let (mut best, mut left) = (bytes.to_vec(), tries);
    let mut size = best.len().div_ceil(2).max(1);
    loop {
        let (before, mut at) = (best.len(), 0);
        while at < best.len() && left > 0 {
            let mut less = best.clone();
            less.drain(at..(at + size).min(best.len()));
            left -= 1;
            if fails(&less) { best = less } else { at += size }
        }
        if left == 0 || (size == 1 && best.len() == before) {
            break;
        }
        size = size.div_ceil(2);
    }
    for at in 0..best.len().min(left) {
        let mut plainer = best.clone();
        plainer[at] = b'0';
        if fails(&plainer) {
            best = plainer;
        }
    }
    best
}
