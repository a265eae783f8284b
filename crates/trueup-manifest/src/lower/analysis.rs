//! The analyses of a canary's step.

use std::time::Duration;

use trueup_types::Label;
use trueup_types::analysis::{Analysis, Ask, Expectation};

use super::notes::Notes;
use super::read::{Broken, Read, integer, name, parsed, text, texts};
use crate::node::View;
use crate::units;

/// From one question to the next.
const INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait for an answer: half an interval, so that questions never overlap.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Argo Rollouts' default is a `failureLimit` of 0: the first bad answer fails the release.
const FAILURES: u32 = 1;

/// The three questions, as they are written.
const QUESTIONS: [&str; 3] = ["http", "exec", "prometheus"];

pub(super) fn lower(view: View<'_>, notes: &mut Notes<'_>) -> Vec<Analysis> {
    let mut analyses: Vec<Analysis> = Vec::new();
    for item in view.items() {
        let Ok(Some(analysis)) = analysis(item, notes) else { continue };
        if analyses.iter().any(|other| other.name == analysis.name) {
            let message = format!("two analyses of the step are named `{}`", analysis.name);
            notes.error(item, "manifest::analysis::name", message, "give each a `name` of its own");
        }
        analyses.push(analysis);
    }
    analyses
}

fn analysis(item: View<'_>, notes: &mut Notes<'_>) -> Read<Analysis> {
    let asked: Vec<_> = QUESTIONS.into_iter().filter(|question| !item.get(question).is_absent()).collect();
    let [question] = asked[..] else {
        let message = match asked.len() {
            0 => "the analysis asks nothing".to_owned(),
            _ => format!("the analysis asks {} things at once: {}", asked.len(), asked.join(", ")),
        };
        let help = "write one of `http`, `exec` and `prometheus` in each analysis";
        notes.error(item, "manifest::analysis::question", message, help);
        return Ok(None);
    };
    let Some(ask) = ask(question, item.get(question), notes)? else { return Ok(None) };
    let own = Label::new(question).map_err(|_| Broken)?;
    Ok(Some(Analysis {
        name: name(item.get("name"))?.unwrap_or(own),
        ask,
        interval: parsed(item.get("interval"), units::interval)?.unwrap_or(INTERVAL),
        timeout: parsed(item.get("timeout"), units::timeout)?.unwrap_or(TIMEOUT),
        failures: integer(item.get("failures"))?.unwrap_or(FAILURES),
    }))
}

fn ask(question: &str, view: View<'_>, notes: &mut Notes<'_>) -> Read<Ask> {
    let url = || text(view.get("url"))?.ok_or(Broken);
    let expect = || name::<Expectation>(view.get("expect"));
    Ok(match question {
        "http" => {
            let json = match (text(view.get("json"))?, expect()?) {
                (None, None) => None,
                (Some(pointer), Some(expectation)) => Some((pointer, expectation)),
                (Some(_), None) | (None, Some(_)) => {
                    let help = "write `json: /path` and `expect: \"== value\"`, or neither";
                    notes.error(view, "manifest::analysis::json", "`json` and `expect` go together", help);
                    return Ok(None);
                }
            };
            Some(Ask::Http { url: url()?, json })
        }
        "prometheus" => {
            let query = text(view.get("query"))?.ok_or(Broken)?;
            Some(Ask::Prometheus { url: url()?, query, expect: expect()?.ok_or(Broken)? })
        }
        _ => Some(Ask::Exec { command: texts(view.get("command")) }),
    })
}
