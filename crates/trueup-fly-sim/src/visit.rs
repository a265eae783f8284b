//! A request's way through the cloud: who asks, how often, what goes wrong, what is done, what is answered.

use crate::call::{Asked, Call, Done, Refusal, Reply};
use crate::cloud::Cloud;
use crate::faults::{Fault, Rule};
use crate::proxy::Met;
use crate::routes::{self, Route};
use crate::time::Moment;

/// Never.
pub(crate) const FOREVER: Moment = Moment::from_millis(u64::MAX);
/// Under which names apps are reached, before the port.
const APP_HOSTS: [&str; 3] = [".fly.dev", ".fly.localhost", PRIVATE];
/// The last of which is known to the private network alone.
const PRIVATE: &str = ".flycast";

/// How far a request has come.
#[derive(Debug)]
pub(crate) struct Visit {
    pub asked: Asked,
    pub operation: Option<&'static str>,
    stage: Stage,
    /// The moment that stands on the agenda for it.
    wakes: Option<Moment>,
}

#[derive(Debug)]
enum Stage {
    Fresh,
    /// It may come in, once this moment is there; then it is done, and this goes wrong.
    Admitted {
        call: Box<Call>,
        does: fn(&mut Cloud, &Call) -> crate::call::Answer,
        hold: Moment,
        wrong: Option<Fault>,
    },
    /// It is done, and answered at this moment.
    Committed {
        reply: Reply,
        hold: Moment,
    },
    /// An app is asked; this machine was woken for it.
    Woken {
        machine: String,
    },
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Step {
    Answered(Reply),
    /// The connection ends without an answer.
    Cut,
    /// Again when something has changed, or at this moment.
    Later(Moment),
}

impl Visit {
    pub(crate) fn new(asked: Asked) -> Self {
        Self { asked, operation: None, stage: Stage::Fresh, wakes: None }
    }
}

impl Cloud {
    /// Goes on with a request.
    pub(crate) fn visit(&mut self, visit: &mut Visit) -> Step {
        let step = self.go_on(visit);
        self.tell_proxy();
        match step {
            Step::Answered(mut reply) => {
                let region = &self.regions()[0];
                let id = format!("{}-{region}", self.dice.ulid(self.now));
                reply.headers.push(("fly-request-id", id));
                Step::Answered(reply)
            }
            Step::Later(moment) => {
                if moment < FOREVER && visit.wakes != Some(moment) {
                    visit.wakes = Some(moment);
                    self.agenda.enter(moment, crate::agenda::Happening::Wake);
                }
                Step::Later(moment)
            }
            Step::Cut => Step::Cut,
        }
    }

    fn go_on(&mut self, visit: &mut Visit) -> Step {
        if matches!(visit.stage, Stage::Fresh) {
            if let Some(app) = app_asked(&visit.asked) {
                return self.ask_app(visit, (&app.0, app.1));
            }
            if let Some(step) = self.admit(visit) {
                return step;
            }
        }
        match &mut visit.stage {
            Stage::Admitted { hold, .. } | Stage::Committed { hold, .. } if *hold > self.now => Step::Later(*hold),
            Stage::Committed { reply, .. } => Step::Answered(reply.clone()),
            Stage::Admitted { call, does, wrong, .. } => match does(self, call) {
                Err(refusal) => Step::Answered(refusal.into_reply()),
                Ok(Done::Later(moment)) => Step::Later(moment),
                Ok(Done::Now(reply)) => {
                    let wrong = wrong.take();
                    self.committed(visit, reply, wrong)
                }
            },
            Stage::Woken { machine } => self.woken(machine),
            Stage::Fresh => Step::Cut,
        }
    }

    fn committed(&mut self, visit: &mut Visit, reply: Reply, wrong: Option<Fault>) -> Step {
        let hold = match wrong {
            Some(Fault::CommitsThenAnswers(said)) => return Step::Answered(said.reply()),
            Some(Fault::CommitsThenCut) => return Step::Cut,
            Some(Fault::CommitsThenHangs) => FOREVER,
            Some(Fault::CommitsThenDelays(span)) => self.now.after(span.0),
            Some(Fault::Answers(_) | Fault::Cut | Fault::Delays(_) | Fault::Hangs) | None => {
                return Step::Answered(reply);
            }
        };
        visit.stage = Stage::Committed { reply, hold };
        Step::Later(hold)
    }

    /// Lets a request in; `Some` where it ends here.
    fn admit(&mut self, visit: &mut Visit) -> Option<Step> {
        let (route, mut call) = match self.screen(&visit.asked) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                visit.operation = routes::find(&visit.asked).map(|(route, _)| route.id);
                return Some(Step::Answered(refusal.into_reply()));
            }
        };
        visit.operation = Some(route.id);
        *self.counted.entry(route.id).or_default() += 1;
        if let Err(refusal) = self.count(route.id, &call) {
            return Some(Step::Answered(refusal.into_reply()));
        }
        let (mut hold, mut wrong) = (self.now, None);
        match self.faults.draw(route.id, &call, &mut self.dice) {
            None => {}
            Some(Fault::Answers(said)) => return Some(Step::Answered(said.reply())),
            Some(Fault::Cut) => return Some(Step::Cut),
            Some(Fault::Hangs) => hold = FOREVER,
            Some(Fault::Delays(span)) => hold = self.now.after(span.0),
            late @ Some(
                Fault::CommitsThenAnswers(_)
                | Fault::CommitsThenCut
                | Fault::CommitsThenDelays(_)
                | Fault::CommitsThenHangs,
            ) => wrong = late,
        }
        call.began = hold;
        visit.stage = Stage::Admitted { call: Box::new(call), does: route.does, hold, wrong };
        None
    }

    /// Who asks for what, and whether they may.
    fn screen(&self, asked: &Asked) -> Result<(&'static Route, Call), Refusal> {
        let token = self.authenticate(asked)?;
        let Some((route, names)) = routes::find(asked) else {
            return Err(Refusal::new(404, "404 page not found"));
        };
        let call = Call { asked: asked.clone(), began: self.now, names, token };
        if let Some(app) = self.apps.get(call.app())
            && !call.token.may(&app.name, &app.org)
        {
            return Err(Refusal::new(403, format!("You are not authorized to access App \"{}\"", app.name)));
        }
        Ok((route, call))
    }

    /// A request for an app itself, by way of the proxy; the edge is chosen by a header.
    fn ask_app(&mut self, visit: &mut Visit, (app, private): (&str, bool)) -> Step {
        match self.faults.draw_for(Rule::REQUEST, (app, ""), &mut self.dice) {
            Some(Fault::Answers(said) | Fault::CommitsThenAnswers(said)) => return Step::Answered(said.reply()),
            Some(Fault::Cut | Fault::CommitsThenCut) => return Step::Cut,
            Some(Fault::Hangs | Fault::CommitsThenHangs) => return Step::Later(FOREVER),
            // An app takes its own time.
            Some(Fault::Delays(_) | Fault::CommitsThenDelays(_)) | None => {}
        }
        let edge = visit.asked.headers.get("x-sim-edge").and_then(|text| text.parse().ok()).unwrap_or(0);
        match self.request(app, edge, private) {
            Met::Machine(id) => self.woken(&id),
            Met::Woken(machine) => {
                visit.stage = Stage::Woken { machine };
                Step::Later(self.now.after(WAKING))
            }
            Met::Blind(id) => plain(502, &format!("machine {id} refused the connection\n")),
            Met::Nobody => plain(503, "no machine is there to answer\n"),
            Met::NoAddress => plain(503, "the app has no address\n"),
        }
    }

    fn woken(&mut self, id: &str) -> Step {
        let Some(machine) = self.machines.get(id) else { return plain(502, "the machine is gone\n") };
        if !machine.answers() && self.now < machine.since.after(WAKING) {
            return Step::Later(machine.since.after(WAKING));
        }
        if !machine.answers() {
            return plain(502, &format!("machine {id} did not start\n"));
        }
        let text = format!("{} {} {}\n", machine.id, machine.instance, machine.config().acted.image);
        let chosen = vec![(CHOSEN, machine.id.clone())];
        let status = self.behaviour(machine).answers;
        Step::Answered(Reply { status, headers: chosen, body: crate::call::Body::Text(text) })
    }
}

/// The header that names the machine which the proxy has chosen.
pub(crate) const CHOSEN: &str = "fly-machine-id";
/// How long a request is kept for a machine that is woken for it.
const WAKING: std::time::Duration = std::time::Duration::from_secs(30);

/// The app whose name a request was sent to, and whether that is its private one.
fn app_asked(asked: &Asked) -> Option<(String, bool)> {
    let host = asked.headers.get("host")?;
    let host = host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host);
    let (app, suffix) = APP_HOSTS.iter().find_map(|suffix| Some((host.strip_suffix(suffix)?, *suffix)))?;
    Some((app.to_owned(), suffix == PRIVATE))
}

fn plain(status: u16, text: &str) -> Step {
    Step::Answered(Reply { status, headers: Vec::new(), body: crate::call::Body::Text(text.to_owned()) })
}
