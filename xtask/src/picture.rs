//! `cargo xtask picture`: runs the demo and draws what it printed, for the README. Nothing in the picture is written by hand.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::ensure;

use crate::shell::{cargo, root, run, say};

/// Height of a line, in SVG units.
const LINE: usize = 17;
/// Width of a character of the font at that height.
const CHARACTER: usize = 8;
/// Space around the text.
const MARGIN: usize = 18;
/// Longer lines are cut.
const COLUMNS_MAX: usize = 104;

/// Runs the demo and writes `docs/demo.svg`.
///
/// # Errors
/// When the demo fails, or the picture cannot be written.
pub fn draw() -> anyhow::Result<()> {
    run(cargo().args(["build", "--locked", "--package", "trueup"]))?;
    say("$ trueup demo");
    let demo = Command::new(root().join("target/debug/trueup")).arg("demo").env("NO_COLOR", "1").output()?;
    ensure!(demo.status.success(), "the demo failed: {}", String::from_utf8_lossy(&demo.stderr));
    let text = String::from_utf8_lossy(&demo.stdout);
    let lines: Vec<_> = std::iter::once("$ trueup demo").chain(text.lines()).collect();
    let path = root().join("docs/demo.svg");
    std::fs::write(&path, svg(&lines))?;
    say(&format!("{} shows {} lines", path.display(), lines.len()));
    Ok(())
}

fn svg(lines: &[&str]) -> String {
    let (width, height) = (COLUMNS_MAX * CHARACTER + 2 * MARGIN, lines.len() * LINE + 2 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"what `trueup demo` prints\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#14181d\"/>\n\
         <g font-family=\"ui-monospace,Menlo,Consolas,monospace\" font-size=\"13\" style=\"white-space:pre\" xml:space=\"preserve\">\n"
    );
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let cut: String = line.chars().take(COLUMNS_MAX).collect();
        let y = MARGIN + (number + 1) * LINE - 4;
        let _ = writeln!(text, "<text x=\"{MARGIN}\" y=\"{y}\" fill=\"{}\">{}</text>", colour(line), escaped(&cut));
    }
    text.push_str("</g>\n</svg>\n");
    text
}

/// Titles stand out, what went well is green, what was found on a bad release is red.
fn colour(line: &str) -> &'static str {
    let title = line.starts_with(|first: char| first.is_ascii_digit()) || line.starts_with('$');
    let good =
        ["0 failed", "is live", "are Ready", "by itself", "started again"].iter().any(|word| line.contains(word));
    let bad = ["kill -9", "Found:", "exits, as"].iter().any(|word| line.contains(word));
    match (title, good, bad) {
        (true, _, _) if !line.contains("requests") => "#ffffff",
        (_, true, _) => "#7ee787",
        (_, _, true) => "#ff7b72",
        _ => "#a9b4c0",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
