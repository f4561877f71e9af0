//! How lines are granted and held.

/// The settings of the near-cache. Times in microseconds of the local clock.
///
/// `lease_us` and `drift_ppm_max` must be the same on all members. The members agree on them through the log
/// before the first line is granted, and a node that finds others agreed on does not go on. To change them, let
/// the cluster agree on others (`Client::agree_on_near`), which stops every member as it learns of it, and start
/// the members with these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a line may be read without asking again. A write waits that long for a holder that does not
    /// answer, and so does the first write of a new leader. Default 150 ms; 0 switches the near-cache off: no
    /// line is ever granted.
    pub lease_us: u64,
    /// No clock of the cluster runs faster than another by more than this, in parts per million. The whole
    /// of safety rests on it. Default 1000.
    pub drift_ppm_max: u32,
    /// Lines that one node holds, at most. Default 65,536.
    pub lines_max: usize,
    /// Bytes of keys and values that one node holds, at most. Default 64 MiB.
    pub bytes_max: usize,
    /// Local readers that wait for lines, at most; more are told to read another way. Default 16,384.
    pub readers_max: usize,
    /// An answer to a question is awaited for so long. Default 100 ms.
    pub patience_us: u64,
    /// Lines that a leader's directory knows of, at most. Default 1,048,576.
    pub directory_lines_max: usize,
    /// Questions that a leader has not answered, at most. Default 16,384.
    pub asks_max: usize,
    /// Writes that a leader has taken and that are not applied, at most. Default 16,384.
    pub writes_max: usize,
    /// A leader repeats what is not answered this often. Default 20 ms.
    pub resend_us: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease_us: 150_000,
            drift_ppm_max: 1_000,
            lines_max: 65_536,
            bytes_max: 64 * 1024 * 1024,
            readers_max: 16_384,
            patience_us: 100_000,
            directory_lines_max: 1_048_576,
            asks_max: 16_384,
            writes_max: 16_384,
            resend_us: 20_000,
        }
    }
}

impl Settings {
    /// A time by another node's clock, shortened so that it has not passed there while it has not passed here.
    pub(super) fn shortened_us(&self, us: u64) -> u64 {
        const MILLION: u128 = 1_000_000;
        let shortened = u128::from(us) * MILLION / (MILLION + u128::from(self.drift_ppm_max));
        u64::try_from(shortened).expect("it is not longer than before")
    }
}
