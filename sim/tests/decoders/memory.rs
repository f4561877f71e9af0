//! How much memory a decoder takes.

use alloc_tracker::{Allocator, Session};

#[global_allocator]
static ALLOCATOR: Allocator<std::alloc::System> = Allocator::system();

/// What `work` returns, and the most bytes that it had allocated at any moment.
pub(crate) fn peak_bytes<T>(work: impl FnOnce() -> T) -> (T, u64) {
    // It would print, and write a file, when it is dropped.
    let session = Session::new().no_stdout().no_file();
    let span = session.operation("decode").measure_thread().iterations(1);
    let result = work();
    drop(span);
    let report = session.to_report();
    let peak = report.operations().next().and_then(|(_, one)| one.peak_outstanding_bytes());
    (result, peak.map_or(0, |bytes| bytes as u64))
}

#[test]
fn memory_is_measured() {
    let (kept, peak) = peak_bytes(|| {
        drop(std::hint::black_box(vec![0_u8; 1 << 20]));
        std::hint::black_box(vec![0_u8; 1 << 10])
    });
    assert_eq!(kept.len(), 1 << 10);
    assert!((1 << 20..1 << 21).contains(&peak), "{peak}");
}
