//! How much memory this process took.
#![expect(clippy::disallowed_methods, reason = "it asks the system about this process, for people")]

/// The most memory that the process ever had in use, in bytes, where the system tells: on Linux.
pub(super) fn peak_bytes() -> Option<u64> {
    bytes_of(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The memory that the process has in use now, in bytes, where the system tells.
pub(super) fn present_bytes() -> Option<u64> {
    bytes_of(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// What a text of `/proc/PID/status`, which counts in kibibytes, says behind `name`.
fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::bytes_of;

    #[test]
    fn a_figure_is_found_among_the_other_lines() {
        let peak_of = |status| bytes_of(status, "VmHWM:");
        assert_eq!(peak_of("Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t    5324 kB\n"), Some(5_451_776));
        assert_eq!(peak_of("Name:\tx\n"), None);
        assert_eq!(peak_of("VmHWM:\tmany kB\n"), None);
        assert_eq!(peak_of("VmHWM:\t18446744073709551615 kB\n"), None);
    }
}
