//! The lab: real calls between two hosts of their own, joined by a network that is bad on purpose.

mod call;
mod link;
mod media;
mod network;
mod profile;
mod report;

use std::{fs, path::PathBuf};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::{demo::camera::Camera, root};
use call::Peers;
use media::Media;
use profile::{PROFILES, Profile};

/// `cargo xtask lab`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these networks, separated by commas.
    #[arg(long, value_delimiter = ',')]
    profile: Vec<String>,
    /// Only these peers.
    #[arg(long, value_delimiter = ',', default_values = ["ours", "browser"])]
    peers: Vec<Peers>,
    /// How long each call is.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(50..280))]
    seconds: u32,
    /// How often each is held; the tables show medians.
    #[arg(long, default_value_t = 1)]
    repeats: u32,
    /// Where everything goes.
    #[arg(long, default_value = "target/lab/out")]
    out: PathBuf,
}

/// Holds all calls that were asked for, one after another.
pub(crate) fn run(options: &Options) -> Result<()> {
    let wanted: Vec<&Profile> = match options.profile.as_slice() {
        [] => PROFILES.iter().collect(),
        names => names.iter().map(|name| by_name(name)).collect::<Result<_>>()?,
    };
    let media = Media::make()?;
    let out = root().join(&options.out);
    let camera = Camera::plug_in()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut calls: Vec<Value> = vec![];
    for repeat in 0..options.repeats {
        for profile in &wanted {
            for peers in &options.peers {
                let folder = out.join(format!("{}-{peers:?}-{repeat}", profile.name).to_lowercase());
                if folder.exists() {
                    fs::remove_dir_all(&folder)?;
                }
                fs::create_dir_all(&folder)?;
                println!("\n{}, {peers:?}, {} of {}", profile.name, repeat + 1, options.repeats);
                let held = runtime.block_on(call::hold(
                    *peers,
                    profile,
                    options.seconds.into(),
                    &media,
                    &camera,
                    &folder,
                ));
                // A call that broke is a result.
                let scored = held.and_then(|facts| Ok((call::score(&media.python, &folder, &media)?, facts)));
                let mut entry = json!({ "profile": profile, "peers": peers, "repeat": repeat });
                match scored {
                    Ok((sides, facts)) => {
                        report::complete(&mut entry, sides, &facts, profile);
                        report::say(&entry);
                    }
                    Err(error) => {
                        println!("  broke: {error:#}");
                        entry["broke"] = format!("{error:#}").into();
                    }
                }
                calls.push(entry);
                report::write(&out, &calls)?;
            }
        }
    }
    println!("\n{}", report::table(&calls));
    println!("{}", out.join("report.html").display());
    Ok(())
}

fn by_name(name: &str) -> Result<&'static Profile> {
    let Some(profile) = PROFILES.iter().find(|profile| profile.name == name) else {
        let names: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
        bail!("no network is called {name}; there are {}", names.join(", "));
    };
    Ok(profile)
}
