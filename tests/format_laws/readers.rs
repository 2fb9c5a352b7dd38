//! Programs that did not make the views, run by the scripts of `tests/formats`.

use std::path::Path;
use std::process::Command;

/// Runs a script over a folder and returns whether it was run; it says itself what it skips.
pub(crate) fn run(script: &str, folder: &Path) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(script);
    let python = std::env::var_os("CHARTFS_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    match Command::new(python).arg(path).arg(folder).output() {
        Err(e) => {
            println!("SKIPPED: {script}: there is no Python to run it: {e}");
            false
        }
        Ok(ran) => {
            let said = String::from_utf8_lossy(&ran.stdout);
            println!("{said}");
            assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
            true
        }
    }
}
