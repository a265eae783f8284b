//! Data on standard output, talk on standard error; colours and bars only where a person looks.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::config;

/// From one turn of a spinner to the next.
const SPIN: Duration = Duration::from_millis(120);

/// Prints data. A reader that has gone away has had enough: that is no error.
pub(crate) fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = stdout.write_all(b"\n");
    }
    let _ = stdout.flush();
}

/// Says something to the person.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whether standard output may be coloured.
pub(crate) fn colours() -> bool {
    std::io::stdout().is_terminal() && !config::no_color()
}

/// Whether a person sits at it.
pub(crate) fn interactive() -> bool {
    std::io::stderr().is_terminal() && std::io::stdin().is_terminal()
}

/// What colours mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Busy,
    Bad,
}

/// A word in its colour, where colours may be.
pub(crate) fn toned(word: &str, tone: Tone) -> String {
    if !colours() {
        return word.to_owned();
    }
    let code = match tone {
        Tone::Good => 32,
        Tone::Busy => 33,
        Tone::Bad => 31,
    };
    format!("\u{1b}[{code}m{word}\u{1b}[0m")
}

/// Asks yes or no; no is the answer of nobody.
pub(crate) fn confirm(question: &str) -> bool {
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Progress of something long: a spinner on a terminal, plain lines where the text changes elsewhere.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last: String,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self::among(&MultiProgress::new())
    }

    /// The same above bars of other things.
    pub(crate) fn among(bars: &MultiProgress) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(SPIN);
            bar
        });
        Self { bar, last: String::new() }
    }

    pub(crate) fn show(&mut self, text: &str) {
        if text == self.last {
            return;
        }
        text.clone_into(&mut self.last);
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => say(text),
        }
    }

    pub(crate) fn done(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
