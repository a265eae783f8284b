//! Sequences of operations: one field through all of its values, or several fields in turn.
//!
//! Three oracles, as Acto has them. Consistency: at rest the world agrees with the manifest. Recovery: after a bad
//! manifest the previous one gives the world from before. Path independence: the same manifest by another way ends in
//! the same world. And one of our own: what is not part of a template restarts nothing.

use serde_json::{Value, json};
use trueup_sim::behaviour::NEVER_HEALTHY;

use super::draft::Draft;
use super::field::{Field, Sample, all, samples, values};
use super::ground::Ground;
use super::values::Touch;
use crate::seeds::dice::{one_in, pick, stream};
use crate::waiting::simulated;

/// Operations of one random sequence.
const LENGTH: usize = 8;
/// More instances than that are tried alone, not in sequences.
const MANY: u64 = 10;

/// Takes one field through all of its values; answers how many operations that took.
///
/// # Errors
/// What is wrong.
pub fn field(field: &Field, say: &mut dyn FnMut(String)) -> Result<u64, String> {
    let Some(values) = values(&field.path) else { return Err(format!("`{}` has no values to try", field.path)) };
    let base = Draft::base().framed(values.frame);
    let samples = samples(field, values);
    if samples.is_empty() && values.touch != Touch::Fixed {
        return Err(format!("`{}` has no values to try", field.path));
    }
    simulated(async move {
        let mut walk = Walk::begin(base.clone(), say).await?;
        for sample in samples {
            walk.set(&sample).await?;
            walk.edit_suspended().await?;
            walk.recover().await?;
            walk.go(base.clone(), Touch::Rolls).await?;
        }
        walk.take_out(field).await?;
        walk.go(base, Touch::Rolls).await?;
        walk.back_at_base()?;
        Ok(walk.operations)
    })
}

/// A random sequence over all fields; answers how many operations it took.
///
/// # Errors
/// What is wrong.
pub fn random(number: u64, say: &mut dyn FnMut(String)) -> Result<u64, String> {
    simulated(async move {
        let mut dice = stream(number, "operations");
        let fields = all();
        let mut walk = Walk::begin(Draft::base(), say).await?;
        for _ in 0..LENGTH {
            let field = &fields[dice.usize(0..fields.len())];
            let Some(values) = values(&field.path) else { continue };
            let all = samples(field, values);
            if one_in(&mut dice, 5) || all.is_empty() {
                walk.take_out(field).await?;
                continue;
            }
            let sample = pick(&mut dice, &all);
            let calm = field.path == "spec.suspend" || sample.value.as_u64().is_some_and(|number| number > MANY);
            if calm || values.touch == Touch::Fixed {
                continue;
            }
            if one_in(&mut dice, 4) {
                walk.fail().await?;
            }
            walk.try_out(&sample, Draft::clone(&walk.draft).with(values.path, sample.value.clone())).await?;
        }
        walk.same_by_another_way().await?;
        Ok(walk.operations)
    })
}

struct Walk<'s> {
    ground: Ground,
    draft: Draft,
    first: super::ground::Picture,
    operations: u64,
    say: &'s mut dyn FnMut(String),
}

impl<'s> Walk<'s> {
    async fn begin(draft: Draft, say: &'s mut dyn FnMut(String)) -> Result<Self, String> {
        let mut ground = Ground::new().await;
        let read = draft.read().map_err(|why| format!("the first manifest is refused: {why}"))?;
        ground.write(&read).await?;
        ground.agrees(&draft)?;
        let first = ground.picture();
        Ok(Self { ground, draft, first, operations: 0, say })
    }

    /// Sets a field and looks whether it is taken or refused as it should be.
    async fn set(&mut self, sample: &Sample) -> Result<(), String> {
        let next = self.draft.clone().with(sample.field.path, sample.value.clone());
        let what = || format!("{} = {}", sample.field.path, brief(&sample.value));
        match next.read() {
            Ok(_) if sample.refused => return Err(format!("{} is not refused", what())),
            Err(why) if !sample.refused => return Err(format!("{} is refused: {why}", what())),
            Ok(_) | Err(_) => {}
        }
        self.try_out(sample, next).await
    }

    /// Writes a manifest with one more value; one that is refused changes nothing.
    async fn try_out(&mut self, sample: &Sample, next: Draft) -> Result<(), String> {
        (self.say)(format!("{} = {}", sample.field.path, brief(&sample.value)));
        let touch = if sample.field.path == "spec.suspend" { Touch::Stays } else { sample.field.touch };
        match next.read() {
            Ok(_) => self.go(next, touch).await,
            Err(why) => self.refuse(&why).await,
        }
    }

    /// Writes what is refused: the source keeps the last good version, and nothing may move for it.
    async fn refuse(&mut self, why: &str) -> Result<(), String> {
        let before = (self.ground.lives(), self.ground.picture());
        self.operations += 1;
        self.ground.refuse(why).await?;
        if (self.ground.lives(), self.ground.picture()) == before {
            return Ok(());
        }
        Err(format!("a manifest that is refused moved something: {before:?} became {:?}", self.ground.picture()))
    }

    /// Goes to another manifest.
    async fn go(&mut self, next: Draft, touch: Touch) -> Result<(), String> {
        if next == self.draft && !self.ground.refused {
            return Ok(());
        }
        let read = next.read().map_err(|why| format!("refused: {why}"))?;
        let before = self.ground.lives();
        self.operations += 1;
        self.ground.write(&read).await?;
        let after = self.ground.lives();
        let suspended = next.get("spec.suspend") == Some(&json!(true));
        if suspended {
            self.draft = next;
            return if after == before { Ok(()) } else { Err("a suspended app was touched".to_owned()) };
        }
        self.ground.agrees(&next).map_err(|why| format!("{why}\n{}", next.text()))?;
        let kept = after.intersection(&before).count();
        let woken = self.draft.get("spec.suspend") == Some(&json!(true));
        if touch == Touch::Stays && !woken && kept != before.len().min(after.len()) {
            return Err(format!("a policy restarted what ran: {before:?} became {after:?}\n{}", next.text()));
        }
        self.draft = next;
        Ok(())
    }

    /// Writes a release that never passes, and goes back to the manifest from before: the world from before.
    async fn fail(&mut self) -> Result<(), String> {
        let replicas = self.draft.get("spec.replicas").and_then(Value::as_u64).unwrap_or(1);
        let probed = self.draft.get("spec.health").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        let suspended = self.draft.get("spec.suspend") == Some(&json!(true));
        let held = self.draft.get("spec.rollout.revert") == Some(&json!("hold"));
        if replicas == 0 || !probed || suspended || held {
            return Ok(());
        }
        (self.say)("a release that never passes".to_owned());
        let good = self.draft.clone();
        let before = self.ground.picture();
        let env = good.get("spec.env").cloned().filter(Value::is_object).unwrap_or_else(|| json!({}));
        let bad = good.clone().with("spec.env", env).with(&format!("spec.env.{NEVER_HEALTHY}"), json!("1"));
        let read = bad.read().map_err(|why| format!("refused: {why}"))?;
        self.operations += 2;
        self.ground.write(&read).await?;
        if !self.ground.reverted() || self.ground.picture() != before {
            let now = self.ground.picture();
            return Err(format!("a bad release left {now:?} of {before:?}, {:?}\n{}", self.ground.state(), bad.text()));
        }
        self.draft = bad;
        self.go(good, Touch::Stays).await?;
        if self.ground.picture() == before { Ok(()) } else { Err("the previous manifest is another world".to_owned()) }
    }

    /// Writes another release to an app that is suspended, and takes it back: neither moves anything.
    async fn edit_suspended(&mut self) -> Result<(), String> {
        if self.draft.get("spec.suspend") != Some(&json!(true)) {
            return Ok(());
        }
        (self.say)("another release while it is suspended".to_owned());
        let suspended = self.draft.clone();
        self.go(suspended.clone().with("spec.env", json!({"EDITED": "meanwhile"})), Touch::Stays).await?;
        self.go(suspended, Touch::Stays).await
    }

    async fn recover(&mut self) -> Result<(), String> {
        self.fail().await
    }

    /// Takes a field out, where it may be.
    async fn take_out(&mut self, field: &Field) -> Result<(), String> {
        let next = self.draft.clone().without(&field.path);
        (self.say)(format!("without {}", field.path));
        match next.read() {
            Ok(_) => self.go(next, Touch::Rolls).await,
            Err(why) => self.refuse(&why).await,
        }
    }

    fn back_at_base(&self) -> Result<(), String> {
        let last = self.ground.picture();
        if last == self.first {
            Ok(())
        } else {
            Err(format!("the first manifest gave {:?}, and then {last:?}", self.first))
        }
    }

    /// A new world from the last manifest alone is the same.
    async fn same_by_another_way(&mut self) -> Result<(), String> {
        let mut direct = Ground::new().await;
        let read = self.draft.read().map_err(|why| format!("refused: {why}"))?;
        direct.write(&read).await?;
        let (one, other) = (self.ground.picture(), direct.picture());
        if one == other {
            return Ok(());
        }
        Err(format!("by this way {one:?}\ndirectly {other:?}\n{}", self.draft.text()))
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= 80 { text } else { format!("{}… ({} bytes)", &text[..text.floor_char_boundary(40)], text.len()) }
}
