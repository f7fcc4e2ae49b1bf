//! Every flow with every call going wrong in turn, and killed at every call.

use std::path::Path;

use anyhow::Result;
use capstan_sandbox::faults::Effect as Strike;

use crate::session::{Session, Step};
use crate::spec::{Change, Spec};
use crate::time;
use crate::trouble::{Trouble, strikes};
use crate::walk::Walked;
use crate::wire::{Call, Effect};

/// The seed of all enumerated worlds.
const SEED: u64 = 7;

/// Something that changes the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The management plane is prepared.
    Up,
    /// A cluster is made.
    Create,
    /// A cluster is made with an image of its own.
    CreateWithImage,
    /// A cluster is changed.
    Change(Change),
    /// The same is applied again.
    Again,
    /// A change that the API refuses is taken back.
    Refused,
    /// A cluster is deleted.
    Delete,
    /// Images that nobody uses are removed.
    Prune,
}

impl Flow {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut flows = vec![
            Self::Up,
            Self::Create,
            Self::CreateWithImage,
            Self::Again,
            Self::Refused,
            Self::Delete,
            Self::Prune,
        ];
        flows.extend(Change::ALL.map(Self::Change));
        flows
    }

    /// What there is before.
    fn spec(self) -> Spec {
        let mut spec = Spec::small();
        match self {
            Self::CreateWithImage | Self::Prune => spec.own_image = true,
            Self::Change(Change::RemoveGroup) => return Change::AddGroup.of(&spec),
            Self::Change(Change::AntiAffinity) => return Change::ScaleDown.of(&spec),
            _ => {}
        }
        spec
    }
}

/// Which calls go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Those that are to change something.
    Writes,
    /// All.
    All,
}

/// A flow under a trouble.
#[derive(Debug, Clone)]
pub struct Case {
    /// The flow.
    pub flow: Flow,
    /// The trouble.
    pub trouble: Trouble,
}

/// The calls of a flow when nothing goes wrong: those of its first process, in the order in which they arrive.
///
/// # Errors
/// Something goes wrong all the same.
pub fn clean(flow: Flow, folder: &Path) -> Result<Vec<Call>> {
    let walked = check(&Case { flow, trouble: Trouble::None }, folder);
    walked.violation.map_or(Ok(()), Err)?;
    Ok(walked.calls)
}

/// Each of the calls struck in each of these ways, one at a time.
#[must_use]
pub fn struck(flow: Flow, calls: &[Call], which: Calls, ways: &[Strike]) -> Vec<Case> {
    let chosen = calls.iter().zip(1..).filter(|(call, _)| which == Calls::All || call.writes());
    let case = |nth, effect: &Strike| {
        let trouble = Trouble::Strike { nth, times: 1, effect: effect.clone() };
        Case { flow, trouble }
    };
    chosen.flat_map(|(_, nth)| ways.iter().map(move |effect| case(nth, effect))).collect()
}

/// Killed at each of the calls.
#[must_use]
pub fn killed(flow: Flow, calls: &[Call], which: Calls, effects: &[Effect]) -> Vec<Case> {
    let chosen = calls.iter().filter(|call| which == Calls::All || call.writes());
    let case = |nth, effect: &Effect| {
        let trouble = Trouble::Kill { nth, effect: *effect, lingers: false };
        Case { flow, trouble }
    };
    chosen.flat_map(|call| effects.iter().map(move |effect| case(call.number, effect))).collect()
}

/// Everything that can go wrong with a flow.
///
/// # Errors
/// It goes wrong by itself.
pub fn everything(flow: Flow, folder: &Path) -> Result<Vec<Case>> {
    let calls = clean(flow, folder)?;
    let mut cases = struck(flow, &calls, Calls::All, &strikes());
    cases.extend(killed(flow, &calls, Calls::All, &[Effect::Nothing, Effect::Done]));
    let others = [Trouble::Twice, Trouble::Slow, Trouble::Storm];
    cases.extend(others.map(|trouble| Case { flow, trouble }));
    Ok(cases)
}

/// Runs a case to the end, teardown included. The calls are those of the flow's first process.
#[must_use]
pub fn check(case: &Case, folder: &Path) -> Walked {
    time::run(async {
        let mut session = match Session::begin(SEED, folder, case.flow.spec()).await {
            Ok(session) => session,
            Err(error) => return Walked { told: vec![], calls: vec![], violation: Some(error) },
        };
        let mut calls = vec![];
        let violation = through(&mut session, case, &mut calls).await.err();
        Walked { told: session.told().to_vec(), calls, violation }
    })
}

async fn through(session: &mut Session, case: &Case, calls: &mut Vec<Call>) -> Result<()> {
    let Case { flow, trouble } = case;
    let none = Trouble::None;
    let up = if *flow == Flow::Up { trouble } else { &none };
    let first = session.world().calls().len();
    session.step(&Step::Up, up).await?;
    if *flow == Flow::Up {
        *calls = of_first_process(session, first);
    }
    if matches!(flow, Flow::Create | Flow::CreateWithImage) {
        let first = session.world().calls().len();
        session.create(trouble).await?;
        *calls = of_first_process(session, first);
    } else {
        session.create(&none).await?;
    }
    let step = match flow {
        Flow::Change(change) => Some(Step::Apply(*change)),
        Flow::Again => Some(Step::Again),
        Flow::Refused => Some(Step::Refused),
        _ => None,
    };
    if let Some(step) = step {
        let first = session.world().calls().len();
        session.step(&step, trouble).await?;
        *calls = of_first_process(session, first);
    }
    for (step, of) in [(Step::Delete, Flow::Delete), (Step::Prune, Flow::Prune)] {
        let first = session.world().calls().len();
        session.step(&step, if *flow == of { trouble } else { &none }).await?;
        if *flow == of {
            *calls = of_first_process(session, first);
        }
    }
    Ok(())
}

fn of_first_process(session: &Session, first: usize) -> Vec<Call> {
    let mut calls = session.world().calls().split_off(first);
    let process = calls.iter().map(|call| call.process).min();
    calls.retain(|call| Some(call.process) == process);
    calls.sort_by_key(|call| call.at);
    calls
}
