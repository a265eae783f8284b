//! A release's record: what `fly releases` lists, and machines point at. Bookkeeping, which nothing waits for.
//!
//! ```text
//!  its first machine is to be made ──► made (pending) ──► running ──► complete      it serves for good
//!                                                                ──► failed        it was given up
//!                                                                ──► interrupted   another took its place on the way
//! ```
//!
//! Only where flyctl takes our machines for its own (`flyctlMetadata`). That one is asked for is written down before, and
//! which it is after: no release has two where that can be known. What becomes of a release is read off what there is, once
//! its rollout is said to be over, so that a daemon that has not seen it finds the same; what was not told is told again,
//! at growing distances, and given up in the end (`fate`).

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use trueup_types::{Release, ReleaseDigest, Revision};

use crate::client::{Call, encoded};
use crate::fate::Fate;
use crate::fault::Fault;
use crate::labels;
use crate::lift;
use crate::moment::WallMillis;
use crate::runtime::Inner;

/// Longest that the first machine of a release waits for its record.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most records of an app that are remembered.
pub(crate) const KEPT_MAX: usize = 16;
/// Records that are looked through for one that was made without a word.
const LISTED: usize = 20;
/// So much the platform's clock may be behind ours.
const CLOCKS: u64 = 60_000;

/// What machines say of the record of their release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub id: String,
    /// Its own number, which is not the revision's.
    pub version: u64,
}

/// The record of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recorded {
    pub revision: Revision,
    pub digest: ReleaseDigest,
    pub image: String,
    /// When it was asked for.
    pub asked: WallMillis,
    /// None where nobody has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    pub fate: Fate,
    /// Whether the platform was told of that.
    pub told: bool,
    /// Whether everything went to the release once.
    pub baked: bool,
}

/// What the platform answers of a record.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Shown {
    id: String,
    version: u64,
    in_progress: bool,
    image_ref: String,
    created_at: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MadeOne {
    release: Shown,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Listed {
    releases: Vec<Shown>,
}

impl Inner {
    /// The record of a release that a machine is made for: made where there is none; nothing where that cannot be.
    pub(crate) async fn record(&self, fly: &str, release: &Release, image: &str) -> Option<Mark> {
        if !self.settings.flyctl_metadata {
            return None;
        }
        let making = self.records.of(&release.app, |minded| Arc::clone(&minded.making));
        let _making = making.lock().await;
        let known = self.recorded(fly, &release.digest);
        let asked_before = known.is_some();
        if let Some(mark) = known.as_ref().and_then(|known| known.mark.clone()).or_else(|| self.marked(fly, release)) {
            return Some(mark);
        }
        if self.records.of(&release.app, |minded| minded.gave_up(release.revision)) {
            return None;
        }
        let made = tokio::time::timeout(PATIENCE, self.make_record(fly, release, image, known)).await;
        let fault = match made.unwrap_or(Err(Fault::Late(PATIENCE))) {
            Ok(mark) => return Some(mark),
            Err(fault) => fault,
        };
        tracing::info!(app = %release.app, revision = %release.revision, %fault, "`fly releases` lacks a release");
        self.records.of(&release.app, |minded| minded.is_unmade(release.revision));
        if !fault.is_unsure() && !asked_before {
            // Nothing was made: there is nothing to look for.
            self.change_records(fly, |all| all.retain(|one| one.digest != release.digest || one.mark.is_some()));
        }
        None
    }

    async fn make_record(
        &self,
        fly: &str,
        release: &Release,
        image: &str,
        known: Option<Recorded>,
    ) -> Result<Mark, Fault> {
        // An earlier try may have made it, which its answer did not tell.
        if let Some(known) = known
            && let Some(mark) = self.find_record(fly, &known).await?
        {
            self.marked_as(fly, &release.digest, &mark);
            return Ok(mark);
        }
        self.records.of(&release.app, |minded| minded.begins(release.revision));
        let (revision, digest, asked) = (release.revision, release.digest, (self.clocks.wall)());
        let fresh = Recorded {
            revision,
            digest,
            image: image.to_owned(),
            asked,
            mark: None,
            fate: Fate::Running,
            told: false,
            baked: false,
        };
        self.remember_record(fly, fresh).map_err(|error| Fault::Unsent(error.to_string()))?;
        // Spelled as flyctl spells it, which has a file of its own to show there.
        let body = json!({"app_name": fly, "build_id": 0, "definition": {"app": fly}, "image": image,
            "strategy": self.strategy(fly, release)});
        let call = Call::post("Releases_create", fly, "/api/v1/releases".to_owned());
        let made: MadeOne = self.client.read(call.json(body).bearer().once_only().within(PATIENCE)).await?;
        if made.release.id.is_empty() {
            return Err(Fault::Broken("a release without an id".to_owned()));
        }
        let mark = Mark { id: made.release.id, version: made.release.version };
        self.marked_as(fly, &digest, &mark);
        tracing::info!(app = %release.app, %revision, version = mark.version, "`fly releases` shows a release");
        Ok(mark)
    }

    /// How a release is rolled out, in flyctl's words, as far as it shows when its first machine is made: nobody tells us.
    fn strategy(&self, fly: &str, release: &Release) -> &'static str {
        let (others, up) = self.book(fly, |book| {
            let others = || book.shown().filter(|known| known.written.digest != release.digest);
            (others().count(), others().filter(|known| lift::up(&known.machine)).count())
        });
        match () {
            () if !release.template.volumes.is_empty() => "ROLLING",
            () if others > 0 && up == 0 => "IMMEDIATE",
            () => "BLUEGREEN",
        }
    }

    /// The record that was asked for, and of which nobody has heard whether it was made: one of the same image that was made
    /// since and has not ended. Where the platform spells an image its own way none is found.
    pub(crate) async fn find_record(&self, fly: &str, known: &Recorded) -> Result<Option<Mark>, Fault> {
        let taken: Vec<_> = self.memory.look(|kept| {
            let marks = kept.records.get(fly).into_iter().flatten().filter_map(|one| one.mark.as_ref());
            marks.map(|mark| mark.id.clone()).collect()
        });
        let path = format!("/api/v1/apps/{}/releases?limit={LISTED}", encoded(fly));
        let listed: Listed = self.client.read(Call::get("Releases_list", fly, path).bearer().within(PATIENCE)).await?;
        let since = known.asked.0.saturating_sub(CLOCKS);
        let ours = |one: &Shown| {
            let image = one.image_ref.split_once('@').map_or(one.image_ref.as_str(), |(name, _)| name);
            let image = image == known.image || one.image_ref == known.image;
            let later = WallMillis::read(&one.created_at).is_some_and(|at| at.0 >= since);
            image && later && one.in_progress && !taken.contains(&one.id)
        };
        let found = listed.releases.into_iter().find(ours);
        Ok(found.map(|one| Mark { id: one.id, version: one.version }))
    }

    /// What machines of a release say of its record, where we have forgotten it.
    fn marked(&self, fly: &str, release: &Release) -> Option<Mark> {
        let mark = self.book(fly, |book| {
            let mut of = book.shown().filter(|known| known.written.digest == release.digest);
            of.find_map(|known| labels::mark(&known.machine.labels()))
        })?;
        self.adopt_record(fly, release.revision, release.digest, mark.clone());
        Some(mark)
    }

    pub(crate) fn adopt_record(&self, fly: &str, revision: Revision, digest: ReleaseDigest, mark: Mark) {
        let (image, asked) = (String::new(), (self.clocks.wall)());
        let (fate, told, baked) = (Fate::Running, true, false);
        let one = Recorded { revision, digest, image, asked, mark: Some(mark), fate, told, baked };
        if let Err(error) = self.remember_record(fly, one) {
            tracing::debug!(%error, "the record of a release is not remembered");
        }
    }

    fn remember_record(&self, fly: &str, one: Recorded) -> std::io::Result<()> {
        let there: Vec<_> = self.book(fly, |book| book.shown().map(|known| known.written.digest).collect());
        self.memory.change(|kept| {
            let all = kept.records.entry(fly.to_owned()).or_default();
            all.retain(|known| known.digest != one.digest);
            all.push(one);
            while all.len() > KEPT_MAX {
                let unneeded = all.iter().position(|known| !there.contains(&known.digest)).unwrap_or(0);
                all.remove(unneeded);
            }
        })
    }

    pub(crate) fn recorded(&self, fly: &str, digest: &ReleaseDigest) -> Option<Recorded> {
        self.memory.look(|kept| kept.records.get(fly)?.iter().find(|one| one.digest == *digest).cloned())
    }

    fn marked_as(&self, fly: &str, digest: &ReleaseDigest, mark: &Mark) {
        self.change_record(fly, digest, |one| one.mark = Some(mark.clone()));
    }

    pub(crate) fn change_record(&self, fly: &str, digest: &ReleaseDigest, change: impl FnOnce(&mut Recorded)) {
        self.change_records(fly, |all| {
            if let Some(one) = all.iter_mut().find(|one| one.digest == *digest) {
                change(one);
            }
        });
    }

    /// Unwritten, it is found out again.
    pub(crate) fn change_records(&self, fly: &str, change: impl FnOnce(&mut Vec<Recorded>)) {
        let changed = self.memory.change(|kept| kept.records.get_mut(fly).map(change));
        if let Err(error) = changed {
            tracing::debug!(%error, "the record of a release is not remembered");
        }
    }
}
