//! A plan as a comment on a pull request: a table of what becomes of each app, and its fields folded below.

use std::fmt::Write as _;

use trueup_seams::AppPreview;

use super::costs::Costs;
use super::{effect, fields, sign, summary};

/// Spells the plan.
pub(super) fn spelled(changes: &[&AppPreview], costs: &Costs) -> String {
    let mut text = format!("### trueup plan\n\n{}{}\n", summary(changes), costs.summary());
    if changes.is_empty() {
        return text;
    }
    text.push_str("\n| | app | what | effect |\n|---|---|---|---|\n");
    for preview in changes {
        let (sign, sentence, _) = sign(preview.change);
        let effect = effect(preview, changes, costs).join("<br>");
        let _ = writeln!(text, "| `{sign}` | `{}` | {sentence} | {} |", preview.app, cell(&effect));
    }
    for preview in changes {
        let fields = fields::changed(preview);
        if fields.is_empty() {
            continue;
        }
        let _ = write!(text, "\n<details><summary><code>{}</code></summary>\n\n```diff\n", preview.app);
        for field in fields {
            let lines = [("-", field.before), ("+", field.after)];
            for (sign, value) in lines.into_iter().filter_map(|(sign, value)| Some((sign, value?))) {
                // A fence in a value would end the block.
                let value = value.replace("```", "'''").replace('\n', "\\n");
                let _ = writeln!(text, "{sign} {}: {value}", field.path);
            }
        }
        text.push_str("```\n\n</details>\n");
    }
    text
}

/// A text within a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
