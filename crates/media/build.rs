//! Compiles the shims over the system's libvpx and OpenH264 (docs: ARCHITECTURE.md).

fn main() {
    vp8();
    h264();
}

/// No kept crate builds or binds libvpx.
fn vp8() {
    let vpx = pkg_config::Config::new()
        .atleast_version("1.8")
        .probe("vpx")
        .expect("libvpx is needed: `cargo xtask setup` installs it where it can");
    compile("vp8", &vpx, "vpx");
}

/// OpenH264 of the system, not a copy of ours: who ships it has settled its patents. Elsewhere than on
/// Linux no system has it, and VP8 is spoken alone.
fn h264() {
    println!("cargo:rustc-check-cfg=cfg(openh264)");
    let is_needed = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    let openh264 = match pkg_config::Config::new().atleast_version("2.1").probe("openh264") {
        Ok(library) => library,
        Err(error) if is_needed => panic!("OpenH264 is needed: `cargo xtask setup` installs it ({error})"),
        Err(_) => return,
    };
    println!("cargo:rustc-cfg=openh264");
    compile("h264", &openh264, "openh264");
}

fn compile(shim: &str, library: &pkg_config::Library, name: &str) {
    let source = format!("csrc/{shim}.c");
    println!("cargo:rerun-if-changed={source}");
    println!("cargo:rerun-if-changed=csrc/shim.h");
    let mut build = cc::Build::new();
    build.file(source).opt_level(2);
    for path in &library.include_paths {
        build.include(path);
    }
    build.compile(&format!("bedside_{shim}"));
    // After our archive, which refers to it.
    println!("cargo:rustc-link-lib={name}");
}
