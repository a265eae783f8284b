//! The four steps: create, start, stop, remove. Each is safe to repeat, at any moment, by a daemon that has forgotten all.

use std::sync::Arc;
use std::time::Duration;

use trueup_types::step::{InstanceStep, Refusal, StepOutcome};
use trueup_types::template::Stop;
use trueup_types::{Incarnation, InstanceId, Place, Release};

use crate::entry::{Entry, State, call_off};
use crate::lift::incarnation;
use crate::lower::{self, Surroundings};
use crate::moment::BootMillis;
use crate::paths::InstancePaths;
use crate::runtime::Inner;
use crate::spec::{Asked, Life, Lived, Spec, User, VERSION};
use crate::start;
use trueup_host::files::{self, Durability};

/// When a start that the system refused for a while (no memory, a full disk) is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long a step waits for a shim that has nobody left to wait for: it leaves within a millisecond.
const LEAVES_WITHIN: Duration = Duration::from_millis(100);
/// When it is asked again whether what a program left behind has gone.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

impl Inner {
    pub(crate) fn apply(self: &Arc<Self>, step: &InstanceStep, user: Option<User>) -> StepOutcome {
        let done = match step {
            InstanceStep::Create { id, place, release } => self.create(id, place, release, user),
            InstanceStep::Start { id, ended } => self.start(id, ended, user),
            InstanceStep::Stop { id, incarnation, stop } => self.stop(id, incarnation, stop),
            InstanceStep::Remove { id, incarnation } => self.remove(id, incarnation),
        };
        done.unwrap_or_else(|why| {
            if why.kind() == std::io::ErrorKind::InvalidInput {
                return StepOutcome::Refused { why: Refusal::Invalid(why.to_string()) };
            }
            StepOutcome::Retry { after: RETRY_AFTER, why: format!("{} {}: {why}", step.verb(), step.id()) }
        })
    }

    /// Brings what we know of an instance up to date; `false` when it is not there.
    fn current(self: &Arc<Self>, id: &InstanceId) -> std::io::Result<bool> {
        let paths = self.home.instance(id);
        if !paths.0.exists() {
            self.entries().remove(id);
            return Ok(false);
        }
        let now = self.time();
        let mut entries = self.entries();
        if let Some(entry) = entries.get_mut(id) {
            let was_up = entry.up();
            entry.refresh(&paths, &self.world, now)?;
            self.follow(entry, was_up);
            return Ok(true);
        }
        let mut entry = Entry::adopt(&paths, &self.world, now)?;
        self.take_up(&mut entry, &paths);
        entries.insert(id.clone(), entry);
        Ok(true)
    }

    fn create(
        self: &Arc<Self>,
        id: &InstanceId,
        place: &Place,
        release: &Arc<Release>,
        user: Option<User>,
    ) -> std::io::Result<StepOutcome> {
        if self.current(id)? {
            let entries = self.entries();
            let same = entries
                .get(id)
                .is_some_and(|entry| entry.spec.owner == self.owner && entry.spec.release.digest == release.digest);
            let taken = StepOutcome::Refused { why: Refusal::NameTaken };
            return Ok(if same { StepOutcome::AlreadyTrue } else { taken });
        }
        let spec = Spec {
            version: VERSION,
            owner: self.owner.clone(),
            id: id.clone(),
            place: place.clone(),
            created: self.time(),
            release: Arc::clone(release),
        };
        let aside = self.home.aside(id, "new");
        start::make_folder(&aside, &spec, user.as_ref())?;
        let spec = Arc::new(spec);
        // Known before it is there, so that no survey takes it for one that an earlier daemon left.
        let mut entry = Entry::new(spec);
        entry.making = true;
        self.entries().insert(id.clone(), entry);
        let made = std::fs::rename(&aside, &self.home.instance(id).0);
        let made = made.and_then(|()| self.live(id, user));
        if let Some(entry) = self.entries().get_mut(id) {
            entry.making = false;
        }
        made
    }

    fn start(
        self: &Arc<Self>,
        id: &InstanceId,
        ended: &Incarnation,
        user: Option<User>,
    ) -> std::io::Result<StepOutcome> {
        if !self.current(id)? {
            return Ok(StepOutcome::Refused { why: Refusal::Gone });
        }
        let asked = self.entries().get(id).map(|entry| {
            (entry.spec.owner == self.owner, entry.up(), incarnation(entry.spec.created, entry.number) == *ended)
        });
        match asked {
            Some((true, false, true)) => match self.left_behind(id) {
                None => self.live(id, user),
                Some(waits) => Ok(waits),
            },
            Some((true, _, _)) => Ok(StepOutcome::AlreadyTrue),
            Some((false, _, _)) | None => Ok(StepOutcome::Refused { why: Refusal::Foreign }),
        }
    }

    /// What the last life of an instance that has ended has started itself, and that is still there: its shim stays for as
    /// long. It was told to go and will be killed.
    fn left_behind(&self, id: &InstanceId) -> Option<StepOutcome> {
        let (paths, number) = self.newest_life(id)?;
        let lived = files::read_unsynced::<Lived>(&paths.life(number).shim()).ok().flatten()?;
        let shim = lived.shim.grasp().filter(|_| lived.world == self.world)?;
        let why = || format!("what {id} has started itself is still there; it was told to go");
        let stays = !shim.ends_within(LEAVES_WITHIN);
        stays.then(|| StepOutcome::Underway { after: LOOK_AGAIN_AFTER, why: why(), said: Vec::new() })
    }

    /// Begins the next life.
    fn live(self: &Arc<Self>, id: &InstanceId, user: Option<User>) -> std::io::Result<StepOutcome> {
        let paths = self.home.instance(id);
        let Some((spec, number)) = self.entries().get(id).map(|entry| (Arc::clone(&entry.spec), entry.number + 1))
        else {
            return Ok(StepOutcome::Retry { after: RETRY_AFTER, why: format!("{id} has just been removed") });
        };
        let life = match self.lower(&spec, number, &paths, user) {
            Ok(life) => Arc::new(life),
            Err(refused) => return Ok(refused),
        };
        if let Some(entry) = self.entries().get_mut(id) {
            if let Some(watch) = entry.watch.take() {
                watch.abort();
            }
            (entry.number, entry.life, entry.state) = (number, Some(Arc::clone(&life)), State::Starting);
            entry.begun = true;
        }
        match start::begin(&self.program, &paths.life(number), &life) {
            Ok(shim) => self.shims.lock().expect("no holder panics").push((id.clone(), number, shim)),
            Err(why) => {
                self.give_up(id, number);
                return Err(why);
            }
        }
        self.current(id)?;
        forget_lives_before(&paths, number);
        Ok(StepOutcome::Done)
    }

    /// A life whose shim is gone, or was never there, is not on its way any more, whatever could be written of it.
    pub(crate) fn give_up(self: &Arc<Self>, id: &InstanceId, number: u32) {
        let paths = self.home.instance(id);
        let now = self.time();
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(id).filter(|entry| entry.number == number && entry.up()) else { return };
        if let Err(error) = entry.refresh(&paths, &self.world, now) {
            tracing::warn!(%error, %id, "the end of a start could not be read");
        }
        if matches!(entry.state, State::Starting) {
            call_off(&paths.life(number));
            entry.state = State::Created;
        }
        self.follow(entry, true);
    }

    fn lower(&self, spec: &Spec, number: u32, paths: &InstancePaths, user: Option<User>) -> Result<Life, StepOutcome> {
        let template = &spec.release.template;
        let secrets = self.secrets.environment(&spec.release);
        let secrets = secrets.map_err(|why| StepOutcome::Refused { why: Refusal::Invalid(why) })?;
        let mut ports = Vec::new();
        // What runs a hook is reached by nobody.
        for port in template.ports.iter().filter(|_| spec.id.task.is_none()) {
            let Some(taken) = self.ports().take(port) else {
                let why = "every port from 20000 to 29999 is taken".to_owned();
                return Err(StepOutcome::Retry { after: RETRY_AFTER, why });
            };
            ports.push((port.name.clone(), taken));
        }
        let cgroups = self.cgroups.prepare(&spec.id, &template.resources);
        let cgroups = cgroups.map_err(|why| StepOutcome::Retry { after: RETRY_AFTER, why })?;
        let root = paths.root();
        let around = Surroundings {
            base_env: &self.base_env,
            root: &root,
            user,
            secrets,
            ports,
            cgroups,
            open_files: self.open_files,
        };
        Ok(lower::life(&spec.id, &spec.release, incarnation(spec.created, number), around))
    }

    fn stop(self: &Arc<Self>, id: &InstanceId, of: &Incarnation, stop: &Stop) -> std::io::Result<StepOutcome> {
        if !self.current(id)? {
            return Ok(StepOutcome::AlreadyTrue);
        }
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(id) else { return Ok(StepOutcome::AlreadyTrue) };
        if entry.spec.owner != self.owner {
            return Ok(StepOutcome::Refused { why: Refusal::Foreign });
        }
        if !entry.up() || incarnation(entry.spec.created, entry.number) != *of {
            return Ok(StepOutcome::AlreadyTrue);
        }
        let path = self.home.instance(id).life(entry.number).stop();
        if path.exists() {
            return Ok(StepOutcome::AlreadyTrue);
        }
        let timeout_ms = u64::try_from(stop.timeout.as_millis()).unwrap_or(u64::MAX);
        let asked = Asked { version: VERSION, at: BootMillis::now(), signal: stop.signal.clone(), timeout_ms };
        files::write(&path, &asked, Durability::ThisBoot)?;
        if let State::Running { stopping, .. } = &mut entry.state {
            *stopping = Some(self.time());
        }
        self.deputise(entry, asked);
        Ok(StepOutcome::Done)
    }

    fn remove(self: &Arc<Self>, id: &InstanceId, of: &Incarnation) -> std::io::Result<StepOutcome> {
        if !self.current(id)? {
            return Ok(StepOutcome::AlreadyTrue);
        }
        let entries = self.entries();
        let Some(entry) = entries.get(id) else { return Ok(StepOutcome::AlreadyTrue) };
        if entry.spec.owner != self.owner {
            return Ok(StepOutcome::Refused { why: Refusal::Foreign });
        }
        if incarnation(entry.spec.created, entry.number) != *of {
            return Ok(StepOutcome::AlreadyTrue);
        }
        if entry.up() {
            return Ok(StepOutcome::Refused { why: Refusal::StillRunning });
        }
        drop(entries);
        if let Some(waits) = self.left_behind(id) {
            return Ok(waits);
        }
        let mut entries = self.entries();
        let Some(entry) = entries.get(id) else { return Ok(StepOutcome::AlreadyTrue) };
        let aside = self.home.aside(id, &format!("gone-{}", entry.spec.created.as_millis()));
        std::fs::rename(&self.home.instance(id).0, &aside)?;
        entries.remove(id);
        drop(entries);
        self.cgroups.remove(id);
        if let Err(error) = std::fs::remove_dir_all(&aside) {
            tracing::warn!(%error, folder = %aside.display(), "the folder of a removed instance stays");
        }
        Ok(StepOutcome::Done)
    }
}

/// Keeps the life before this one, for `logs --previous`, and forgets the rest.
fn forget_lives_before(paths: &InstancePaths, number: u32) {
    let lives = paths.lives().unwrap_or_default();
    for old in lives.into_iter().filter(|old| old + 1 < number) {
        // What cannot be removed is tried again with the next life.
        let _ = std::fs::remove_dir_all(paths.life(old).0);
    }
}
