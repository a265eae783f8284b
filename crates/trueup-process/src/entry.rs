//! What we know of one instance: what is on the disk, joined with whether its process is there.
//!
//! [`Entry::adopt`] reads a folder that we know nothing of; [`Entry::refresh`] asks the process again. Both look at files
//! that only ever appear (`claim`, `shim.json`, `exit.json`), so that whatever is seen first stays true.

use std::sync::Arc;

use rustix::process::getpid;
use tokio::task::AbortHandle;
use trueup_types::Timestamp;
use trueup_types::observed::ExitWhy;

use crate::identity::{Grasp, Identity};
use crate::paths::{InstancePaths, LifePaths};
use crate::shim;
use crate::spec::{Asked, Claim, Ended, How, Life, Lived, Spec, VERSION};
use trueup_host::World;
use trueup_host::files;

/// One instance.
#[derive(Debug)]
pub(crate) struct Entry {
    pub spec: Arc<Spec>,
    /// The number of its newest life; 0 before the first.
    pub number: u32,
    pub life: Option<Arc<Life>>,
    pub state: State,
    /// Whether we have begun that life ourselves: what another daemon begun and nobody has claimed is called off.
    pub begun: bool,
    /// Its folder is on its way: a listing of a moment ago proves nothing.
    pub making: bool,
    /// Ends the task that waits for its exit.
    pub watch: Option<AbortHandle>,
}

/// How far its newest life has come.
#[derive(Debug)]
pub(crate) enum State {
    /// There is none yet.
    Created,
    /// The shim is on its way.
    Starting,
    /// It runs.
    Running {
        lived: Arc<Lived>,
        /// `None` between its end and the shim's word about it.
        main: Option<Arc<Grasp>>,
        since: Timestamp,
        stopping: Option<Timestamp>,
    },
    /// It ended.
    Exited { code: Option<i32>, at: Timestamp, why: ExitWhy },
}

impl Entry {
    /// One without a life.
    pub(crate) fn new(spec: Arc<Spec>) -> Self {
        Self { spec, number: 0, life: None, state: State::Created, begun: false, making: false, watch: None }
    }

    /// Reads a folder that an earlier daemon made. A life that was never begun is called off.
    pub(crate) fn adopt(paths: &InstancePaths, world: &World, now: Timestamp) -> std::io::Result<Self> {
        let spec: Spec = files::read(&paths.spec())?
            .ok_or_else(|| std::io::Error::other(format!("{} is missing", paths.spec().display())))?;
        check_version(spec.version, &paths.spec())?;
        let number = paths.lives()?.last().copied().unwrap_or(0);
        let mut entry = Self::new(Arc::new(spec));
        entry.number = number;
        if number > 0 {
            let life = paths.life(number);
            entry.life = files::read_unsynced(&life.life())?.map(Arc::new);
            call_off(&life);
            entry.state = look(&life, world, now)?;
        }
        Ok(entry)
    }

    /// Asks again how far it has come.
    pub(crate) fn refresh(&mut self, paths: &InstancePaths, world: &World, now: Timestamp) -> std::io::Result<()> {
        let again = match &self.state {
            State::Created | State::Exited { .. } => false,
            State::Starting => true,
            State::Running { main, .. } => !main.as_ref().is_some_and(|main| main.alive()),
        };
        if again {
            let life = paths.life(self.number);
            if !self.begun {
                call_off(&life);
            }
            self.state = look(&life, world, now)?;
        }
        Ok(())
    }

    /// Whether a process of it may be there.
    pub(crate) fn up(&self) -> bool {
        match self.state {
            State::Starting | State::Running { .. } => true,
            State::Created | State::Exited { .. } => false,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.abort();
        }
    }
}

/// Sees to it that a life that nobody has claimed is lived by nobody. On a full disk that has to wait.
pub(crate) fn call_off(paths: &LifePaths) {
    let claimed = shim::claim(paths);
    // Where this cannot be written, our claim says as much.
    let written = claimed.and_then(|ours| if ours { shim::end(paths, None, How::CalledOff) } else { Ok(()) });
    if let Err(error) = written {
        tracing::warn!(%error, folder = %paths.0.display(), "a life could not be called off");
    }
}

pub(crate) fn check_version(version: u32, path: &std::path::Path) -> std::io::Result<()> {
    if version <= VERSION {
        return Ok(());
    }
    let what = format!("{} is of version {version}; this trueup knows up to {VERSION}: upgrade it", path.display());
    Err(std::io::Error::other(what))
}

fn look(paths: &LifePaths, world: &World, now: Timestamp) -> std::io::Result<State> {
    if let Some(ended) = files::read_unsynced::<Ended>(&paths.exit())? {
        return Ok(exited(ended, world, now));
    }
    let asked: Option<Asked> = files::read_unsynced(&paths.stop())?;
    let gone = |why| Ok(State::Exited { code: None, at: now, why });
    let Some(lived) = files::read_unsynced::<Lived>(&paths.shim())? else {
        return claimed(paths, world, now);
    };
    if lived.world != *world {
        return gone(if asked.is_some() { ExitWhy::Asked } else { ExitWhy::HostLost });
    }
    let main = lived.main.grasp().filter(Grasp::alive).map(Arc::new);
    if main.is_none() {
        // The shim writes, then leaves: seen to be gone, it has written if it ever will.
        let shim_stays = lived.shim.grasp().is_some_and(|shim| shim.alive());
        if let Some(ended) = files::read_unsynced::<Ended>(&paths.exit())? {
            return Ok(exited(ended, world, now));
        }
        if !shim_stays {
            return gone(if asked.is_some() { ExitWhy::Asked } else { ExitWhy::ByItself });
        }
    }
    let since = lived.since.steady(now);
    let stopping = asked.map(|asked| asked.at.steady(now));
    Ok(State::Running { lived: Arc::new(lived), main, since, stopping })
}

/// How far a life has come of which nobody has said yet who lives it.
fn claimed(paths: &LifePaths, world: &World, now: Timestamp) -> std::io::Result<State> {
    if !paths.claim().exists() {
        return Ok(State::Starting);
    }
    // It appears whole: where it does not read, a loss of power came after it.
    let claim = files::read_unsynced::<Claim>(&paths.claim())?;
    let Some(claim) = claim.filter(|claim| claim.world == *world) else {
        return Ok(State::Exited { code: None, at: now, why: ExitWhy::HostLost });
    };
    // A daemon claims what it calls off.
    let called_off = Identity::of(getpid()).is_ok_and(|us| us == claim.by);
    if !called_off && claim.by.grasp().is_some_and(|by| by.alive()) {
        return Ok(State::Starting);
    }
    match files::read_unsynced::<Ended>(&paths.exit())? {
        Some(ended) => Ok(exited(ended, world, now)),
        // It left between our two looks.
        None if files::read_unsynced::<Lived>(&paths.shim())?.is_some() => look(paths, world, now),
        // The program begins only when it is written down who lives it: it never began, and may.
        None => Ok(State::Created),
    }
}

fn exited(ended: Ended, world: &World, now: Timestamp) -> State {
    let here = ended.world == *world;
    let why = match ended.how {
        How::Asked => ExitWhy::Asked,
        How::CannotStart { detail } => ExitWhy::CannotStart { detail },
        // It never began, and may.
        How::CalledOff => return State::Created,
        How::ByItself if here => ExitWhy::ByItself,
        // A host that goes down takes its processes with it: that is no fault of theirs.
        How::ByItself => ExitWhy::HostLost,
    };
    let at = if here { ended.at.steady(now) } else { now };
    State::Exited { code: ended.code, at, why }
}
