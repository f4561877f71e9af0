//! Histories as JSON lines.

use stormglass_sim::history::{History, read_history, write_history};

use crate::harness::Target;

const HISTORY: &str = "{\"format\":\"stormglass-history\",\"version\":1,\"operations\":2,\"holds\":1}\n\
    {\"operation\":{\"id\":0,\"client\":1,\"call\":\"acquire\",\"resource\":\"r\",\"exclusive\":true,\"wait_us\":0,\
    \"invoked_ns\":1,\"returned_ns\":2,\"outcome\":{\"outcome\":\"ok\",\"answer\":{\"answer\":\"granted\",\"token\":7}}}}\n\
    {\"operation\":{\"id\":1,\"client\":2,\"call\":\"set\",\"key\":\"k\",\"value\":6,\"invoked_ns\":3,\"returned_ns\":null,\
    \"outcome\":{\"outcome\":\"unknown\",\"reason\":\"no answer\"}}}\n\
    {\"hold\":{\"client\":1,\"operation\":0,\"resource\":\"r\",\"exclusive\":true,\"token\":7,\"from_ns\":2,\"until_ns\":9,\
    \"lapsed\":true}}\n";

/// The reader.
pub(crate) struct Histories;

/// A header of a few bytes once took room for a million operations and holds.
#[test]
fn a_header_takes_no_memory_for_what_does_not_follow() {
    let most = u64::MAX;
    let header = format!(
        "{{\"format\":\"stormglass-history\",\"version\":1,\"operations\":{most},\"holds\":{most}}}\n"
    );
    let (read, peak) = crate::memory::peak_bytes(|| read_history(header.as_bytes()));
    assert!(read.is_err());
    assert!(peak < 64 * 1024, "{peak} bytes");
}

fn written(history: &History) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_history(history, &mut bytes).expect("memory takes any number of bytes");
    bytes
}

impl Target for Histories {
    fn name(&self) -> &'static str {
        "histories as json lines"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![HISTORY.as_bytes().to_vec(), written(&History::default())]
    }

    fn pieces(&self) -> &'static [&'static [u8]] {
        &[
            b"\n",
            b"{",
            b"}",
            b"null",
            b"\"hold\":",
            b"\"operation\":",
            b"0",
            b"18446744073709551615",
            b",",
            b"\"",
            b"[]",
        ]
    }

    /// The counts in the header.
    fn seal(&self, input: &mut Vec<u8>) {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
        let count =
            |start: &[u8]| input.split(|byte| *byte == b'\n').filter(|line| line.starts_with(start)).count();
        let (operations, holds) = (count(b"{\"operation\""), count(b"{\"hold\""));
        let header = format!(
            "{{\"format\":\"stormglass-history\",\"version\":1,\"operations\":{operations},\"holds\":{holds}}}"
        );
        input.splice(..end, header.into_bytes());
    }

    fn memory_per_byte(&self) -> u64 {
        256
    }

    fn decode(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let history = read_history(input).map_err(|error| error.to_string())?;
        assert_eq!(history.verify(), Ok(()));
        let bytes = written(&history);
        assert_eq!(read_history(&bytes[..]).map_err(|error| error.to_string()), Ok(history));
        Ok(bytes)
    }
}
