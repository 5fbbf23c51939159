//! Builds again when files of the web client change, since a release build embeds them.

fn main() {
    for folder in ["web", "icons", "fonts"] {
        println!("cargo:rerun-if-changed=../assets/{folder}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
