//! The determinism gate as a test: the same seeds twice in one process and once more in another.

use std::path::Path;
use std::process::Command;

#[test]
fn twenty_seeds_repeat_within_a_process_and_across_processes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace");
    let output = Command::new(env!("CARGO_BIN_EXE_stormglass"))
        .args(["meta", "--seeds", "1..20"])
        .current_dir(root)
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("20 runs repeat"), "{text}");
}
