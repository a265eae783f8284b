//! What stands around machines: who is registered and when that is known, disks, logs and commands, and what is not ours.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use trueup_fly_sim::{Behaviour, Fault, Ran, Rule, Said, Scenario};
use trueup_seams::{Ingress as _, Inspect as _, LogQuery, Runtime as _};
use trueup_types::observed::Phase;
use trueup_types::route::{AppRoutes, Backend, RouteEntry, RouteTable};
use trueup_types::step::StepOutcome;
use trueup_types::template::Volume;
use trueup_types::{InstanceId, Label, OwnerId, Revision, Sighting, TableGeneration};

use crate::stand::{Stand, app, image, quick, release, sketch};

/// A table that sends all requests of `web` to these.
fn table(generation: u64, to: &[&Sighting]) -> RouteTable {
    let backend = |one: &&Sighting| Backend {
        instance: one.id.clone(),
        address: one.addresses.values().next().copied(),
        weight: 1,
    };
    let backends = to.iter().map(backend).collect();
    let entry = RouteEntry { host: "web.localhost".to_owned(), path: "/".to_owned(), backends };
    let share = Arc::new(AppRoutes { app: app("web"), entries: vec![entry] });
    RouteTable {
        owner: OwnerId::new("ours").expect("a name"),
        generation: TableGeneration(generation),
        apps: vec![share],
    }
}

/// Who the ingress says is routed.
async fn routed(stand: &Stand) -> Vec<String> {
    let sight = stand.runtime.observe().await.expect("it is in sight");
    let backends = sight.table.apps.iter().flat_map(|share| &share.entries).flat_map(|entry| &entry.backends);
    backends.filter(|one| one.weight > 0).map(|one| one.instance.to_string()).collect()
}

async fn listed(stand: &Stand, id: &InstanceId) -> bool {
    let sight = stand.runtime.observe().await.expect("it is in sight");
    sight.table.apps.iter().any(|share| share.lists(id))
}

fn cordoned(stand: &Stand) -> Vec<bool> {
    stand.platform.machines().iter().map(|machine| machine["cordoned"].as_bool().unwrap_or(false)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_old_stays_registered_until_every_edge_knows_the_new() {
    let stand = Stand::new(quick());
    let blue = stand.up(&release("web", 1, "a:1"), 0).await;
    assert_eq!(cordoned(&stand), [true], "it is born where nobody sends it anything");
    assert_eq!(stand.route(&table(1, &[&blue])).await, StepOutcome::Done);
    assert_eq!(cordoned(&stand), [false]);
    assert_eq!(routed(&stand).await, Vec::<String>::new(), "not every edge has heard");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(routed(&stand).await, ["web-r1-0"]);

    let green = stand.up(&release("web", 2, "a:2"), 0).await;
    assert_eq!(stand.route(&table(2, &[&green])).await, StepOutcome::Done);
    assert_eq!(cordoned(&stand), [false, false], "the old one stays while the new is not known everywhere");
    assert_eq!(routed(&stand).await, ["web-r1-0"], "and that is what is observed");
    let again = stand.route(&table(2, &[&green])).await;
    assert!(matches!(again, StepOutcome::Underway { .. }), "{again:?}");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(stand.route(&table(3, &[&green])).await, StepOutcome::Done);
    assert!(listed(&stand, &blue.id).await, "some edge may still send it requests");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(!listed(&stand, &blue.id).await);
    assert_eq!(routed(&stand).await, ["web-r2-0"]);
    assert_eq!(stand.route(&table(3, &[&green])).await, StepOutcome::AlreadyTrue);
}

#[tokio::test(start_paused = true)]
async fn who_is_registered_is_found_again_where_the_table_is_lost() {
    let mut stand = Stand::new(quick());
    let blue = stand.up(&release("web", 1, "a:1"), 0).await;
    stand.up(&release("web", 1, "a:1"), 1).await;
    assert_eq!(stand.route(&table(7, &[&blue])).await, StepOutcome::Done);
    stand.restarted(true);
    assert_eq!(routed(&stand).await, ["web-r1-0"], "machines say so themselves");
    let sight = stand.runtime.observe().await.expect("it is in sight");
    let share = &sight.table.apps[0];
    assert_eq!((share.entries[0].host.as_str(), share.entries[0].path.as_str()), ("web.localhost", "/"));
    assert_eq!(share.entries[0].backends[0].address, blue.addresses.values().next().copied());
}

#[tokio::test(start_paused = true)]
async fn a_cordon_by_another_hand_is_seen_and_undone() {
    let stand = Stand::new(quick());
    let blue = stand.up(&release("web", 1, "a:1"), 0).await;
    assert_eq!(stand.route(&table(1, &[&blue])).await, StepOutcome::Done);
    tokio::time::sleep(Duration::from_secs(40)).await;
    stand.platform.do_to(json!({"act": {"verb": "cordon"}}));
    tokio::time::sleep(Duration::from_secs(40)).await;
    stand.survey().await;
    assert_eq!(routed(&stand).await, Vec::<String>::new());
    assert_eq!(stand.route(&table(2, &[&blue])).await, StepOutcome::Done);
    assert_eq!(cordoned(&stand), [false]);
}

#[tokio::test(start_paused = true)]
async fn a_disk_is_found_again_by_the_next_of_its_place_and_outlives_the_app() {
    let with_disk = |revision| {
        let mut sketch = sketch("db", "a:1");
        let name = Label::new("data").expect("a name");
        sketch.template.volumes = vec![Volume { name, path: "/data".to_owned(), size_bytes: Some(3 << 30) }];
        sketch.release(Revision(revision))
    };
    let stand = Stand::new(quick());
    let first = stand.up(&with_disk(1), 0).await;
    let disks = |stand: &Stand| stand.platform.apps()[0]["volumes"].clone();
    let before = disks(&stand);
    assert_eq!(before.as_array().map(Vec::len), Some(1));
    let early = stand.create(&with_disk(2), 0).await;
    assert!(matches!(&early, StepOutcome::Underway { why, .. } if why.contains("still in machine")), "{early:?}");
    assert!(stand.apply(Stand::stop(&first)).await.settled());
    let down = stand.until("db-r1-0", "it is down", |one| matches!(one.phase, Phase::Exited { .. })).await;
    assert_eq!(stand.apply(Stand::remove(&down)).await, StepOutcome::Done);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let second = stand.up(&with_disk(2), 0).await;
    assert_eq!(disks(&stand), before, "the same disk");
    assert!(stand.apply(Stand::stop(&second)).await.settled());
    let down = stand.until("db-r2-0", "it is down", |one| matches!(one.phase, Phase::Exited { .. })).await;
    assert_eq!(stand.apply(Stand::remove(&down)).await, StepOutcome::Done);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(stand.runtime.retire(&app("db")).await.settled());
    assert_eq!(disks(&stand), before, "nobody destroys a disk");
}

#[tokio::test(start_paused = true)]
async fn logs_and_commands_reach_people() {
    let ran = Ran { command: "uptime".to_owned(), code: 3, stdout: "up\n".to_owned(), stderr: "down\n".to_owned() };
    let prints = (0..250).map(|line| format!("line {line}")).collect();
    let chatty = Behaviour { prints, exec: vec![ran], ..image("a:1") };
    let stand = Stand::new(Scenario { images: vec![chatty], ..quick() });
    let one = stand.up(&release("web", 1, "a:1"), 0).await;
    stand.up(&release("web", 1, "a:1"), 1).await;
    let query = LogQuery { instance: one.id.clone(), since: None, lines_max: 3, previous: false, after: None };
    let newest = stand.runtime.logs(&query).await.expect("it is given");
    let texts: Vec<_> = newest.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["line 247", "line 248", "line 249"], "the newest, over all pages");
    assert!(newest.windows(2).all(|pair| pair[0].position < pair[1].position));
    let all = stand.runtime.logs(&LogQuery { lines_max: 1_000, ..query.clone() }).await.expect("it is given");
    assert_eq!(all.iter().filter(|line| line.text.starts_with("line")).count(), 250, "of this one alone");
    let after = Some(all[100].position);
    let next = stand.runtime.logs(&LogQuery { after, lines_max: 2, ..query }).await.expect("it is given");
    assert_eq!(next, all[101..103]);

    let command = ["uptime".to_owned()];
    let output = stand.runtime.exec(&one.id, &command, Duration::from_secs(5)).await.expect("it runs");
    assert_eq!((output.code, output.output.as_str()), (Some(3), "up\ndown\n"));
    let absent = InstanceId { app: app("other"), ..one.id };
    assert!(stand.runtime.exec(&absent, &command, Duration::from_secs(5)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_is_neither_seen_nor_touched() {
    let stand = Stand::new(quick());
    stand.up(&release("web", 1, "a:1"), 0).await;
    let folder = tempfile::tempdir().expect("a folder");
    let wire = Arc::clone(&stand.wire) as Arc<dyn trueup_fly::Wire>;
    let other = stand.platform.open(folder.path(), wire, "theirs", trueup_fly::PROPAGATION);
    let survey = other.survey().await;
    assert!(survey.values().all(|sight| sight.as_ref().is_ok_and(|sight| sight.instances.is_empty())), "{survey:?}");
    assert!(other.retire(&app("web")).await.settled());
    assert_eq!(stand.platform.apps().len(), 1, "an app of another owner stays");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_cannot_be_seen_is_dark_and_never_empty() {
    let stand = Stand::new(quick());
    stand.up(&release("web", 1, "a:1"), 0).await;
    for (operation, verb) in [("Machines_org_list", "stop"), ("Machines_list", "start")] {
        let fault = Fault::Answers(Said::status(500));
        let rule = Rule {
            operation: operation.to_owned(),
            app: None,
            machine: None,
            times: None,
            skip: 0,
            permille: 1_000,
            fault,
        };
        stand.platform.sim.carry_out(trueup_fly_sim::Deed::Fault(rule));
        stand.platform.do_to(json!({"act": {"verb": verb}}));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let survey = stand.runtime.survey().await;
        assert!(survey.values().any(Result::is_err), "{operation}: {survey:?}");
        stand.platform.do_to(json!({"noFaults": {}}));
        assert!(stand.one("web-r1-0").await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_whose_listing_is_not_whole_is_looked_at_app_by_app() {
    let stand = Stand::new(quick());
    stand.up(&release("web", 1, "a:1"), 0).await;
    stand.up(&release("api", 1, "a:1"), 0).await;
    let of = json!({"count": 1});
    stand.platform.do_to(json!({"host": {"of": of, "status": "unreachable"}}));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stand.survey().await.len(), 2, "both are seen, as far as their hosts say");
}
