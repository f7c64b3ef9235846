//! The keys that what people write and send is sealed with: another, and everything sealed anew with it.

use bedside_sealing::KeyId;

use crate::{App, Config, ServiceError, config::write_private, instances};

/// Adds a new key behind those that there are. Services that are started again can open what it seals, and none seals with
/// it yet.
///
/// # Errors
/// Where the file can't be read or written.
pub fn add(config: &Config) -> Result<KeyId, ServiceError> {
    let before: Vec<KeyId> = config.sealing_keys()?.ids().collect();
    let mut lines = lines(config)?;
    lines.push(bedside_sealing::new_key().into_exposed());
    write(config, &lines)?;
    let added = config.sealing_keys()?.ids().find(|id| !before.contains(id));
    added.ok_or_else(|| ServiceError::Config("the new key is not in the file".to_owned()))
}

/// Puts the newest key first. Services that are started again seal with it: all of them must have it by then.
///
/// # Errors
/// As [`add`].
pub fn promote(config: &Config) -> Result<KeyId, ServiceError> {
    let mut lines = lines(config)?;
    if let Some(newest) = lines.pop() {
        lines.insert(0, newest);
    }
    write(config, &lines)?;
    Ok(config.sealing_keys()?.sealing())
}

/// The file's keys, a line for each.
fn lines(config: &Config) -> Result<Vec<String>, ServiceError> {
    config.sealing_keys()?;
    let text = std::fs::read_to_string(config.sealing_keys_path())?;
    let keys = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(keys.map(str::to_owned).collect())
}

/// Writes the file in place of what it was: a crash leaves the one or the other.
fn write(config: &Config, lines: &[String]) -> Result<(), ServiceError> {
    let path = config.sealing_keys_path();
    let new = path.with_extension("new");
    // A leftover of a try that was cut off.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    write_private(&new, format!("{}\n", lines.join("\n")).as_bytes())?;
    std::fs::rename(&new, &path)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Seals everything with the key that seals now, while services run that all seal with it: they were started again since.
/// Gives how many things had another, which can go from the file then.
///
/// # Errors
/// Where something can't be opened, read or written: what was sealed anew by then stays so.
pub async fn seal_anew(app: &App) -> Result<u64, ServiceError> {
    let mut changed = app.attachments.seal_anew(&app.store).await? as u64;
    loop {
        let some = app.store.seal_some_anew().await?;
        if some == 0 {
            break;
        }
        changed += some;
    }
    let mut unit = app.store.begin(jiff::Timestamp::now()).await?;
    unit.forget_other_keys().await?;
    unit.commit().await?;
    // Whoever still seals with another says so again with its lease.
    tokio::time::sleep(instances::SAYS_KEY_WITHIN).await;
    let others = app.store.keys_used().await?;
    let others: Vec<String> =
        others.into_iter().filter(|id| *id != app.store.keys().sealing().to_string()).collect();
    if !others.is_empty() {
        return Err(ServiceError::Config(format!(
            "a service still seals with {}: start all of them again, and seal anew once more",
            others.join(" and ")
        )));
    }
    Ok(changed)
}
