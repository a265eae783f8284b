//! The app's address in the world, asked while a rollout is under way: what the platform's checks cannot see.
//!
//! ```text
//!  coming ──► the old ones are asked: do they answer well there at all?
//!  baking ──► the new ones are asked the same: a wrong answer, again and again, makes them failed
//! ```
//!
//! The question is the path of the release's first http probe of the port that is routed, at the name under `fly.dev`. What
//! is no answer (no connection, no name, a cut, a silence) may be this host's own trouble and is evidence of nothing. Nor is
//! a wrong answer where the release before was not answered well, or where the machines fail their own checks, which say it
//! better. What comes of it is told as health, so that nobody else needs to know of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use trueup_seams::{Nudge, Watch};
use trueup_types::fly::FlySpec;
use trueup_types::observed::{Health, Phase, ProbeFailure, Sighting};
use trueup_types::probe::Check;
use trueup_types::{AppName, Label, Release, Revision, Route, Timestamp};

use crate::book::{AppBook, Known};
use crate::runtime::Inner;
use crate::wire::{Reply, Request};

/// The name under which a wrong answer is told.
const NAME: &str = "public";
/// Shortest time from one question to the next: that of the platform's own checks.
const INTERVAL_MIN: Duration = Duration::from_secs(2);
/// Shortest wait for an answer: it may wake a machine, and comes from far.
const TIMEOUT_MIN: Duration = Duration::from_secs(5);
/// Most of a body that is kept as evidence, in bytes: as much as of a probe.
const BODY_BYTES_MAX: usize = 1_024;
/// It says that it was asked too often: nothing of the release.
const TOO_OFTEN: u16 = 429;

/// How the address of an app was answered by the release that served last, before another took over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Word {
    pub revision: Revision,
    pub good: bool,
}

/// What is watched, by app.
#[derive(Debug, Default)]
pub(crate) struct Public(Mutex<BTreeMap<AppName, Watched>>);

#[derive(Debug, Default)]
struct Watched {
    watch: Watch,
    asked: Option<Asked>,
}

/// What the release that serves has answered so far.
#[derive(Debug)]
struct Asked {
    revision: Revision,
    /// Wrong answers in a row, and since when.
    wrong: u32,
    since: Timestamp,
    /// The last one, once there were as many as its probe bears, and they count.
    failed: Option<ProbeFailure>,
    due: Instant,
    under_way: bool,
}

/// Who is asked, and what.
#[derive(Debug, Clone)]
struct Question {
    app: AppName,
    fly: String,
    revision: Revision,
    path: String,
    interval: Duration,
    timeout: Duration,
    /// Wrong answers in a row that are too many.
    failures: u32,
    /// The one that serves is judged by the answer, and does not only give its word.
    judged: bool,
}

impl Question {
    /// What the world is asked of a release; nothing where it has no such probe, or no way in.
    fn of(fly: &str, release: &Release, judged: bool) -> Option<Self> {
        let world = |route: &&Route| !FlySpec::is_private(&route.host);
        let routed = &release.exposure.routes.iter().find(world)?.port;
        release.template.health.iter().find_map(|probe| match &probe.check {
            Check::Http { path, port, .. } if port == routed => Some(Self {
                app: release.app.clone(),
                fly: fly.to_owned(),
                revision: release.revision,
                path: path.clone(),
                interval: probe.interval.max(INTERVAL_MIN),
                timeout: probe.timeout.max(TIMEOUT_MIN),
                failures: probe.failures.max(1),
                judged,
            }),
            Check::Http { .. } | Check::Tcp { .. } | Check::Exec { .. } | Check::Websocket { .. } => None,
        })
    }
}

/// What came back.
enum Answer {
    Good,
    Wrong(ProbeFailure),
    /// Evidence of nothing.
    Unsure(String),
}

impl Public {
    /// How an app's rollout stands from here on.
    pub(crate) fn watch(&self, app: &AppName, watch: Watch) {
        let mut all = self.all();
        match watch {
            Watch::Nobody => drop(all.remove(app)),
            Watch::Coming(_) | Watch::Baking(_) => all.entry(app.clone()).or_default().watch = watch,
        }
    }

    /// Has a sighting say what the world was answered.
    pub(crate) fn weigh(&self, one: &mut Sighting) {
        let (Phase::Running { .. }, Some(Health::Passing { .. })) = (&one.phase, &one.checks) else { return };
        let all = self.all();
        let asked = all.get(&one.id.app).and_then(|watched| watched.asked.as_ref());
        if let Some(asked) = asked.filter(|asked| asked.revision == one.id.revision)
            && let Some(last) = &asked.failed
        {
            one.checks = Some(Health::Failed { since: asked.since, last: last.clone() });
        }
    }

    /// The release of an app that everything goes to, and that is judged.
    pub(crate) fn baking(&self, app: &AppName) -> Option<Revision> {
        match self.all().get(app)?.watch {
            Watch::Baking(revision) => Some(revision),
            Watch::Nobody | Watch::Coming(_) => None,
        }
    }

    fn watches(&self) -> Vec<(AppName, Watch)> {
        self.all().iter().map(|(app, watched)| (app.clone(), watched.watch)).collect()
    }

    /// Whether it is time for a question; it is under way then.
    fn begin(&self, question: &Question, now: Instant) -> bool {
        let mut all = self.all();
        let Some(watched) = all.get_mut(&question.app) else { return false };
        let revision = question.revision;
        let new = || Asked { revision, wrong: 0, since: Timestamp::ZERO, failed: None, due: now, under_way: false };
        if watched.asked.as_ref().is_none_or(|asked| asked.revision != revision) {
            watched.asked = Some(new());
        }
        let asked = watched.asked.get_or_insert_with(new);
        let begins = !asked.under_way && asked.due <= now;
        if begins {
            (asked.under_way, asked.due) = (true, now + question.interval);
        }
        begins
    }

    /// Counts an answer; says what the release's word is where it is known now.
    fn count(&self, question: &Question, answer: Answer, counts: bool) -> Option<bool> {
        let mut all = self.all();
        let asked = all.get_mut(&question.app)?.asked.as_mut()?;
        if asked.revision != question.revision {
            return None;
        }
        asked.under_way = false;
        match answer {
            Answer::Good => {
                (asked.wrong, asked.failed) = (0, None);
                Some(true)
            }
            Answer::Unsure(why) => {
                tracing::debug!(app = %question.app, why, "its public address gave no answer");
                None
            }
            Answer::Wrong(last) => {
                if asked.wrong == 0 {
                    asked.since = last.at;
                }
                asked.wrong += 1;
                if asked.wrong < question.failures {
                    return None;
                }
                asked.failed = counts.then_some(last);
                Some(false)
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<AppName, Watched>> {
        self.0.lock().expect("no holder panics")
    }
}

impl Inner {
    /// Asks whatever is due, without waiting for an answer.
    pub(crate) fn ask_the_public(self: &Arc<Self>) {
        for (app, watch) in self.public.watches() {
            let Some((fly, release)) = self.who_serves(&app) else { continue };
            let judged = match watch {
                Watch::Nobody => continue,
                Watch::Coming(to) if release.revision == to => continue,
                Watch::Coming(_) => false,
                Watch::Baking(to) if release.revision != to => continue,
                Watch::Baking(_) => true,
            };
            let Some(question) = Question::of(&fly, &release, judged) else { continue };
            if self.public.begin(&question, Instant::now()) {
                let inner = Arc::clone(self);
                self.handle.spawn(async move { inner.ask_publicly(question).await });
            }
        }
    }

    async fn ask_publicly(&self, question: Question) {
        let answer = self.answer_to(&question).await;
        let word = self.memory.look(|kept| kept.words.get(&question.app).copied());
        let before_was_good = word.is_some_and(|word| word.good && word.revision != question.revision);
        if matches!(answer, Answer::Wrong(_)) && before_was_good {
            // Whether the machines still pass is seen at once.
            self.book(&question.fly, |book| book.dirty = true);
        }
        let answer = match answer {
            Answer::Wrong(_) if !self.all_pass(&question) => Answer::Unsure("its machines do not pass".to_owned()),
            Answer::Wrong(_) | Answer::Good | Answer::Unsure(_) => answer,
        };
        let known = self.public.count(&question, answer, question.judged && before_was_good);
        let Some(good) = known else { return };
        if question.judged {
            if let (false, Some(sink)) = (good, self.sink.get()) {
                sink(Nudge::App(question.app.clone()));
            }
            return;
        }
        let word = Word { revision: question.revision, good };
        if let Err(error) = self.memory.change(|kept| kept.words.insert(question.app.clone(), word)) {
            tracing::debug!(%error, "what the public was answered is not remembered");
        }
    }

    async fn answer_to(&self, question: &Question) -> Answer {
        let host = format!("{}.fly.dev", question.fly);
        let url = match &self.apps_at {
            Some(base) => format!("{base}{}", question.path),
            None => format!("https://{host}{}", question.path),
        };
        let request = Request { method: "GET", url, headers: vec![("host", host.clone())], body: None };
        match tokio::time::timeout(question.timeout, self.client.ask(request)).await {
            Err(_) => Answer::Unsure(format!("nothing in {} ms", question.timeout.as_millis())),
            Ok(Err(lost)) => Answer::Unsure(format!("{lost:?}")),
            Ok(Ok(Reply { status, .. })) if (200..300).contains(&status) => Answer::Good,
            Ok(Ok(Reply { status: TOO_OFTEN, .. })) => Answer::Unsure("it is asked too often".to_owned()),
            Ok(Ok(Reply { status, body, .. })) => Answer::Wrong(ProbeFailure {
                probe: Label::new(NAME).expect("it is a name"),
                at: (self.clocks.now)(),
                detail: format!("https://{host}{} answered {status}", question.path),
                status: Some(status),
                body: String::from_utf8_lossy(&body[..body.len().min(BODY_BYTES_MAX)]).into_owned(),
            }),
        }
    }

    /// The one release that every edge of the proxy sends all requests of an app to.
    fn who_serves(&self, app: &AppName) -> Option<(String, Arc<Release>)> {
        let share = self.memory.look(|kept| kept.shares.iter().find(|share| share.app == *app).cloned())?;
        let books = self.books();
        let of_app = |known: &&Known| known.written.id.app == *app && known.written.id.task.is_none();
        let (fly, book) = books.iter().find(|(_, book)| book.shown().any(|known| of_app(&known)))?;
        let routed = share.entries.iter().flat_map(|entry| &entry.backends).filter(|one| one.weight > 0);
        let mut routed: Vec<_> = routed.map(|one| one.instance.clone()).collect();
        routed.sort();
        routed.dedup();
        let serving: Vec<_> = book.shown().filter(of_app).filter(|known| self.may_be_asked(known)).collect();
        let alone = serving.len() == routed.len() && serving.iter().all(|one| routed.contains(&one.written.id));
        let known = routed.iter().all(|id| serving.iter().any(|one| one.written.id == *id && self.is_known(one)));
        let release = serving.first()?.made.release.clone()?;
        let one = serving.iter().all(|known| known.written.id.revision == release.revision);
        // A table may have brought other routes since it was made.
        (alone && known && one).then(|| (fly.clone(), release))
    }

    /// Whether the machines that are asked pass their own checks.
    fn all_pass(&self, question: &Question) -> bool {
        self.book(&question.fly, |book: &mut AppBook| {
            let mut asked = book.shown().filter(|known| known.written.id.revision == question.revision);
            asked.all(|known| matches!(known.health, Some(Health::Passing { .. })))
        })
    }
}

#[cfg(test)]
mod tests {
    use trueup_sim::AppSketch;

    use super::*;

    fn question(failures: u32) -> Question {
        let mut release = AppSketch::web("web").release(Revision(2));
        let port = release.exposure.routes[0].port.clone();
        let mut probe = release.template.health[0].clone();
        probe.check = Check::Http { path: "/health".to_owned(), port, status: Check::any_success() };
        probe.failures = failures;
        release.template.health = vec![probe];
        Question::of("web-x", &release, true).expect("it has such a probe")
    }

    fn wrong(at: u64) -> Answer {
        let probe = Label::new(NAME).expect("a name");
        let at = Timestamp::from_millis(at);
        Answer::Wrong(ProbeFailure { probe, at, detail: String::new(), status: Some(502), body: String::new() })
    }

    fn failed(public: &Public, question: &Question) -> bool {
        public.all()[&question.app].asked.as_ref().is_some_and(|asked| asked.failed.is_some())
    }

    #[test]
    fn wrong_answers_in_a_row_fail_it_and_silence_neither_adds_nor_mends() {
        let (public, question, now) = (Public::default(), question(2), Instant::now());
        public.watch(&question.app, Watch::Baking(Revision(2)));
        assert!(public.begin(&question, now) && !public.begin(&question, now), "one at a time");
        assert_eq!(public.count(&question, wrong(1), true), None);
        assert!(!public.begin(&question, now) && public.begin(&question, now + question.interval), "in its own time");
        assert_eq!(public.count(&question, Answer::Unsure("no name".to_owned()), true), None);
        assert_eq!(public.count(&question, Answer::Good, true), Some(true));
        assert_eq!(public.count(&question, wrong(2), true), None);
        for _ in 0..9 {
            assert_eq!(public.count(&question, Answer::Unsure("no name".to_owned()), true), None);
        }
        assert!(!failed(&public, &question));
        assert_eq!(public.count(&question, wrong(3), true), Some(false));
        assert!(failed(&public, &question));
        assert_eq!(public.count(&question, Answer::Good, true), Some(true));
        assert!(!failed(&public, &question), "it answers well again");
        public.watch(&question.app, Watch::Nobody);
        assert_eq!(public.count(&question, wrong(4), true), None, "nobody watches any more");
    }

    #[test]
    fn what_the_release_before_was_not_answered_well_says_nothing_of_this_one() {
        let (public, question) = (Public::default(), question(1));
        public.watch(&question.app, Watch::Baking(Revision(2)));
        assert!(public.begin(&question, Instant::now()));
        assert_eq!(public.count(&question, wrong(1), false), Some(false));
        assert!(!failed(&public, &question));
    }

    #[test]
    fn only_a_probe_of_the_port_that_the_world_reaches_is_asked_there() {
        let mut release = AppSketch::web("web").release(Revision(2));
        let other = trueup_types::PortName::new("admin").expect("a name");
        let mut probe = release.template.health[0].clone();
        probe.check = Check::Http { path: "/".to_owned(), port: other, status: Check::any_success() };
        release.template.health = vec![probe];
        assert!(Question::of("web-x", &release, true).is_none());
        release.exposure.routes.clear();
        assert!(Question::of("web-x", &release, true).is_none());
    }
}
