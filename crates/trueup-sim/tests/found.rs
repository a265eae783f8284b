//! What the proof has found in the house: each case kept, as a sentence.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use trueup_driver::route_book::{Leave, RouteBook, SeenShare};
use trueup_driver::survey::Epoch;
use trueup_seams::BoxFuture;
use trueup_seams::runtime::{Ingress, ObserveError};
use trueup_sim::behaviour::NEVER_HEALTHY;
use trueup_sim::faults::CallFault;
use trueup_sim::{AppSketch, CallKind, Cut, House, Moment, SightFault, SimIngress};
use trueup_types::policy::Strategy;
use trueup_types::route::{AppRoutes, Backend, RouteEntry, RouteTable, TableSight};
use trueup_types::target::TargetSpec;
use trueup_types::{
    AppName, InstanceId, Ordinal, OwnerId, Revision, RouteSight, StepOutcome, TableGeneration, TargetName,
};

const PATIENCE: Duration = Duration::from_secs(1_200);

fn name(text: &str) -> AppName {
    AppName::new(text).expect("a name")
}

async fn house_with(app: &AppSketch) -> House {
    let mut house = House::new();
    house.source.put(app.build());
    house.start().await;
    house.until_live(app.name.as_str(), 1).await;
    house
}

fn lawful(house: &House) {
    let violations = house.world.lock().violations.clone();
    assert!(violations.is_empty(), "{violations:#?}\n{}", house.story());
}

fn ids(house: &House) -> Vec<InstanceId> {
    house.running("web").iter().map(|(id, _)| id.parse().expect("a name")).collect()
}

#[tokio::test(start_paused = true)]
async fn one_that_stops_first_goes_back_though_all_of_the_new_fail_at_once() {
    let mut app = AppSketch::web("web").replicas(2);
    app.policy.stop_first = Some("it has a volume".to_owned());
    let mut house = house_with(&app).await;
    house.source.put(app.env("VERSION", "v2").build());
    house.until("it bakes", PATIENCE, |house| house.app("web").is_some_and(|app| app.status.word == "Baking")).await;
    house.kill().await;
    ids(&house).iter().for_each(|id| house.world.sicken(id, true));
    tokio::time::sleep(Duration::from_secs(60)).await;
    house.start().await;
    house
        .until("the good release serves again", PATIENCE, |house| {
            let routed = house.world.routed(&name("web"));
            house.settled() && routed.len() == 2 && routed.iter().all(|id| id.revision.0 == 1)
        })
        .await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_made_room_stays_down_when_the_daemon_dies_over_it() {
    let app = AppSketch::worker("web").replicas(2).strategy(Strategy::Rolling);
    for number in 0..4 {
        let mut house = house_with(&app).await;
        house.tether().arm(Some(Cut { kind: CallKind::Step, number, moment: Moment::Effect }), false);
        house.source.put(app.clone().env("VERSION", "v2").build());
        house.tether().died().await;
        house.kill().await;
        house.start().await;
        house.until_live("web", 2).await;
        let starts = house.world.lock().starts.clone();
        assert!(starts.is_empty(), "killed over step {number}: {starts:?}\n{}", house.story());
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_of_nothing_or_of_what_was_unroutes_nobody_and_makes_nothing_twice() {
    for fault in [SightFault::Empty, SightFault::Short, SightFault::Stale, SightFault::Older] {
        for number in (0..12).step_by(2) {
            let mut app = AppSketch::web("web").replicas(2).strategy(Strategy::Rolling);
            app.policy.bake = Duration::from_secs(5);
            let house = house_with(&app).await;
            let faults = std::iter::repeat_n(None, number).chain([Some(fault)]);
            house.world.lock().faults.script_sights(faults);
            house.source.put(app.env("VERSION", "v2").build());
            house.until_live("web", 2).await;
            let (creates, starts) = {
                let state = house.world.lock();
                (state.creates[&name("web")], state.starts.clone())
            };
            assert_eq!((creates, starts.len()), (4, 0), "{fault:?} at look {number}\n{}", house.story());
            lawful(&house);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_its_memory_finds_what_it_moved_away_from() {
    let mut app = AppSketch::web("web").replicas(2);
    let there = TargetName::new("there").expect("a name");
    let mut house = house_with(&app).await;
    house.source.target(TargetSpec { name: there.clone(), ..TargetSpec::local() }, true);
    house.kill().await;
    house.store.lose();
    app.target = there;
    house.source.put(app.build());
    house.start().await;
    house.until_live("web", 2).await;
    house.until("nothing is left behind", PATIENCE, |house| house.running("web").len() == 2 && house.settled()).await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn who_remembers_nothing_of_an_app_that_is_in_the_table_looks_everywhere_first() {
    let there = TargetName::new("there").expect("a name");
    let target = TargetSpec { name: there.clone(), ..TargetSpec::local() };
    let mut app = AppSketch::web("web").replicas(2);
    app.target = there.clone();
    let mut house = House::new();
    house.source.target(target, true);
    house.source.put(app.build());
    house.start().await;
    house.until_live("web", 1).await;
    house.kill().await;
    // The whole directory, so that nobody notices.
    house.store = Default::default();
    house.world.lock().dark.insert(there.clone());
    app.target = TargetName::local();
    house.source.put(app.build());
    house.start().await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(house.world.routed(&name("web")).len(), 2, "{}", house.story());
    house.world.lock().dark.remove(&there);
    let here = |house: &House| house.world.lock().instances[&TargetName::local()].len() == 2;
    house
        .until("it has moved", PATIENCE, |house| here(house) && house.running("web").len() == 2 && house.settled())
        .await;
    lawful(&house);
}

#[tokio::test(start_paused = true)]
async fn on_a_full_disk_no_rollout_takes_the_place_of_another() {
    let mut house = House::new();
    house.source.put(AppSketch::web("web").env(NEVER_HEALTHY, "1").build());
    house.start().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    house.store.fill(true);
    house.source.put(AppSketch::web("web").env(NEVER_HEALTHY, "2").build());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(ids(&house).iter().all(|id| id.revision == Revision(1)), "{}", house.story());
    house.store.fill(false);
    house
        .until("the fix is rolled out", PATIENCE, |house| ids(house).iter().any(|id| id.revision == Revision(2)))
        .await;
    lawful(&house);
}

/// What the first instance of an app is routed as.
fn share(app: &AppName) -> AppRoutes {
    let instance = InstanceId::new(app, Revision(1), Ordinal(0));
    let backends = vec![Backend { instance, address: None, weight: 1 }];
    AppRoutes {
        app: app.clone(),
        entries: vec![RouteEntry { host: format!("{app}.localhost"), path: "/".to_owned(), backends }],
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_planned_by_an_emptied_table_is_not_done_when_another_has_told_it_again() {
    let house = House::new();
    let ingress = Arc::new(SimIngress::new(&house.world));
    let owner = OwnerId::new("sim").expect("a literal name");
    let (book, epoch) = (RouteBook::new(owner, Some(ingress), TableGeneration(0)), Epoch::default());
    let (one, other) = (name("one"), name("other"));
    let unseen = SeenShare { share: None, epoch: 0 };
    drop(book.sight(&one, epoch.next(), &epoch).await);
    assert_eq!(book.apply(&share(&one), unseen, &epoch).await, StepOutcome::Done);
    house.world.lock().table.apps.clear();
    let (RouteSight::Seen(emptied), at) = book.sight(&one, epoch.next(), &epoch).await else { panic!("it is seen") };
    assert_eq!(emptied.share, AppRoutes::none(&one));
    let seen = SeenShare { share: Some(&emptied.share), epoch: at };
    assert_eq!(book.apply(&share(&other), unseen, &epoch).await, StepOutcome::Done);
    assert_eq!(book.withdraw(&emptied.share, at), Leave::ToldSince, "it is routed again: nobody of it may be stopped");
    let blind = book.apply(&AppRoutes::none(&one), seen, &epoch).await;
    assert!(matches!(blind, StepOutcome::Unknown { .. }), "{blind:?}");
    let (RouteSight::Seen(told), at) = book.sight(&one, epoch.next(), &epoch).await else { panic!("it is seen") };
    assert_eq!(told.share, share(&one), "it still serves");
    let seen = SeenShare { share: Some(&told.share), epoch: at };
    assert_eq!(book.apply(&AppRoutes::none(&one), seen, &epoch).await, StepOutcome::Done);
    let (RouteSight::Seen(left), at) = book.sight(&one, epoch.next(), &epoch).await else { panic!("it is seen") };
    assert_eq!(book.withdraw(&left.share, at), Leave::Given, "it is routed nowhere by now");
}

/// An ingress that takes a table only when it may.
struct Slow {
    ingress: SimIngress,
    may: Semaphore,
}

impl Ingress for Slow {
    fn observe(&self) -> BoxFuture<'_, Result<TableSight, ObserveError>> {
        self.ingress.observe()
    }

    fn apply<'a>(&'a self, table: &'a RouteTable) -> BoxFuture<'a, StepOutcome> {
        Box::pin(async move {
            self.may.acquire().await.expect("it stays open").forget();
            self.ingress.apply(table).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_waited_behind_a_table_that_was_not_taken_is_planned_anew() {
    let house = House::new();
    let ingress = Arc::new(Slow { ingress: SimIngress::new(&house.world), may: Semaphore::new(0) });
    let owner = OwnerId::new("sim").expect("a literal name");
    let (book, epoch) = (RouteBook::new(owner, Some(Arc::clone(&ingress) as _), TableGeneration(0)), Epoch::default());
    let (one, other) = (share(&name("one")), share(&name("other")));
    let unseen = SeenShare { share: None, epoch: 0 };
    drop(book.sight(&one.app, epoch.next(), &epoch).await);
    let waits = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        book.apply(&other, unseen, &epoch).await
    };
    let (told, waited) = tokio::join!(book.apply(&one, unseen, &epoch), waits);
    assert!(matches!(told, StepOutcome::Unknown { .. }), "{told:?}");
    assert!(matches!(waited, StepOutcome::Retry { .. }), "{waited:?}");
    ingress.may.add_permits(2);
    assert_eq!(book.apply(&one, unseen, &epoch).await, StepOutcome::Done);
    let table = house.world.lock().table.apps.clone();
    assert_eq!(table.iter().map(|share| (**share).clone()).collect::<Vec<_>>(), [one], "the other was not asked again");
    assert_eq!(book.apply(&other, unseen, &epoch).await, StepOutcome::Done);
    assert_eq!(house.world.lock().table.apps.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_while_a_table_is_told_may_be_the_one_before() {
    let house = House::new();
    let ingress = Arc::new(Slow { ingress: SimIngress::new(&house.world), may: Semaphore::new(1) });
    let owner = OwnerId::new("sim").expect("a literal name");
    let (book, epoch) = (RouteBook::new(owner, Some(Arc::clone(&ingress) as _), TableGeneration(0)), Epoch::default());
    let (one, other) = (name("one"), name("other"));
    let unseen = SeenShare { share: None, epoch: 0 };
    drop(book.sight(&one, epoch.next(), &epoch).await);
    assert_eq!(book.apply(&share(&one), unseen, &epoch).await, StepOutcome::Done);
    house.world.lock().table.apps.clear();
    let other = share(&other);
    let blind = async {
        // The other's table is on its way by now, and the ingress has not taken it yet.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (RouteSight::Seen(emptied), at) = book.sight(&one, epoch.next(), &epoch).await else {
            panic!("it is seen")
        };
        assert_eq!(emptied.share, AppRoutes::none(&one));
        let seen = SeenShare { share: Some(&emptied.share), epoch: at };
        ingress.may.add_permits(2);
        book.apply(&AppRoutes::none(&one), seen, &epoch).await
    };
    let (told, blind) = tokio::join!(book.apply(&other, unseen, &epoch), blind);
    assert_eq!(told, StepOutcome::Done);
    assert!(matches!(blind, StepOutcome::Unknown { .. }), "{blind:?}");
}

/// A book over an ingress of which the tables after the first meet these faults; one app has its share in it by then.
async fn book_after(faults: &[Option<CallFault>]) -> (House, RouteBook, Epoch) {
    let house = House::new();
    let ingress = Arc::new(SimIngress::new(&house.world));
    let owner = OwnerId::new("sim").expect("a literal name");
    let (book, epoch) = (RouteBook::new(owner, Some(ingress), TableGeneration(0)), Epoch::default());
    drop(book.sight(&name("one"), epoch.next(), &epoch).await);
    assert_eq!(book.apply(&share(&name("one")), UNSEEN, &epoch).await, StepOutcome::Done);
    house.world.lock().faults.script_tables(faults.iter().copied());
    (house, book, epoch)
}

const UNSEEN: SeenShare<'static> = SeenShare { share: None, epoch: 0 };

/// The apps that the live table names.
fn live(house: &House) -> Vec<AppName> {
    house.world.lock().table.apps.iter().map(|share| share.app.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_an_ingress_did_not_take_is_told_by_nobody_else() {
    for fault in [CallFault::LostBefore, CallFault::Hangs, CallFault::RefusedForNow] {
        let (house, book, epoch) = book_after(&[Some(fault)]).await;
        let gone = book.apply(&AppRoutes::none(&name("one")), UNSEEN, &epoch).await;
        assert!(matches!(gone, StepOutcome::Unknown { .. }), "{gone:?}");
        assert_eq!(book.apply(&share(&name("other")), UNSEEN, &epoch).await, StepOutcome::Done);
        assert_eq!(live(&house), [name("one"), name("other")], "one has to say it again");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_ingress_took_without_saying_so_is_told_on_by_all() {
    let lost = Some(CallFault::LostBefore);
    let late = Some(CallFault::Late(Duration::from_secs(5)));
    let after = [
        vec![Some(CallFault::LostAfter)],
        vec![Some(CallFault::HangsAfter)],
        vec![Some(CallFault::LostAfter), lost],
        vec![Some(CallFault::ConflictAfter), lost],
        vec![late],
    ];
    for faults in after {
        let (house, book, epoch) = book_after(&faults).await;
        let said = book.apply(&share(&name("some")), UNSEEN, &epoch).await;
        assert!(!matches!(said, StepOutcome::Done | StepOutcome::AlreadyTrue), "{said:?}");
        // Whoever looks meanwhile may see the table before.
        drop(book.sight(&name("other"), epoch.next(), &epoch).await);
        tokio::time::sleep(Duration::from_secs(10)).await;
        while book.apply(&share(&name("other")), UNSEEN, &epoch).await != StepOutcome::Done {}
        assert_eq!(live(&house), [name("one"), name("other"), name("some")], "{faults:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_whom_a_table_may_bring_back_that_nobody_knows_of() {
    let (house, book, epoch) = book_after(&[None, Some(CallFault::Late(Duration::from_secs(5)))]).await;
    let one = name("one");
    assert_eq!(book.apply(&AppRoutes::none(&one), UNSEEN, &epoch).await, StepOutcome::Done);
    let late = book.apply(&share(&one), UNSEEN, &epoch).await;
    assert!(matches!(late, StepOutcome::Unknown { .. }), "{late:?}");
    let (RouteSight::Seen(seen), at) = book.sight(&one, epoch.next(), &epoch).await else { panic!("it is seen") };
    assert_eq!(seen.share, AppRoutes::none(&one), "it has not landed yet");
    assert_eq!(book.withdraw(&seen.share, at), Leave::InDoubt);
    book.settle(&epoch).await;
    let (RouteSight::Seen(seen), at) = book.sight(&one, epoch.next(), &epoch).await else { panic!("it is seen") };
    assert_eq!(book.withdraw(&seen.share, at), Leave::Given);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(live(&house), [], "what comes too late is not taken");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_a_million_instances_is_refused_and_a_thousand_are_planned() {
    let house = house_with(&AppSketch::web("web")).await;
    let wanted = |replicas| vec![AppSketch::web("web").replicas(replicas).build().as_ref().clone()];
    let refused = house.control().preview(wanted(967_295)).await.expect_err("nobody has so many").to_string();
    assert_eq!(refused, "web: 967295 instances in `here`, and 1000 in one place are the most");
    let planned = house.control().preview(wanted(1_000)).await.expect("it is planned");
    assert_eq!(planned[0].create, 999, "{:?}", planned[0].notes);
}
