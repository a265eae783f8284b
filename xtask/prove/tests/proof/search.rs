//! The model's search: it meets what a plain one meets, and what it finds can be gone again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trueup_museum::{Bug, Planted};
use trueup_prove::model::search::Search;
use trueup_prove::model::state::State;
use trueup_prove::model::table::{Distance, Table};
use trueup_prove::model::tick::{Notes, Sight, decide};
use trueup_prove::model::{key, scope, story, world::World};
use trueup_prove::tier::Scale;

fn all_that_follows(world: &World, state: &State) -> Vec<State> {
    let decided = decide(world, state, Sight::Fresh, &state.record);
    let follow = |action| {
        let mut next = state.clone();
        next.act(world, action, None, &mut Notes::default());
        next
    };
    state.moves(world, decided.plan.steps.len()).into_iter().map(follow).collect()
}

fn world(name: &str) -> World {
    scope::worlds(Scale::Ci).into_iter().find(|world| world.name == name).expect("a world of that name")
}

#[test]
fn it_meets_exactly_the_states_that_a_plain_one_meets_that_keeps_whole_keys() {
    let world = world("rolling1/mute");
    let mut begin = story::beginning(&world).expect("nothing is wrong at the beginning");
    begin.left = [1, 1, 0];
    let (mut met, mut open) = (BTreeSet::from([key::bytes(&world, &begin)]), VecDeque::from([begin.clone()]));
    while let Some(state) = open.pop_front() {
        for next in all_that_follows(&world, &state) {
            if met.insert(key::bytes(&world, &next)) {
                open.push_back(next);
            }
        }
    }
    let figures = Search::new(&world).run(&begin, &|_| false).expect("nothing is wrong");
    assert_eq!(figures.states, u64::try_from(met.len()).expect("few"));
    assert!(met.len() > 300, "{} states are no search", met.len());
}

#[test]
fn states_that_are_taken_for_one_go_on_alike() {
    for name in ["rolling1/mute", "bluegreen1/undone", "bluegreen1/words", "canary1/sickens", "bluegreen1/stale"] {
        let world = world(name);
        let mut begin = story::beginning(&world).expect("nothing is wrong at the beginning");
        begin.left = [1, 1, begin.left[2].min(1)];
        let (mut met, mut open, mut again) = (BTreeMap::new(), VecDeque::from([begin]), 0);
        while let Some(state) = open.pop_front() {
            let following = all_that_follows(&world, &state);
            let keys: BTreeSet<_> = following.iter().map(|next| key::bytes(&world, next)).collect();
            if let Some(before) = met.insert(key::bytes(&world, &state), keys.clone()) {
                assert_eq!(before, keys, "{name}: {state:?} was met before, and went on otherwise");
                again += 1;
                continue;
            }
            open.extend(following);
        }
        assert!(again > 500, "{name}: {again} states met again show little");
    }
}

#[test]
fn a_planted_bug_is_found_and_its_path_replays() {
    let world = world("bluegreen1/fails");
    let _planted = Planted::new(Bug::RetriesRejected);
    let begin = story::beginning(&world).expect("nothing is wrong at the beginning");
    let found = Search::new(&world).run(&begin, &|_| false).expect_err("the bug is there");
    let path = story::shorten(&world, found.path);
    assert!(story::tell(&world, &path, &mut |_| ()).is_some(), "{path:?} goes wrong again");
}

#[test]
fn a_state_is_met_once_and_keeps_its_distance_while_the_table_grows() {
    let mut table = Table::small();
    let key = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1);
    for number in 1..20_000 {
        assert_eq!(table.distance(key(number)), Distance::Unmet);
        table.keep(key(number), Distance::Asked);
        assert_eq!(table.distance(key(number)), Distance::Asked);
        table.keep(key(number), Distance::Known(u8::try_from(number % 200).expect("small")));
    }
    for number in 1..20_000 {
        assert_eq!(table.distance(key(number)), Distance::Known(u8::try_from(number % 200).expect("small")));
    }
    assert_eq!(table.count(), 19_999);
}
