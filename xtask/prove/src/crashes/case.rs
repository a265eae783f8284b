//! A case: one variant and the deaths in it, as a line that a person can copy.
//!
//! `update-bluegreen-3-quick/save:7/after+40s` dies after the effect of the eighth save, and is started again forty
//! seconds later; `;` parts the deaths of one run.

use std::time::Duration;

use anyhow::Context as _;
use trueup_sim::{CallKind, Cut, Moment};

use super::play::{Death, Loss};
use super::scenario::Variant;

/// One run to be made.
#[derive(Clone)]
pub struct Case {
    /// What happens.
    pub variant: Variant,
    /// Where the daemon dies.
    pub deaths: Vec<Death>,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/", self.variant.name())?;
        for (index, death) in self.deaths.iter().enumerate() {
            let part = if index == 0 { "" } else { ";" };
            let Cut { kind, number, moment } = death.cut;
            write!(f, "{part}{}:{number}/{}", kind.word(), moment.word())?;
            if !death.pause.is_zero() {
                write!(f, "+{}s", death.pause.as_secs())?;
            }
            if death.loss == Loss::Everything {
                write!(f, "+lost")?;
            }
        }
        Ok(())
    }
}

impl Case {
    /// Reads a case.
    ///
    /// # Errors
    /// Says what is not understood.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let (name, deaths) = text.split_once('/').context("a case is VARIANT/KIND:NUMBER/MOMENT")?;
        let variant = Variant::find(name).with_context(|| format!("there is no variant `{name}`"))?;
        let deaths = deaths.split(';').filter(|one| !one.is_empty()).map(death).collect::<anyhow::Result<_>>()?;
        Ok(Self { variant, deaths })
    }
}

fn death(text: &str) -> anyhow::Result<Death> {
    let mut parts = text.split('+');
    let place = parts.next().unwrap_or_default();
    let (call, moment) = place.split_once('/').context("a death is KIND:NUMBER/MOMENT")?;
    let (kind, number) = call.split_once(':').context("a call is KIND:NUMBER")?;
    let kind = CallKind::ALL.into_iter().find(|one| one.word() == kind).context("no such kind of call")?;
    let moment = Moment::ALL.into_iter().find(|one| one.word() == moment).context("no such moment")?;
    let loss = if moment == Moment::Flush { Loss::Last } else { Loss::Nothing };
    let mut death = Death { cut: Cut { kind, number: number.parse()?, moment }, pause: Duration::ZERO, loss };
    for part in parts {
        match part.strip_suffix('s') {
            Some(seconds) => death.pause = Duration::from_secs(seconds.parse()?),
            None if part == "lost" => death.loss = Loss::Everything,
            None => anyhow::bail!("`{part}` is neither a pause nor `lost`"),
        }
    }
    Ok(death)
}

/// Every death that one call allows.
pub fn deaths_at(kind: CallKind, number: u32) -> Vec<Death> {
    let moments: &[(Moment, Loss)] = match kind {
        // A look changes nothing: after it is before what follows from it.
        CallKind::Look => &[(Moment::Before, Loss::Nothing)],
        CallKind::Step | CallKind::Table => {
            &[(Moment::Before, Loss::Nothing), (Moment::Effect, Loss::Nothing), (Moment::Answer, Loss::Nothing)]
        }
        CallKind::Save => &[
            (Moment::Before, Loss::Nothing),
            (Moment::Effect, Loss::Nothing),
            (Moment::Flush, Loss::Last),
            (Moment::Effect, Loss::Everything),
        ],
        CallKind::Chore => &[(Moment::Before, Loss::Nothing), (Moment::Effect, Loss::Nothing)],
    };
    let death = |(moment, loss): &(Moment, Loss)| {
        let cut = Cut { kind, number, moment: *moment };
        Death { cut, pause: Duration::ZERO, loss: *loss }
    };
    moments.iter().map(death).collect()
}
