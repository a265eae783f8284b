//! Reads a `.scn` file: prose, commands with what is typed into files, and what was answered last time.
//!
//! A line that begins with `> ` is a command; the lines below it that begin with `| ` are the text of its file, and
//! those that begin with four spaces are its answer. Every other line is prose, for people.

/// One thing that is done in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// As it stands behind `> `.
    pub line: String,
    /// The text of its file; empty for most.
    pub file: String,
}

/// A piece of a script, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Prose(String),
    Command(Command),
}

/// What stands before an answer.
const ANSWER: &str = "    ";

/// Reads a script; the answers in it are left out.
pub fn read(text: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            pieces.push(Piece::Command(Command { line: command.to_owned(), file: String::new() }));
        } else if let (Some(typed), Some(Piece::Command(command))) = (line.strip_prefix('|'), pieces.last_mut()) {
            command.file.push_str(typed.strip_prefix(' ').unwrap_or(typed));
            command.file.push('\n');
        } else if line.starts_with(ANSWER) && matches!(pieces.last(), Some(Piece::Command(_))) {
            // It is made anew.
        } else {
            pieces.push(Piece::Prose(line.to_owned()));
        }
    }
    pieces
}

/// Spells a script with its answers: one list of lines for each command.
pub fn spell(pieces: &[Piece], answers: &[Vec<String>]) -> String {
    let mut text = String::new();
    let mut answers = answers.iter();
    for piece in pieces {
        match piece {
            Piece::Prose(line) => text.push_str(&format!("{line}\n")),
            Piece::Command(command) => {
                text.push_str(&format!("> {}\n", command.line));
                for line in command.file.lines() {
                    text.push_str(format!("| {line}").trim_end());
                    text.push('\n');
                }
                for line in answers.next().into_iter().flatten() {
                    text.push_str(&format!("{ANSWER}{line}\n"));
                }
            }
        }
    }
    text
}
