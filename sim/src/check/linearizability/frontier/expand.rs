//! What may come next in a configuration.

use super::super::Model;
use super::config::Config;
use super::core::Core;
use super::mask::Mask;
use super::pending::{Counting, NOTHING_USED};

impl<M: Model, const W: usize> Core<'_, M, W> {
    /// Every operation that may come next in this configuration, by itself or after operations of unknown
    /// outcome.
    pub(super) fn expand(&mut self, number: u32, config: Config<W>) {
        let uncertain = !self.pending.is_empty();
        let mut tried = std::mem::take(&mut self.tried);
        tried.clear();
        let mut rest = self.taken.without(&config.done);
        if !uncertain {
            rest = self.known.possible(config.state, &rest);
        }
        while let Some(slot) = rest.pop() {
            if !self.may_be_next(slot, &config) {
                continue;
            }
            let after = self.step(slot, config.state);
            if let Some(state) = after
                && (uncertain || self.is_of_use(slot, state, &config))
            {
                self.reach(config, slot, state, config.used);
            }
            if uncertain {
                tried.push((slot, after));
            }
        }
        self.read_early(&config);
        if uncertain {
            match self.counting {
                Counting::Beam { .. } => {
                    self.closing.deferred.push((self.pending.share(config.used), number))
                }
                _ => self.expand_by_pending(config, &tried),
            }
        }
        self.tried = tried;
    }

    /// Whether it leads on that an operation takes effect, which leaves `state`. One that overwrites does not if nothing
    /// follows but another that overwrites, or operations that only read: before the other it leaves no trace, and they
    /// can be put there still when they return.
    fn is_of_use(&mut self, slot: usize, state: u32, config: &Config<W>) -> bool {
        let closing = self.closing.slot;
        if slot == closing || !self.kinds.writers.has(slot) {
            return true;
        }
        let mut rest = self.taken.without(&config.done);
        let mut lazy = rest.and(&self.kinds.lazy);
        if !self.kinds.writers.has(closing) {
            lazy.remove(closing);
        }
        rest = self.known.possible(state, &rest.without(&lazy));
        while let Some(slot) = rest.pop() {
            if self.step(slot, state).is_some() {
                return true;
            }
        }
        // One that only reads but narrows down what is there is no such.
        let mut rest = self.known.possible(state, &lazy.and(&self.kinds.readers));
        rest = rest.without(&self.known.keeping(state, &rest));
        while let Some(slot) = rest.pop() {
            if self.step(slot, state).is_some_and(|after| after != state) {
                return true;
            }
        }
        false
    }

    /// The operation that returns only read, and did so before the state was last overwritten: after one that
    /// overwrites, which then has taken effect.
    fn read_early(&mut self, config: &Config<W>) {
        let closing = self.closing.slot;
        if !(config.early.has(closing) && self.kinds.readers.has(closing)) {
            return;
        }
        let free = config.early.and(&self.kinds.writers);
        let mut rest = free;
        while let Some(writer) = rest.pop() {
            // Of equal ones the one that has to have taken effect first.
            let twins = self.slots[writer].as_ref().map_or(Mask::EMPTY, |open| open.twins);
            if !twins.and(&free).is_empty() {
                continue;
            }
            let Some(state) = self.step(writer, config.state) else { continue };
            if self.step(closing, state) != Some(state) {
                continue;
            }
            let mut config = *config;
            self.wrote_early(&mut config, writer);
            self.push(config);
        }
    }

    /// What [`Core::expand`] left for later.
    pub(super) fn expand_deferred(&mut self, config: Config<W>) {
        let mut tried = Vec::new();
        let mut rest = self.taken.without(&config.done);
        while let Some(slot) = rest.pop() {
            if self.may_be_next(slot, &config) {
                tried.push((slot, self.step(slot, config.state)));
            }
        }
        self.expand_by_pending(config, &tried);
    }

    fn expand_by_pending(&mut self, config: Config<W>, tried: &[(usize, Option<u32>)]) {
        let reached = self.pending.reached_from(
            self.model,
            &mut self.states,
            config.state,
            self.counting,
            &mut self.steps,
        );
        for reached in reached.iter() {
            let used = match self.counting {
                Counting::Ignored => Some(NOTHING_USED),
                _ => self.pending.use_up(config.used, reached.uses),
            };
            let Some(used) = used else { continue };
            for (slot, direct) in tried {
                let Some(after) = self.step(*slot, reached.state) else { continue };
                let needless = direct.is_some_and(|direct| {
                    self.model.subsumes(self.states.value(direct), self.states.value(after))
                });
                if !needless {
                    self.reach(config, *slot, after, used);
                }
            }
        }
    }

    /// The configuration after `slot` took effect.
    fn reach(&mut self, from: Config<W>, slot: usize, state: u32, used: u32) {
        let mut config = Config { state, used, ..from };
        config.done.add(slot);
        if self.kinds.writers.has(slot) {
            config.early = self.taken.and(&self.kinds.lazy);
        }
        self.place_reads(&mut config);
        self.push(config);
    }
}
