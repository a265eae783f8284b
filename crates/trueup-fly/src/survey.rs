//! The survey: one listing for the whole organisation, and a closer look at each app of which it says something new, or
//! that is due by itself.
//!
//! What we did is known without asking, and what nobody can have changed is not asked for again: a survey is answered from
//! what is known while that is fresh ([`AROUND`] for what there is, `due` for how it is). A look that failed is no look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;
use trueup_seams::{ObserveError, Sight, Survey};
use trueup_types::observed::{Health, Sighting};
use trueup_types::{AppName, Place};

use crate::api::{Apps, Machine, OrgPage, Row};
use crate::book::{AppBook, Known};
use crate::client::{Call, PATIENCE, encoded};
use crate::fault::Fault;
use crate::lift::{self, Around};
use crate::names;
use crate::runtime::Inner;

/// Closer looks at a time.
const LOOKS_MAX: usize = 8;
/// How old the organisation's listing may be: what others do to our machines is seen within so long.
pub(crate) const AROUND: Duration = Duration::from_secs(15);
/// Machines on a page of the listing: the most there is.
const PAGE: usize = 1_000;
/// Most pages of one listing: a hundred thousand machines.
const PAGES_MAX: usize = 100;
/// Longest a survey's call may take: the driver waits twenty seconds for all of them.
pub(crate) const LOOK: Duration = Duration::from_secs(9);

impl Inner {
    /// All that is ours, place by place.
    pub(crate) async fn survey(self: &Arc<Self>) -> Survey {
        match self.look_around().await {
            Ok(()) => self.sights(),
            Err(why) => BTreeMap::from([(self.settings.primary_region.clone(), Err(ObserveError { detail: why }))]),
        }
    }

    /// Brings what is known up to date, as far as it is not.
    pub(crate) async fn look_around(self: &Arc<Self>) -> Result<(), String> {
        let mut around = self.around.lock().await;
        let now = Instant::now();
        let apps = if around.is_some_and(|around| now.duration_since(around) < AROUND) {
            self.apps_due(now)
        } else {
            *around = None;
            let apps = self.apps_in_question().await?;
            *around = Some(now);
            apps
        };
        drop(around);
        let looks: Vec<_> = apps.into_iter().map(|fly| async move { self.refresh(&fly, LOOK).await }).collect();
        let looked: Vec<_> = futures_util::stream::iter(looks).buffered(LOOKS_MAX).collect().await;
        looked.into_iter().collect::<Result<Vec<()>, String>>()?;
        let books = self.books();
        let there: BTreeSet<_> = books.values().flat_map(|book| book.machines.keys().cloned()).collect();
        drop(books);
        self.memory.keep_only(&|machine| there.contains(machine));
        Ok(())
    }

    /// The apps that are due by themselves.
    pub(crate) fn apps_due(&self, now: Instant) -> BTreeSet<String> {
        self.books().iter().filter(|(_, book)| book.is_due(now)).map(|(fly, _)| fly.clone()).collect()
    }

    /// The apps that want a closer look, by the organisation's listing or by themselves.
    async fn apps_in_question(&self) -> Result<BTreeSet<String>, String> {
        let (rows, dark) = match self.org_rows().await {
            Ok(listed) => listed,
            Err(fault) if fault.has_status(403) || fault.is_absence() => return self.apps_of_token(&fault).await,
            Err(fault) => return Err(format!("the organisation's machines: {fault}")),
        };
        self.opens_all();
        let mut apps = self.take_rows(rows, !dark.is_empty());
        if !dark.is_empty() {
            // The listing lacks what it lacks: each app that may be ours is asked itself.
            tracing::debug!(regions = ?dark, "the organisation's listing is not whole");
            apps.extend(
                self.apps_that_may_be_ours().await.map_err(|fault| format!("the organisation's apps: {fault}"))?,
            );
        }
        Ok(apps)
    }

    /// The organisation's listing, all pages, and the regions that it does not know all of.
    async fn org_rows(&self) -> Result<(Vec<Row>, Vec<String>), Fault> {
        let org = self.settings.organization.as_str();
        let (mut rows, mut dark, mut cursor) = (Vec::new(), Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let mut path = format!("/v1/orgs/{}/machines?limit={PAGE}", encoded(org));
            if !cursor.is_empty() {
                path.push_str(&format!("&cursor={}", encoded(&cursor)));
            }
            let page: OrgPage = self.client.read(Call::get("Machines_org_list", org, path).within(LOOK)).await?;
            rows.extend(page.machines);
            dark.extend(page.error_regions.into_iter().flatten());
            if page.next_cursor.is_empty() {
                return Ok((rows, dark));
            }
            cursor = page.next_cursor;
        }
        Err(Fault::Unsent(format!("a listing of more than {PAGES_MAX} pages")))
    }

    /// Takes in the organisation's listing, and answers which apps want a closer look.
    fn take_rows(&self, rows: Vec<Row>, partial: bool) -> BTreeSet<String> {
        let mut by_app: BTreeMap<String, BTreeMap<String, Row>> = BTreeMap::new();
        for row in rows.into_iter().filter(|row| self.mine.owns(&row.labels())) {
            by_app.entry(row.app_name.clone()).or_default().insert(row.id.clone(), row);
        }
        let mut books = self.books();
        for fly in by_app.keys() {
            books.entry(fly.clone()).or_default();
        }
        let now = Instant::now();
        let mut wanted = BTreeSet::new();
        for (fly, book) in books.iter_mut() {
            let rows = by_app.remove(fly).unwrap_or_default();
            let there = |row: &Row| !["destroying", "destroyed"].contains(&row.state.as_str());
            let new = rows.iter().any(|(id, row)| there(row) && !book.machines.contains_key(id));
            let mut heard = false;
            for (id, known) in &mut book.machines {
                let row = rows.get(id);
                heard |= (row.is_some() || !partial) && known.heard(row, now);
            }
            book.dirty |= new || heard;
            if book.is_due(now) || (partial && !book.machines.is_empty()) {
                wanted.insert(fly.clone());
            }
        }
        wanted
    }

    /// The apps of the organisation whose names are such as we give.
    async fn apps_that_may_be_ours(&self) -> Result<Vec<String>, Fault> {
        let pattern = &self.settings.app_name;
        let start = pattern.split('{').next().unwrap_or_default().to_owned();
        let known: BTreeSet<_> = self.memory.look(|kept| kept.homes.values().map(|home| home.fly.clone()).collect());
        let listed = self.list_apps().await?;
        let ours = |name: &String| known.contains(name) || name.starts_with(&start);
        Ok(listed.into_iter().filter(ours).collect())
    }

    /// The names of all apps of the organisation, as far as the token opens them.
    pub(crate) async fn list_apps(&self) -> Result<Vec<String>, Fault> {
        if let Some(only) = self.only_apps() {
            return Ok(only.into_iter().collect());
        }
        let org = self.settings.organization.as_str();
        let call = Call::get("Apps_list", org, format!("/v1/apps?org_slug={}", encoded(org))).within(LOOK);
        let apps: Apps = self.client.read(call).await?;
        Ok(apps.apps.into_iter().map(|app| app.name).collect())
    }

    /// Looks at one app closely: its own listing, and each machine of which that says what cannot be.
    ///
    /// # Errors
    /// In words, when it cannot be seen.
    pub(crate) async fn refresh(self: &Arc<Self>, fly: &str, patience: Duration) -> Result<(), String> {
        let began = Instant::now();
        let turn = Arc::clone(self.looks.lock().expect("no holder panics").entry(fly.to_owned()).or_default());
        let _turn = turn.lock().await;
        // Somebody else has looked while we waited for our turn.
        if self.book(fly, |book| !book.dirty && book.read.is_some_and(|read| read > began)) {
            return Ok(());
        }
        let told = |fault: Fault| format!("{fly}: {fault}");
        self.book(fly, |book| book.dirty = false);
        let listing = match self.list_machines(fly, patience).await {
            Ok(listing) => listing,
            Err(fault) if fault.is_absence() => Vec::new(),
            Err(fault) => {
                self.book(fly, |book| book.dirty = true);
                return Err(told(fault));
            }
        };
        let doubted = self.doubted(fly, &listing);
        let reads = doubted.into_iter().map(|id| async move { (self.read_machine(fly, &id).await, id) });
        let reads: Vec<_> = futures_util::stream::iter(reads).buffered(LOOKS_MAX).collect().await;
        let mut found = BTreeMap::new();
        for (read, id) in reads {
            found.insert(id, read.map_err(told)?);
        }
        let wall = (self.clocks.wall)();
        let taken = self.book(fly, |book| book.listed(&self.mine, listing, &found, wall));
        taken.map_err(|why| format!("{fly}: {why}"))?;
        self.take_health(fly);
        Ok(())
    }

    pub(crate) async fn list_machines(&self, fly: &str, patience: Duration) -> Result<Vec<Machine>, Fault> {
        let path = format!("/v1/apps/{}/machines", encoded(fly));
        self.client.read(Call::get("Machines_list", fly, path).within(patience)).await
    }

    /// A machine, read by itself; `None` where there is none.
    pub(crate) async fn read_machine(&self, fly: &str, id: &str) -> Result<Option<Machine>, Fault> {
        let path = format!("/v1/apps/{}/machines/{}", encoded(fly), encoded(id));
        match self.client.read::<Machine>(Call::get("Machines_show", id, path).within(LOOK.min(PATIENCE))).await {
            Ok(machine) if machine.state == "destroyed" => Ok(None),
            Ok(machine) => Ok(Some(machine)),
            Err(fault) if fault.is_absence() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// The machines of which a listing says what cannot be, or nothing.
    fn doubted(&self, fly: &str, listing: &[Machine]) -> Vec<String> {
        let now = Instant::now();
        let told: BTreeMap<_, _> = listing.iter().map(|machine| (machine.id.as_str(), machine)).collect();
        self.book(fly, |book| {
            let doubts = |known: &&Known| {
                let told = told.get(known.machine.id.as_str()).copied();
                known.contradicted(told, now) || (told.is_none() && !known.ghost && !known.is_removed())
            };
            book.machines.values().filter(doubts).map(|known| known.machine.id.clone()).collect()
        })
    }

    /// Judges the checks of an app's machines anew.
    fn take_health(&self, fly: &str) {
        let arounds: Vec<_> = self
            .book(fly, |book| book.machines.values().map(|known| (known.machine.id.clone(), known.clone())).collect());
        let (steady, now) = ((self.clocks.now)(), Instant::now());
        for (id, known) in arounds {
            let sighting = self.lifted(&known);
            self.rise(&known, &sighting);
            if matches!(sighting.checks, Some(Health::Passing { .. })) {
                self.memory.prove(&id);
            }
            self.book(fly, |book| {
                if let Some(known) = book.machines.get_mut(&id) {
                    known.judged(sighting, steady, now);
                }
            });
        }
    }

    /// One machine, as the driver sees it.
    pub(crate) fn sighting(&self, known: &Known) -> Sighting {
        self.as_kept(known, self.lifted(known))
    }

    /// One machine, as the platform has it.
    pub(crate) fn lifted(&self, known: &Known) -> Sighting {
        let life = lift::incarnation(&known.machine, known.started);
        let id = &known.machine.id;
        let (asked, proven) = self.memory.look(|kept| (kept.asked.get(id).cloned(), kept.proven.contains(id)));
        let around = Around {
            asked: asked.filter(|asked| asked.life == life),
            naps: self.nap_of(known).is_some_and(|nap| nap.life == life),
            unreached_since: known.unreached_since,
            started: known.started,
            health: known.health.clone(),
            unproven: !proven,
        };
        lift::sighting(&known.machine, &known.written, &known.made, &around, &self.clocks)
    }

    /// Everything that is known, place by place.
    fn sights(&self) -> Survey {
        let mut survey = Survey::from([(self.settings.primary_region.clone(), Ok(Sight::default()))]);
        let shown: Vec<_> = self.books().values().flat_map(AppBook::shown).cloned().collect();
        for known in shown {
            let mut one = self.sighting(&known);
            self.public.weigh(&mut one);
            let place = survey.entry(one.place.clone()).or_insert_with(|| Ok(Sight::default()));
            if let Ok(sight) = place {
                sight.instances.push(one);
            }
        }
        survey
    }

    /// The name of an app there, where it has one; makes nothing.
    pub(crate) async fn home(&self, app: &AppName) -> Result<Option<String>, Fault> {
        if let Some(home) = self.memory.look(|kept| kept.homes.get(app).map(|home| home.fly.clone())) {
            return Ok(Some(home));
        }
        let seen = |book: &AppBook| book.machines.values().any(|known| known.written.id.app == *app);
        if let Some(fly) = self.books().iter().find(|(_, book)| seen(book)).map(|(fly, _)| fly.clone()) {
            return Ok(Some(fly));
        }
        let listed = self.list_apps().await?;
        let candidates = names::candidates(&self.mine, &self.settings, app);
        Ok(candidates.into_iter().find(|name| listed.contains(name)))
    }
}

impl AppBook {
    /// What there is to show: each instance once.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Known> {
        let there = self.machines.values().filter(|known| !known.is_removed());
        there.filter(|known| self.find(&known.written.id).is_some_and(|one| one.machine.id == known.machine.id))
    }
}

/// The places that the driver may name: the platform's regions.
pub(crate) fn region(place: &Place, primary: &Place) -> String {
    if *place == Place::here() { primary.to_string() } else { place.to_string() }
}
