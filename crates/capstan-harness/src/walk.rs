//! Random walks: a seed decides documents, changes, faults, kills, and everything that happens by chance.

use std::path::Path;

use anyhow::Result;

use crate::chance::Chance;
use crate::session::{Session, Step};
use crate::spec::{Change, Spec};
use crate::time;
use crate::trouble::Trouble;
use crate::wire::Call;

/// How a walk went.
#[derive(Debug)]
pub struct Walked {
    /// What was done, a line each.
    pub told: Vec<String>,
    /// Every request.
    pub calls: Vec<Call>,
    /// What did not hold, if anything didn't.
    pub violation: Option<anyhow::Error>,
}

/// Walks one seed. `folder` is the fleet's (see [`crate::folder`]).
#[must_use]
pub fn walk(seed: u64, folder: &Path) -> Walked {
    time::run(async {
        let chance = Chance::new(seed);
        let mut session = match Session::begin(chance.number(), folder, Spec::any(&chance)).await {
            Ok(session) => session,
            Err(error) => return Walked { told: vec![], calls: vec![], violation: Some(error) },
        };
        let violation = through(&mut session, &chance).await.err();
        Walked { told: session.told().to_vec(), calls: session.world().calls(), violation }
    })
}

/// About how many calls a process makes that creates or deletes, and one that changes: where troubles strike.
const MANY: u64 = 110;
const FEW: u64 = 60;

async fn through(session: &mut Session, chance: &Chance) -> Result<()> {
    session.step(&Step::Up, &Trouble::any(chance, FEW, false).of_up()).await?;
    session.create(&Trouble::any(chance, MANY, false)).await?;
    for _ in 0..chance.between(1, 5) {
        let step = match chance.between(0, 19) {
            0 => Step::Again,
            1 => Step::Refused,
            2 => Step::Prune,
            _ => Step::Apply(chance.one_of(&Change::ALL)),
        };
        let trouble = if step == Step::Prune { Trouble::None } else { Trouble::any(chance, FEW, false) };
        session.step(&step, &trouble).await?;
    }
    session.step(&Step::Delete, &Trouble::any(chance, MANY, true)).await?;
    if chance.percent(20) {
        session.step(&Step::Delete, &Trouble::None).await?;
    }
    session.step(&Step::Prune, &Trouble::None).await?;
    Ok(())
}
