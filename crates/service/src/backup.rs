//! `bedside-service backup` and `restore`: all that is kept, in a folder, while the service runs.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use crate::{
    Config, ServiceError,
    config::{self, Place},
    folder,
    store::{Database, Password, Store},
};

/// What a backup holds, beside the files that people have sent one another.
const SQLITE: &str = "bedside.sqlite";
const POSTGRES: &str = "bedside.dump";
const ATTACHMENTS: &str = "attachments";
/// Keys of the service's own. Without them everybody signs in again, and calls that run lose their relay.
const KEYS: [&str; 2] = ["relay.key", "token.key"];
/// As they are called in a backup, wherever the service has them.
const SEALING_KEYS: &str = "sealing.keys";

fn failed(what: impl std::fmt::Display) -> ServiceError {
    ServiceError::Config(what.to_string())
}

/// Writes a backup into a new folder. The database first: every file that it names is there by then.
pub async fn backup(config: &Config, to: &Path) -> Result<(), ServiceError> {
    if to.exists() && std::fs::read_dir(to)?.next().is_some() {
        return Err(failed(format_args!(
            "{} has something in it: a backup has a folder of its own",
            to.display()
        )));
    }
    folder::open(to)?;
    match &config.database {
        Database::Sqlite(path) => Store::copy_sqlite(path, &to.join(SQLITE)).await?,
        Database::Postgres { url, password } => {
            let mut dump = postgres("pg_dump", url, password.as_ref())?;
            dump.args(["--format=custom", "--no-owner", "--file"]).arg(to.join(POSTGRES));
            run(dump, "pg_dump").await?;
        }
    }
    // A bucket's own service keeps copies of it.
    if let Place::Folder(folder) = &config.attachments {
        copy_folder(folder, &to.join(ATTACHMENTS))?;
    }
    // Without them nothing of it can be read.
    if config.sealing_keys_path().exists() {
        std::fs::copy(config.sealing_keys_path(), to.join(SEALING_KEYS))?;
    }
    for key in KEYS {
        let from = config.data.join(key);
        if from.exists() {
            std::fs::copy(&from, to.join(key))?;
        }
    }
    Ok(())
}

/// Brings a backup back, to where there is nothing yet.
pub async fn restore(config: &Config, from: &Path) -> Result<(), ServiceError> {
    folder::open(&config.data)?;
    match &config.database {
        Database::Sqlite(path) => {
            if path.exists() {
                return Err(failed(format_args!(
                    "{} is there: a backup is brought back to where nothing is",
                    path.display()
                )));
            }
            std::fs::copy(from.join(SQLITE), path)?;
        }
        Database::Postgres { url, password } => {
            let mut restore = postgres("pg_restore", url, password.as_ref())?;
            // All of it or nothing; and nothing where there is something already.
            restore.args(["--exit-on-error", "--single-transaction", "--no-owner"]).arg(from.join(POSTGRES));
            run(restore, "pg_restore").await?;
        }
    }
    if let Place::Folder(folder) = &config.attachments {
        copy_folder(&from.join(ATTACHMENTS), folder)?;
    }
    let (has, into) = (from.join(SEALING_KEYS), config.sealing_keys_path());
    if has.exists() && !into.exists() {
        config::write_private(&into, &std::fs::read(has)?)?;
    }
    for key in KEYS {
        if from.join(key).exists() {
            std::fs::copy(from.join(key), config.data.join(key))?;
        }
    }
    Ok(())
}

/// One of PostgreSQL's own programs. Its password is in its environment, which only its own user and root read.
fn postgres(program: &str, url: &url::Url, password: Option<&Password>) -> Result<Command, ServiceError> {
    let mut command = Command::new(program);
    command.arg("--dbname").arg(url.as_str());
    if let Some(password) = password {
        command.env("PGPASSWORD", password.read().map_err(|error| failed(format_args!("{error}")))?.expose());
    }
    Ok(command)
}

async fn run(mut command: Command, program: &str) -> Result<(), ServiceError> {
    let done = command.stdin(Stdio::null()).output().await.map_err(|error| {
        failed(format_args!("{program} can't be started: {error}. Install PostgreSQL's client programs"))
    })?;
    if done.status.success() {
        return Ok(());
    }
    Err(failed(format_args!("{program}: {}", String::from_utf8_lossy(&done.stderr).trim())))
}

/// Files as they are now. One that is on its way in is left out: nothing names it yet.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    let entries = match std::fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path: PathBuf = entry?.path();
        let is_whole = path.extension().is_none_or(|extension| extension != crate::attachments::PARTIAL);
        if let (true, true, Some(name)) = (path.is_file(), is_whole, path.file_name()) {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
