//! Compiles the shims over the system's libvpx and OpenH264 (docs: ARCHITECTURE.md).

fn main() {
    vp8();
    h264();
}

/// No kept crate builds or binds libvpx.
fn vp8() {
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

/// OpenH264 of the system, not a copy of ours: who ships it has settled its patents. Elsewhere than on
/// Linux no system has it, and VP8 is spoken alone.
fn h264() {
    println!("cargo:rerun-if-changed=csrc/h264.c");
    println!("cargo:rustc-check-cfg=cfg(openh264)");
    let is_needed = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    let openh264 = match pkg_config::Config::new().atleast_version("2.1").probe("openh264") {
        Ok(library) => library,
        Err(error) if is_needed => panic!("OpenH264 is needed: `cargo xtask setup` installs it ({error})"),
        Err(_) => return,
    };
    println!("cargo:rustc-cfg=openh264");
    let mut build = cc::Build::new();
    build.file("csrc/h264.c").opt_level(2);
    for path in &openh264.include_paths {
        build.include(path);
    }
    build.compile("bedside_h264");
    println!("cargo:rustc-link-lib=openh264");
}
