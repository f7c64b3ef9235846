//! The keys that what people write and send is sealed with: another, and everything sealed anew with it.

use bedside_sealing::KeyId;

use crate::{App, Config, ServiceError, config::write_private};

/// Puts a new key before those that there are. Services that are started again seal with it; all can open what is there.
///
/// # Errors
/// Where the file can't be read or written.
pub fn add(config: &Config) -> Result<KeyId, ServiceError> {
    let path = config.sealing_keys_path();
    config.sealing_keys()?;
    let new = path.with_extension("new");
    let text = format!("{}\n{}", bedside_sealing::new_key().expose(), std::fs::read_to_string(&path)?);
    // A leftover of a try that was cut off.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    write_private(&new, text.as_bytes())?;
    std::fs::rename(&new, &path)?;
    Ok(config.sealing_keys()?.sealing())
}

/// Seals everything with the key that seals now, while the service runs; gives how many things had another. The others
/// can go from the file when every service has been started again with it.
///
/// # Errors
/// Where something can't be opened, read or written: what was sealed anew by then stays so.
pub async fn seal_anew(app: &App) -> Result<u64, ServiceError> {
    let mut changed = app.attachments.seal_anew().await? as u64;
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
    Ok(changed)
}
