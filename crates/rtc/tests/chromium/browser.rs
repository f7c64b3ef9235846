//! A headless Chromium, driven over its DevTools protocol.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// A page in a browser of its own, which ends with it.
pub(crate) struct Page {
    browser: Child,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    calls: u64,
    /// The documents that have said that they are loaded, by their loader's id.
    loaded: Vec<Value>,
    _profile: tempfile::TempDir,
}

/// Answers every request on a port of this machine with `page`: camera and microphone are only
/// given to a page that comes from a server.
async fn serve(page: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // One that connected ahead of need, and says nothing, keeps no other waiting.
            tokio::spawn(async move {
                let mut request = [0; 4096];
                if !stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    return;
                }
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    page.len()
                );
                // Whether it got the page, its load event says.
                let _ = stream.write_all(&[head.as_bytes(), page.as_bytes()].concat()).await;
            });
        }
    });
    port
}

/// The address that the browser writes down once it listens.
async fn devtools(profile: &Path) -> String {
    let file = profile.join("DevToolsActivePort");
    let found = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let text = tokio::fs::read_to_string(&file).await.unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n').filter(|(_, path)| !path.is_empty()) {
                return format!("ws://127.0.0.1:{port}{}", path.trim());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    found.await.expect("Chromium starts")
}

impl Page {
    /// Opens `html` with a camera and a microphone that the browser makes up.
    pub(crate) async fn open(html: &'static str) -> Self {
        let port = serve(html).await;
        let profile = tempfile::tempdir().unwrap();
        let program = [
            "/usr/bin/chromium",
            "/usr/bin/chromium-browser",
            "/snap/bin/chromium",
            "/usr/bin/google-chrome",
        ];
        let program = program.into_iter().find(|path| Path::new(path).exists()).expect("`cargo xtask setup`");
        let browser = Command::new(program)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                "--allow-loopback-in-peer-connection",
                "--disable-features=WebRtcHideLocalIpsWithMdns",
                "--autoplay-policy=no-user-gesture-required",
                "--remote-debugging-port=0",
                "about:blank",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Chromium starts");
        let (socket, _) = connect_async(devtools(profile.path()).await).await.unwrap();
        let mut page =
            Self { browser, socket, session: String::new(), calls: 0, loaded: Vec::new(), _profile: profile };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = page.call("Target.attachToTarget", attach).await;
        page.session = session["sessionId"].as_str().unwrap().to_owned();
        page.call("Page.enable", json!({})).await;
        page.call("Page.setLifecycleEventsEnabled", json!({ "enabled": true })).await;
        let navigation =
            page.call("Page.navigate", json!({ "url": format!("http://127.0.0.1:{port}/") })).await;
        assert!(navigation["errorText"].is_null(), "the page opens: {navigation}");
        page.hear_loaded(&navigation["loaderId"]).await;
        page
    }

    /// One request of the DevTools protocol.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut request = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            request["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(request.to_string())).await.unwrap();
        let mut answer = self.next(|message| message["id"] == json!(id)).await;
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Waits for this very document: the blank one before it also says that it has loaded, and
    /// there `open` is the window's own.
    async fn hear_loaded(&mut self, document: &Value) {
        while !self.loaded.contains(document) {
            self.next(|message| message["method"] == json!("Page.lifecycleEvent")).await;
        }
    }

    async fn next(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                let message = self.socket.next().await.expect("the browser runs").unwrap();
                let Message::Text(text) = message else { continue };
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["method"] == json!("Page.lifecycleEvent")
                    && message["params"]["name"] == json!("load")
                {
                    self.loaded.push(message["params"]["loaderId"].clone());
                }
                if wanted(&message) {
                    return message;
                }
            }
        });
        found.await.expect("the browser answers")
    }

    /// Calls a function of the page's and waits for what it promises.
    pub(crate) async fn run(&mut self, function: &str, argument: Value) -> Value {
        let expression = format!("{function}({argument})");
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{function}: {answer}");
        answer["result"]["value"].take()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
