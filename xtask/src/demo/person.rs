//! One person at their window: clicks what a person clicks, waits for what a person waits for.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use fantoccini::{Client, ClientBuilder, Locator, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::{Program, World};
use crate::root;

/// How long anything may take to show before the visit counts as broken.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(25);

pub(crate) struct Person {
    pub(crate) world: World,
    client: Client,
}

impl Person {
    /// Starts the app in `world`.
    pub(crate) async fn sit_down(world: World) -> Result<Self> {
        let client = start_app(&world).await?;
        Ok(Self { world, client })
    }

    /// Starts the app again after it was killed.
    pub(crate) async fn come_back(&mut self) -> Result<()> {
        self.world.kill_app()?;
        self.world.start_driver()?;
        self.client = start_app(&self.world).await?;
        Ok(())
    }

    /// Opens a page, in a browser.
    #[cfg(target_os = "linux")]
    pub(crate) async fn opens(&self, page: &Path) -> Result<()> {
        let address = format!("file://{}", page.display());
        self.client.goto(&address).await.context("the page can't be opened")
    }

    /// Runs a script in the page.
    pub(crate) async fn script(&self, script: &str) -> Result<Value> {
        self.client.execute(script, vec![]).await.context("a script failed")
    }

    /// Waits until `condition`, a script's expression, is true.
    pub(crate) async fn until(&self, what: &str, condition: &str) -> Result<()> {
        let began = Instant::now();
        loop {
            // Between two screens an element may be gone again.
            if self
                .script(&format!("return !!({condition})"))
                .await
                .is_ok_and(|value| value == Value::Bool(true))
            {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                let text = self.text().await.unwrap_or_default();
                bail!("the {} waited in vain for {what}; on the screen: {text}", self.world.name);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for a text.
    pub(crate) async fn sees(&self, text: &str) -> Result<()> {
        self.until(&format!("“{text}”"), &format!("document.body.innerText.includes({})", json!(text))).await
    }

    /// All text on the screen.
    pub(crate) async fn text(&self) -> Result<String> {
        let text = self.script("return document.body.innerText").await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits for an element that can be clicked, and clicks it.
    pub(crate) async fn click(&self, selector: &str) -> Result<()> {
        let enabled = format!(
            "document.querySelector({s}) && !document.querySelector({s}).disabled",
            s = json!(selector)
        );
        self.until(selector, &enabled).await?;
        // As a person scrolls to it: WebDriver does only where it is outside the window, and what
        // stays in sight at the bottom may cover it.
        let show =
            format!("document.querySelector({}).scrollIntoView({{ block: 'nearest' }})", json!(selector));
        self.script(&show).await?;
        let element = self.client.find(Locator::Css(selector)).await?;
        element.click().await.with_context(|| format!("{selector} can't be clicked"))
    }

    /// Clicks what does something, by its name.
    pub(crate) async fn does(&self, action: &str) -> Result<()> {
        self.click(&format!("[data-do='{action}']")).await
    }

    /// Types into a field.
    pub(crate) async fn types(&self, field: &str, text: &str) -> Result<()> {
        let selector = format!("[name='{field}']");
        self.until(&selector, &format!("document.querySelector({})", json!(selector))).await?;
        let element = self.client.find(Locator::Css(&selector)).await?;
        element.send_keys(text).await.with_context(|| format!("{field} can't be typed into"))
    }

    /// Chooses a file where one can be sent, as the system's dialog would.
    pub(crate) async fn sends_file(&self, file: &Path) -> Result<()> {
        let element = self.client.find(Locator::Css("input[type='file']")).await?;
        let path = file.to_str().context("the file's path is not text")?;
        element.send_keys(path).await.context("no file can be chosen")
    }

    /// Chooses a device in the settings by its name.
    pub(crate) async fn chooses(&self, kind: &str, device: &str) -> Result<()> {
        self.does(&format!("choose-{kind}")).await?;
        self.click(&format!("[data-choice='{device}']")).await
    }

    /// Signs in from the first screen.
    pub(crate) async fn signs_in(&self, email: &str, password: &str) -> Result<()> {
        self.types("email", email).await?;
        self.types("password", password).await?;
        self.does("submit").await
    }

    /// Takes a picture of the screen.
    pub(crate) async fn screenshot(
        &self,
        folder: &Path,
        screens: &mut Vec<String>,
        name: &str,
    ) -> Result<()> {
        // What is in the document is on the screen two repaints later, and motion has ended.
        let painted = "const done = arguments[0]; \
            requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 250)))";
        self.client.execute_async(painted, vec![]).await.context("the page does not repaint")?;
        let file = format!("{:02}-{}-{name}.png", screens.len() + 1, self.world.name);
        self.world.screenshot(&folder.join(&file))?;
        screens.push(file);
        Ok(())
    }

    /// Closes the window, as a person does.
    pub(crate) async fn leaves(self) -> Result<()> {
        self.client.close().await.context("the window did not close")
    }
}

async fn start_app(world: &World) -> Result<Client> {
    let capabilities: Capabilities = serde_json::from_value(match world.place.program {
        Program::App => json!({
            "browserName": "wry",
            "webkitgtk:browserOptions": { "binary": root().join("target/debug/bedside"), "args": ["--automation"] },
        }),
        Program::Browser => json!({ "goog:chromeOptions": { "args": world.browser_arguments() } }),
    })?;
    let mut builder = ClientBuilder::new(HttpConnector::new());
    builder.capabilities(capabilities);
    builder.connect(&world.driver).await.with_context(|| format!("the {}'s app did not start", world.name))
}
