//! Tables and ages as kubectl's users know them.

use comfy_table::{ContentArrangement, presets};
use trueup_types::Timestamp;

/// What an empty cell shows.
pub(crate) const NONE: &str = "<none>";

/// A table without lines, columns three blanks apart.
pub(crate) fn render(headers: &[&str], rows: Vec<Vec<String>>, no_headers: bool) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !no_headers {
        table.set_header(headers.to_vec());
    }
    let width = headers.len();
    for mut row in rows {
        row.resize(width, NONE.to_owned());
        table.add_row(row.into_iter().map(|cell| if cell.is_empty() { NONE.to_owned() } else { cell }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// `5s`, `2m`, `3h`, `4d`: one unit, rounded down.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(since).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        172_800.. => format!("{}d", seconds / 86_400),
    }
}

/// `1 app`, `2 apps`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_one_unit() {
        let age = |seconds: u64| age(Timestamp::ZERO, Timestamp::from_millis(seconds * 1_000));
        assert_eq!([age(5), age(119), age(150), age(7_300), age(200_000)], ["5s", "119s", "2m", "2h", "2d"]);
    }

    #[test]
    fn tables_have_no_lines_and_no_empty_cells() {
        let shown = render(&["NAME", "READY"], vec![vec!["web".to_owned(), String::new()]], false);
        assert_eq!(shown, "NAME   READY\nweb    <none>");
        let bare = render(&["NAME", "READY"], vec![vec!["web".to_owned(), "1/1".to_owned()]], true);
        assert_eq!(bare, "web   1/1");
    }
}
