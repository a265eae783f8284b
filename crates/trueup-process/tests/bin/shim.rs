//! The program of the tests: a shim, a shim-exec, and nothing else.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["shim", folder] => trueup_process::shim::main(Path::new(folder)),
        ["shim-exec", folder] => trueup_process::shim_exec::main(Path::new(folder), &[]),
        ["shim-exec", folder, "--", ..] => trueup_process::shim_exec::main(Path::new(folder), &words[3..]),
        _ => ExitCode::FAILURE,
    }
}
