//! Starting and ending.

use bedside_client::{Client, ClientConfig};
use tauri::{Manager, RunEvent};
use tracing_subscriber::EnvFilter;

use crate::{commands, running::Running};

/// Runs the app until its window is closed.
pub fn run() {
    let asked =
        std::env::var("BEDSIDE_LOG").unwrap_or_else(|_| "warn,bedside=info,bedside_client=info".into());
    tracing_subscriber::fmt()
        // Last wins: these print what they carry, whatever level is asked for.
        .with_env_filter(EnvFilter::new(format!("{asked},{}", bedside_client::SILENCED)))
        .with_writer(std::io::stderr)
        .init();
    draw_without_gpu();
    let app = tauri::Builder::default()
        .setup(|app| {
            let config = ClientConfig::for_this_user().ok_or("this user has no folder for settings")?;
            let client = tauri::async_runtime::block_on(async { Client::start(config) });
            app.manage(Running::new(client));
            app.manage(commands::Meters::default());
            Ok(())
        })
        .invoke_handler(tauri::generate_handler![
            commands::act,
            commands::watch,
            commands::meters,
            commands::pictures,
            commands::acknowledge,
            commands::decoder_lost,
            commands::send_file,
            commands::fetch_file,
        ])
        .build(tauri::generate_context!());
    let app = match app {
        Ok(app) => app,
        Err(error) => {
            tracing::error!(%error, "the window can't be opened");
            std::process::exit(1);
        }
    };
    app.run(|app, event| {
        // The last window was closed: leave the visit in order first.
        if let RunEvent::ExitRequested { api, code: None, .. } = event {
            let client = app.state::<Running>().take();
            if let Some(client) = client {
                api.prevent_exit();
                let app = app.clone();
                tauri::async_runtime::spawn(async move {
                    client.close().await;
                    app.exit(0);
                });
            }
        }
    });
}

/// Without a GPU, WebKit's DMA-BUF renderer composes every picture in software, at four times
/// the cost of its older way (123 % of a core against 27 %, 720p).
fn draw_without_gpu() {
    #[cfg(target_os = "linux")]
    {
        let has_gpu = std::fs::read_dir("/dev/dri").is_ok_and(|nodes| {
            nodes.flatten().any(|node| node.file_name().to_string_lossy().starts_with("renderD"))
        });
        if !has_gpu && std::env::var_os("WEBKIT_DISABLE_DMABUF_RENDERER").is_none() {
            // SAFETY: before any thread is started that could read the environment.
            unsafe { std::env::set_var("WEBKIT_DISABLE_DMABUF_RENDERER", "1") };
        }
    }
}
