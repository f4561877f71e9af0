//! This project's own checker.

use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{
    AppendModel, Limits, Partition, PlainRegisterModel, TextAnswer, TextOp, check, verdict, verdict_of,
};

use crate::shapes::{History, Objects};

/// A budget that no shape exhausts.
const LIMITS: Limits = Limits { steps: 1_000_000_000 };

/// The verdict alone, object by object, as the others are given them: what is not linearizable ends it.
pub(crate) fn verdict_alone(history: &History) -> Verdict {
    match &history.objects {
        Objects::Registers(partitions) => verdict_of(&PlainRegisterModel, partitions, &LIMITS).verdict,
        Objects::Texts(partitions) => {
            let text = |partition: &Partition<TextOp, TextAnswer>| {
                let (model, partitions) = AppendModel::new(std::slice::from_ref(partition));
                verdict(&model, partitions, &LIMITS).verdict
            };
            partitions.iter().map(text).find(|found| *found != Verdict::Valid).unwrap_or(Verdict::Valid)
        }
    }
}

/// The verdict, and a violation made small, found again and shown.
pub(crate) fn explained(history: &History) -> Verdict {
    match &history.objects {
        Objects::Registers(partitions) => check(&PlainRegisterModel, partitions.clone(), &LIMITS).verdict,
        Objects::Texts(partitions) => {
            let (model, partitions) = AppendModel::new(partitions);
            check(&model, partitions, &LIMITS).verdict
        }
    }
}
