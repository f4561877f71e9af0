//! Two checks at one time.

/// Both results: of one after the other, or, `at_once`, each on a thread. A run is judged on the thread that it ran on, as
/// others are under way beside it; a recorded history has the machine to itself.
pub(super) fn both<A: Send, B: Send>(
    at_once: bool,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B,
) -> (A, B) {
    if !at_once {
        return (one(), other());
    }
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), other)
    })
}
