//! Parts that an idle group does not need: they take memory once they are used, until it is given back.

/// A part, or nothing in its place. Nothing and the default mean the same.
#[derive(Clone, Debug, Default)]
pub(super) struct OnDemand<T>(Option<Box<T>>);

impl<T: Default> OnDemand<T> {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// The part, to be changed.
    pub(super) fn get(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// The part, if there is one.
    pub(super) fn view(&self) -> Option<&T> {
        self.0.as_deref()
    }

    /// Gives its memory back if that loses nothing.
    pub(super) fn release_if(&mut self, is_empty: impl FnOnce(&T) -> bool) {
        self.0.take_if(|part| is_empty(part));
    }
}
