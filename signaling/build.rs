//! Builds again when the web client's files change, since a release build embeds them.

fn main() {
    println!("cargo:rerun-if-changed=../assets/web");
    println!("cargo:rerun-if-changed=build.rs");
}
