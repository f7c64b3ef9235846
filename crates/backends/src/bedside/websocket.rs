//! The realtime link's WebSocket, through the network's proxy where it has one.

use bedside_protocol::stomp;
use bedside_proxy::{ProxyError, Spoken};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_tls,
    tungstenite::{self, client::IntoClientRequest, http::HeaderValue},
};

use super::Api;

pub(crate) type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebSocketError {
    #[error(transparent)]
    Connection(#[from] ProxyError),
    /// Of an address that was refused its words may say more than a log should hold.
    #[error("the service does not speak as it should")]
    Refused(#[from] tungstenite::Error),
}

impl Api {
    pub(crate) async fn open_websocket(&self) -> Result<WebSocket, WebSocketError> {
        let mut request = self.websocket_url().into_client_request()?;
        let is_secure = request.uri().scheme_str() == Some("wss");
        let host = request.uri().host().ok_or(ProxyError::BadAddress)?;
        let (usual, spoken) = if is_secure { (443, Spoken::Tls) } else { (80, Spoken::Http) };
        let port = request.uri().port_u16().unwrap_or(usual);
        let stream = self.proxies().connect(host, port, spoken).await?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(stomp::SUBPROTOCOL));
        let (socket, _) = client_async_tls(request, stream).await?;
        Ok(socket)
    }
}

#[cfg(test)]
#[path = "../../../proxy/tests/support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use bedside_proxy::Proxies;
    use futures_util::{SinkExt, StreamExt};
    use tokio::net::TcpListener;
    use tokio_tungstenite::{accept_hdr_async, tungstenite::Message};

    use super::{support::Proxy, *};

    #[tokio::test]
    async fn it_comes_through_a_proxy() {
        let (proxy, listener) = (Proxy::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap().to_string();
        let service = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // The library's own type.
            #[allow(clippy::result_large_err)]
            let accept = |request: &tungstenite::handshake::server::Request,
                          mut response: tungstenite::handshake::server::Response| {
                let subprotocol = request.headers()["Sec-WebSocket-Protocol"].clone();
                response.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol);
                Ok(response)
            };
            let mut socket = accept_hdr_async(stream, accept).await.unwrap();
            socket.send(Message::text("hello")).await.unwrap();
        });
        let api = Api::behind(&address, Proxies::through(&proxy.url())).unwrap();
        let mut socket = api.open_websocket().await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
        assert_eq!(proxy.let_through(), 1);
        service.await.unwrap();

        let api = Api::behind(&address, Proxies::through(&proxy.url_of_strangers())).unwrap();
        let refused = api.open_websocket().await.unwrap_err();
        assert!(matches!(refused, WebSocketError::Connection(ProxyError::NotAuthorized)), "{refused}");
    }
}
