//! Where the programs are.

use std::path::PathBuf;

/// The desktop program and command line.
pub fn parlor() -> PathBuf {
    find("parlor", "PARLOR")
}

/// The signaling server.
pub fn parlor_server() -> PathBuf {
    find("parlor-server", "PARLOR_SERVER")
}

/// The program named by the variable, else the one that cargo has put beside the tests.
fn find(name: &str, variable: &str) -> PathBuf {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => beside_the_tests().join(format!("{name}{}", std::env::consts::EXE_SUFFIX)),
    };
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --workspace --bins` first, or name the program in {variable}",
        path.display()
    );
    path
}

/// `target/debug` for `target/debug/deps/some_test`.
fn beside_the_tests() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.parent().and_then(std::path::Path::parent).expect("tests are built two folders down");
    folder.to_owned()
}
