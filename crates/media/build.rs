//! Compiles the shim over the system's libvpx: no kept crate builds or binds it (docs: ARCHITECTURE.md).

fn main() {
    println!("cargo:rerun-if-changed=csrc/vp8.c");
    let vpx = pkg_config::Config::new()
        .atleast_version("1.8")
        .probe("vpx")
        .expect("libvpx is needed: `cargo xtask setup` installs it where it can");
    let mut build = cc::Build::new();
    build.file("csrc/vp8.c").opt_level(2);
    for path in &vpx.include_paths {
        build.include(path);
    }
    build.compile("bedside_vp8");
    // After our archive, which refers to it.
    println!("cargo:rustc-link-lib=vpx");
}
