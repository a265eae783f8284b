//! Says how it stands with the certificates of an app's names: one condition for all of them.

use trueup_types::status::{Condition, ConditionStatus};
use trueup_types::{AppName, AppRecord, Certificate, Certified, Generation, Timestamp};

use crate::engine::Engine;

/// The certificates of an app, wherever it lives.
pub(crate) fn of(engine: &Engine, app: &AppName, record: &AppRecord) -> Vec<Certificate> {
    let targets = record.homes.iter().filter_map(|home| engine.target(home));
    targets.flat_map(|target| target.runtime.certificates(app)).collect()
}

/// `CertificateReady`, where the app has names that need one: what is still to be done comes first in its message.
pub(crate) fn condition(
    certificates: &[Certificate],
    generation: Generation,
    before: &[Condition],
    now: Timestamp,
) -> Option<Condition> {
    if certificates.is_empty() {
        return None;
    }
    let (mut pending, mut unknown, mut issued) = (Vec::new(), Vec::new(), Vec::new());
    for one in certificates {
        match &one.state {
            Certified::Pending { records } => pending.push(format!("{} waits for its DNS: {records}", one.host)),
            Certified::Unknown { why } => unknown.push(format!("{}: {why}", one.host)),
            Certified::Issued => issued.push(format!("{} has its certificate", one.host)),
        }
    }
    let (status, reason) = match (pending.is_empty(), unknown.is_empty()) {
        (false, _) => (ConditionStatus::False, "AwaitingDns"),
        (true, false) => (ConditionStatus::Unknown, "NotAsked"),
        (true, true) => (ConditionStatus::True, "Issued"),
    };
    let kind = "CertificateReady";
    let old = before.iter().find(|one| one.kind == kind && one.status == status);
    Some(Condition {
        kind: kind.to_owned(),
        status,
        reason: reason.to_owned(),
        message: [pending, unknown, issued].concat().join("; "),
        last_transition_time: old.map_or(now, |old| old.last_transition_time),
        observed_generation: generation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(states: &[Certified], before: &[Condition], at: u64) -> Option<Condition> {
        let one = |(number, state): (usize, &Certified)| Certificate {
            host: format!("{number}.example.com"),
            state: state.clone(),
        };
        let all: Vec<_> = states.iter().enumerate().map(one).collect();
        condition(&all, Generation(1), before, Timestamp::from_millis(at))
    }

    #[test]
    fn what_is_to_be_done_comes_first_and_the_worst_decides() {
        let pending = Certified::Pending { records: "A 192.0.2.1".to_owned() };
        let unknown = Certified::Unknown { why: "not asked for yet".to_owned() };
        let rows = [
            (vec![Certified::Issued], "True Issued: 0.example.com has its certificate"),
            (
                vec![Certified::Issued, unknown.clone()],
                "Unknown NotAsked: 1.example.com: not asked for yet; 0.example.com has its certificate",
            ),
            (
                vec![unknown, pending],
                "False AwaitingDns: 1.example.com waits for its DNS: A 192.0.2.1; 0.example.com: not asked for yet",
            ),
        ];
        for (states, wanted) in rows {
            let found = told(&states, &[], 0).expect("it is told");
            assert_eq!(format!("{:?} {}: {}", found.status, found.reason, found.message), wanted);
        }
        assert_eq!(told(&[], &[], 0), None, "an app without such names has none");
    }

    #[test]
    fn its_onset_stays_while_it_does() {
        let first = told(&[Certified::Issued], &[], 5).expect("it is told");
        let again = told(&[Certified::Issued], std::slice::from_ref(&first), 9).expect("it is told");
        assert_eq!(again.last_transition_time.as_millis(), 5);
    }
}
