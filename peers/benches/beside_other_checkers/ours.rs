//! This project's own checker.

use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{AppendModel, Limits, PlainRegisterModel, check, verdict};

use crate::shapes::{History, Objects};

/// A budget that no shape exhausts.
const LIMITS: Limits = Limits { steps: 1_000_000_000 };

/// The verdict alone.
pub(crate) fn verdict_alone(history: &History) -> Verdict {
    match &history.objects {
        Objects::Registers(partitions) => verdict(&PlainRegisterModel, partitions.clone(), &LIMITS).verdict,
        Objects::Texts(partitions) => {
            let (model, partitions) = AppendModel::new(partitions.clone());
            verdict(&model, partitions, &LIMITS).verdict
        }
    }
}

/// The verdict, and a violation made small, found again and shown.
pub(crate) fn explained(history: &History) -> Verdict {
    match &history.objects {
        Objects::Registers(partitions) => check(&PlainRegisterModel, partitions.clone(), &LIMITS).verdict,
        Objects::Texts(partitions) => {
            let (model, partitions) = AppendModel::new(partitions.clone());
            check(&model, partitions, &LIMITS).verdict
        }
    }
}
