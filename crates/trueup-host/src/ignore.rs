//! Which files of a folder are not shipped: the patterns of a `.dockerignore`, as Docker reads them.
//!
//! A pattern names a path from the folder's root, and with a folder all that is in it; the last one that matches decides,
//! and one that begins with `!` takes back in. Pure: knows no files.

/// What is left out of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    back_in: bool,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `**`: any number of folders, none among them.
    Folders,
    /// One name, with `*`, `?`, `[…]` and `\`.
    Name(Vec<char>),
}

impl Ignore {
    /// Reads the text of a `.dockerignore`; a line that begins with `#` is a remark.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let lines = text.trim_start_matches('\u{feff}').lines();
        let patterns = lines.filter(|line| !line.starts_with('#')).map(str::trim).filter_map(|line| {
            let (back_in, path) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
            let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).map(Part::of).collect();
            (!parts.is_empty()).then_some(Pattern { back_in, parts })
        });
        Self { patterns: patterns.collect() }
    }

    /// Whether a path is left out, given from the folder's root with `/` between its parts.
    #[must_use]
    pub fn leaves_out(&self, path: &str) -> bool {
        let names: Vec<_> = path.split('/').collect();
        let deciding = self.patterns.iter().rev().find(|pattern| matches(&pattern.parts, &names));
        deciding.is_some_and(|pattern| !pattern.back_in)
    }

    /// Whether something within a folder that is left out may be taken back in.
    #[must_use]
    pub fn may_take_back(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.back_in)
    }
}

impl Part {
    fn of(part: &str) -> Self {
        if part == "**" { Self::Folders } else { Self::Name(part.chars().collect()) }
    }
}

/// Whether a pattern names a path, or a folder above it.
fn matches(parts: &[Part], names: &[&str]) -> bool {
    match (parts, names) {
        ([], _) => true,
        (_, []) => false,
        ([Part::Folders, rest @ ..], _) => (0..=names.len()).any(|skipped| matches(rest, &names[skipped..])),
        ([Part::Name(pattern), rest @ ..], [name, names @ ..]) => {
            let name: Vec<_> = name.chars().collect();
            named(pattern, &name) && matches(rest, names)
        }
    }
}

/// Whether a name is one that a pattern means.
fn named(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=name.len()).any(|taken| named(rest, &name[taken..])),
        (['?', rest @ ..], [_, name @ ..]) => named(rest, name),
        (['\\', wanted, rest @ ..], [one, name @ ..]) => wanted == one && named(rest, name),
        (['[', rest @ ..], [one, name @ ..]) => match class(rest, *one) {
            Some((holds, rest)) => holds && named(rest, name),
            None => *one == '[' && named(rest, name),
        },
        ([wanted, rest @ ..], [one, name @ ..]) => wanted == one && named(rest, name),
        ([], [_, ..]) | ([_, ..], []) => false,
    }
}

/// Whether a class (`a-z]`, `^0-9]`, its bracket open already) holds a character, and what follows it; `None` where it does
/// not end.
fn class(text: &[char], one: char) -> Option<(bool, &[char])> {
    let (negated, mut text) = match text {
        ['^', rest @ ..] => (true, rest),
        [..] => (false, text),
    };
    let mut holds = false;
    loop {
        match text {
            [] => return None,
            [']', rest @ ..] => return Some((holds != negated, rest)),
            [from, '-', to, rest @ ..] if *to != ']' => {
                holds |= (*from..=*to).contains(&one);
                text = rest;
            }
            [wanted, rest @ ..] => {
                holds |= *wanted == one;
                text = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_leave_out_what_docker_leaves_out() {
        let ignore = Ignore::read(
            "# remarks are none\n/target\n*.log\n**/*.tmp\nsrc/**/cache\n  docs/ \nkeep?[0-9]\n!keep77\n!docs/api.md\n\\!odd\n",
        );
        let out = [
            "target",
            "target/debug/web",
            "one.log",
            "a/b/c.tmp",
            "c.tmp",
            "src/cache",
            "src/a/b/cache/x",
            "docs",
            "docs/guide.md",
            "keepx1",
            "!odd",
        ];
        let within = ["src/target", "a/one.log", "src/main.rs", "keep77", "keepxx", "docs/api.md", "odd", "Dockerfile"];
        assert_eq!(out.iter().filter(|path| !ignore.leaves_out(path)).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert_eq!(within.iter().filter(|path| ignore.leaves_out(path)).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert!(ignore.may_take_back() && !Ignore::read("*\n").may_take_back());
        assert!(Ignore::read("*").leaves_out("anything/at/all") && !Ignore::default().leaves_out("x"));
    }

    #[test]
    fn a_later_pattern_decides_and_a_class_may_be_turned() {
        let ignore = Ignore::read("*\n!src\nsrc/*.o\nx[^0-9]\n[");
        let out = |path: &str| ignore.leaves_out(path);
        assert_eq!(
            (out("a"), out("src/main.c"), out("src/main.o"), out("src/deep/main.o")),
            (true, false, true, false)
        );
        let turned = Ignore::read("x[^0-9]\n[");
        assert_eq!((turned.leaves_out("xa"), turned.leaves_out("x1"), turned.leaves_out("[")), (true, false, true));
    }
}
