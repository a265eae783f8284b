//! Sights that no world would show: shuffled, doubled, absurd. The planner answers all the same.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::Index;
use proptest::{prop_assert, prop_assert_eq};
use trueup_plan::{absorb, adopt, audit, explain, plan};
use trueup_types::policy::Strategy as Order;
use trueup_types::record::AppRecord;
use trueup_types::step::{InstanceStep, StepAction, TargetStep};

use super::event::{self, Event};
use super::histories;
use crate::support::app::web;
use crate::support::model::Model;
use crate::support::scene::Scene;

fn wants() -> impl Strategy<Value = String> {
    let manifest = (0..4_u32, 1..4_u32, event::order())
        .prop_map(|(count, version, order)| format!("want {count}×v{version} {order}"));
    let other = prop_oneof![Just("gone"), Just("gone orphan"), Just("held"), Just("want 2×v2 suspend")];
    prop_oneof![4 => manifest, 1 => other.prop_map(str::to_owned)]
}

fn instance() -> impl Strategy<Value = String> {
    let condition = prop_oneof![
        Just("passing 1h"),
        Just("passing 1s"),
        Just("waiting"),
        Just("failing 1h"),
        Just("unknown"),
        Just("starting"),
        Just("created"),
        Just("asleep"),
        Just("going"),
        Just("exited 0 5s"),
        Just("exited 1 5s"),
        Just("stopped"),
        Just("lost"),
        Just("cannot-start"),
    ];
    let traffic = prop_oneof![3 => Just(""), 2 => Just("routed"), 1 => Just("standby"), 1 => Just("routed serving 2")];
    let head = prop_oneof![3 => Just(""), 1 => Just("=v9"), 1 => Just(" on other")];
    (1..4_u32, head, 0..3_u32, condition, traffic, any::<bool>()).prop_map(
        |(number, head, ordinal, how, traffic, bare)| {
            format!("r{number}{head}: {ordinal} {how} {traffic} {}", if bare { "bare" } else { "" })
        },
    )
}

/// A memory that some history could have left.
fn memory() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("knows r1"),
        Just("rolling r1 30s"),
        Just("baking r1 1h"),
        Just("rejected r1"),
        Just("good r1"),
        Just("good r1 | rolling r2 30s"),
        Just("good r1 | rolling r2 1h | exits r2-0 9"),
        Just("good r1 | rolling r3 1h | rejected r2"),
        Just("good r1 | baking r2 30s"),
        Just("good r2 | baking r3 1h"),
        Just("good r1 | reverting r2 5s | rejected r2"),
        Just("good r1 | reverting r2 1h | rejected r2 | reverted"),
        Just("good r1 | failed r2 | reverted"),
        Just("good r2 | once-good r1 | pin r1"),
    ]
}

fn more() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("exits r1-0 2"),
        Just("unrouted r1-0 1m"),
        Just("backoff 5s"),
        Just("edited"),
        Just("suspended"),
        Just("sighted 3s"),
        Just("edge dark"),
        Just("edge 503"),
        Just("may not create: store"),
        Just("may not destroy: prune"),
        Just("may not roll: cap"),
        Just("needs db"),
    ]
}

proptest! {
    #![proptest_config(histories(512))]

    #[test]
    fn any_sight_and_any_memory_give_one_lawful_plan_whatever_their_order(
        wants in wants(),
        instances in vec(instance(), 0..6),
        memory in memory(),
        more in vec(more(), 0..4),
        order in vec(any::<Index>(), 6),
        double in any::<bool>(),
    ) {
        let clauses = [wants, memory.to_owned()].into_iter().chain(instances).chain(more.into_iter().map(str::to_owned));
        let clauses: Vec<_> = clauses.collect();
        let Scene { wanted, mut observed, permits, record, now } = Scene::read(&clauses.join(" | "));
        // What a name stands for is one thing: the first that was said.
        let mut names = BTreeSet::new();
        observed.instances.retain(|one| names.insert((one.target.clone(), one.sighting.id.clone())));
        let decided = plan(&wanted, &observed, &permits, &record, now);
        let mut shuffled = observed.clone();
        if double {
            shuffled.instances.extend(observed.instances.clone());
        }
        for index in 0..shuffled.instances.len() {
            let other = order[index % order.len()].index(shuffled.instances.len());
            shuffled.instances.swap(index, other);
        }
        prop_assert_eq!(&decided, &plan(&wanted, &shuffled, &permits, &record, now), "the order of a listing means nothing");
        let broken = audit(&record, &wanted, &observed, &permits, &decided);
        let lines = explain(&wanted, &observed, &permits, &record, &decided, now);
        prop_assert!(broken.is_empty(), "{broken:?}\n{}", lines.join("\n"));
        let absorbed = absorb(decided.record.clone(), &[], now);
        prop_assert_eq!(absorbed, decided.record, "no outcomes, nothing learnt");
    }

    #[test]
    fn whatever_is_adopted_the_last_one_that_serves_is_not_destroyed(
        beginning in event::beginning(),
        events in vec(event::event(), 0..25),
        kept in vec(any::<bool>(), 8),
    ) {
        let mut model = beginning.model();
        events.iter().filter(|event| !matches!(event, Event::Gone | Event::Held)).for_each(|event| event.happen(&mut model));
        // Only some of it is seen when the record is made; the rest comes into sight later.
        let seen = model.look();
        let some = seen.instances.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(one, _)| one.clone());
        model.record = adopt(&web(), &some.collect::<Vec<_>>(), model.now);
        if model.record != AppRecord::default() {
            survives(&model);
        }
    }
}

/// The first plan after a loss of memory takes nothing from the last one that serves.
fn survives(model: &Model) {
    let observed = model.look();
    let decided = plan(&model.wanted, &observed, &model.permits, &model.record, model.now);
    let desired = model.desired().expect("a manifest");
    if desired.replicas() == 0 || desired.policy.stop_first.is_some() || desired.policy.max_surge.of_rounded_up(1) == 0
    {
        return;
    }
    let mut share = &model.share;
    let mut gone = BTreeSet::new();
    for step in &decided.steps {
        match &step.action {
            StepAction::Route { share: next } => share = next,
            StepAction::Target { step: TargetStep::Instance(step), .. } => match step {
                InstanceStep::Stop { id, .. } | InstanceStep::Remove { id, .. } => drop(gone.insert(id)),
                InstanceStep::Create { .. } | InstanceStep::Start { .. } => {}
            },
        }
    }
    let passing = || model.beings.iter().filter(|(_, being)| model.passes(being)).map(|((_, id), _)| id);
    let served = passing().any(|id| model.share.routes_to(id));
    let serves = passing().any(|id| share.routes_to(id) && !gone.contains(id));
    let recreates = desired.policy.strategy == Order::Recreate;
    assert!(recreates || !served || serves, "the last one that served is gone: {:?}", decided.steps);
}
