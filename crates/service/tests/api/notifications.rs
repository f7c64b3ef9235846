//! What people are told although they asked for nothing: in the app, by mail and by text message.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use bedside_protocol::topic;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    common::{Clinic, PASSWORD, clinic_with, email},
    sockets::Socket,
};

/// Longer than until the second try.
const WITHIN: Duration = Duration::from_secs(20);

/// A mail as it came.
#[derive(Debug)]
struct Received {
    to: String,
    text: String,
}

/// A fake mail server: takes what SMTP brings (RFC 5321), the first `refuses` mails only at the second try.
struct MailServer {
    address: SocketAddr,
    mails: mpsc::UnboundedReceiver<Received>,
}

impl MailServer {
    async fn start(refuses: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mails) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut refused = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let refuse = refused < refuses;
                refused += 1;
                let _ = talk(stream, refuse, &sender).await;
            }
        });
        Self { address, mails }
    }

    async fn mail(&mut self) -> Received {
        tokio::time::timeout(WITHIN, self.mails.recv()).await.expect("a mail comes").unwrap()
    }
}

async fn talk(
    stream: TcpStream,
    refuse: bool,
    mails: &mpsc::UnboundedSender<Received>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut to, mut line) = (String::new(), String::new());
    stream.write_all(b"220 fake\r\n").await?;
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => b"250 fake\r\n",
            "MAIL" if refuse => b"451 come again\r\n",
            "RCPT" => {
                line[8..].trim().clone_into(&mut to);
                b"250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut text).await?;
                }
                // Lines of quoted-printable go on where they end with "=".
                let text = text.replace("=\r\n", "").replace("=3D", "=");
                let _ = mails.send(Received { to: to.clone(), text });
                b"250 taken\r\n"
            }
            "QUIT" => return stream.write_all(b"221 bye\r\n").await,
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await?;
    }
}

async fn clinic_that_writes(server: &MailServer) -> Clinic {
    let address = format!("smtp://{}", server.address).parse().unwrap();
    clinic_with(|settings| {
        settings.mail_server = Some(address);
        settings.mail_from = Some("The practice <hello@visits.example>".to_owned());
        settings.clinic_name = Some("Riverside".to_owned());
        settings.time_zone = Some("Europe/Berlin".to_owned());
        settings.public_url = Some("https://visits.example".parse().unwrap());
    })
    .await
}

fn opened_by(mail: &Received, page: &str) -> String {
    let start = format!("https://visits.example/{page}#");
    let (_, rest) = mail.text.split_once(&start).unwrap_or_else(|| panic!("no {start} in {}", mail.text));
    rest.split_whitespace().next().unwrap().to_owned()
}

async fn post_to(clinic: &Clinic, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
    let (status, answer) = clinic.service.send(Method::POST, path, token, Some(body)).await;
    (status.as_u16(), answer)
}

#[tokio::test]
async fn a_forgotten_password_is_chosen_anew() {
    let mut server = MailServer::start(0).await;
    let clinic = clinic_that_writes(&server).await;
    let ask = async |email: String| {
        post_to(&clinic, "/api/v1/auth/password/reset-request", None, json!({ "email": email })).await.0
    };
    assert_eq!(ask(email("patient")).await, 202);
    assert_eq!(ask("nobody@planted.example".to_owned()).await, 202, "whether there is one is not said");
    assert_eq!(ask(email("patient")).await, 202);
    let mail = server.mail().await;
    assert_eq!(mail.to, format!("<{}>", email("patient")));
    assert!(mail.text.contains("Riverside"), "{}", mail.text);
    let token = opened_by(&mail, "password");
    let reset = async |token: &str, password: &str| {
        let body = json!({ "token": token, "newPassword": password });
        post_to(&clinic, "/api/v1/auth/password/reset", None, body).await
    };
    assert_eq!(reset(&token, "short").await.0, 422, "and it can be tried again");
    assert_eq!(reset("made up", "another long password").await.1["code"], "link-ended");
    assert_eq!(reset(&token, "another long password").await.0, 204);
    assert_eq!(reset(&token, "and yet another one").await.1["code"], "link-ended", "once");
    let (status, _) =
        clinic.service.send(Method::GET, "/api/v1/auth/me", Some(&clinic.patient.token), None).await;
    assert_eq!(status, 401, "whoever else was signed in is not any more");
    let sign_in = async |password: &str| {
        let body = json!({ "email": email("patient"), "password": password });
        post_to(&clinic, "/api/v1/auth/login", None, body).await.0
    };
    assert_eq!((sign_in(PASSWORD).await, sign_in("another long password").await), (401, 200));
    assert!(server.mails.try_recv().is_err(), "one mail, whoever asks how often");
}

#[tokio::test]
async fn an_address_is_confirmed_by_who_reads_its_mail() {
    let mut server = MailServer::start(0).await;
    let clinic = clinic_that_writes(&server).await;
    let body = json!({ "email": "ada@planted.example", "password": PASSWORD, "name": "Ada Berger" });
    assert_eq!(post_to(&clinic, "/api/v1/auth/register", None, body).await.0, 201);
    let token = opened_by(&server.mail().await, "confirm");
    let is_confirmed = async || {
        let path = "/api/v1/users?query=ada%40planted.example";
        let (_, found) = clinic.service.send(Method::GET, path, Some(&clinic.admin.token), None).await;
        (found[0]["isAddressConfirmed"] == true, found[0]["isConfirmed"] == true)
    };
    assert_eq!(is_confirmed().await, (false, false));
    let body = json!({ "token": token, "newPassword": "another long password" });
    assert_eq!(
        post_to(&clinic, "/api/v1/auth/password/reset", None, body).await.0,
        401,
        "it opens no account"
    );
    assert_eq!(post_to(&clinic, "/api/v1/auth/confirm", None, json!({ "token": token })).await.0, 204);
    assert_eq!(is_confirmed().await, (true, false), "whose account it is, the practice makes sure of");

    // And an account that the desk makes is opened by its mail.
    let body = json!({ "name": "Kofi Mensah", "email": "kofi@planted.example" });
    assert_eq!(post_to(&clinic, "/api/v1/users", Some(&clinic.admin.token), body).await.0, 201);
    let token = opened_by(&server.mail().await, "password");
    let body = json!({ "token": token, "newPassword": PASSWORD });
    assert_eq!(post_to(&clinic, "/api/v1/auth/password/reset", None, body).await.0, 204);
    let body = json!({ "email": "kofi@planted.example", "password": PASSWORD });
    assert_eq!(post_to(&clinic, "/api/v1/auth/login", None, body).await.0, 200);
}

#[tokio::test]
async fn whoever_is_waited_for_is_told_once_and_by_every_way() {
    let mut server = MailServer::start(0).await;
    let clinic = clinic_that_writes(&server).await;
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    socket.subscribe(topic::NOTIFICATIONS).await;
    for _ in 0..2 {
        clinic.post(&clinic.doctor, "/join", json!({})).await;
    }
    let heard = socket.until(&["NOTIFICATION", "DOCTOR_WAITS"]).await;
    let heard: Value = serde_json::from_str(&heard.body).unwrap();
    assert_eq!(heard["payload"]["sessionId"], clinic.session.to_string());
    let mail = server.mail().await;
    assert!(mail.text.contains("You are waited for") && mail.text.contains("Europe/Berlin"), "{}", mail.text);
    for word in ["Quillfeather", "doctor", "VIDEO", "consultation"] {
        assert!(!mail.text.contains(word), "it lies open on a table: {word} in {}", mail.text);
    }
    let list = async || {
        let path = "/api/v1/notifications";
        clinic.service.send(Method::GET, path, Some(&clinic.patient.token), None).await.1
    };
    assert_eq!(list().await.as_array().unwrap().len(), 1);

    // Over, and asked how it was an hour later: not yet.
    clinic.in_the_call().await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    assert!(server.mail().await.text.contains("Your appointment is over"));
    let kinds: Vec<_> = list().await.as_array().unwrap().iter().map(|told| told["kind"].clone()).collect();
    assert!(
        kinds.contains(&json!("FEEDBACK_REQUEST")) && kinds.contains(&json!("VISIT_COMPLETED")),
        "{kinds:?}"
    );
    assert!(server.mails.try_recv().is_err());
}

#[tokio::test]
async fn whoever_wants_no_messages_is_sent_none() {
    let mut server = MailServer::start(0).await;
    let clinic = clinic_that_writes(&server).await;
    let patient = Some(clinic.patient.token.as_str());
    let change = json!({ "wantsMessages": false, "phone": "+4930123456" });
    let (status, _) = clinic.service.send(Method::PATCH, "/api/v1/users/me", patient, Some(change)).await;
    assert_eq!(status, 200);
    let (_, profile) = clinic.service.send(Method::GET, "/api/v1/users/me", patient, None).await;
    assert_eq!((&profile["wantsMessages"], &profile["phone"]), (&json!(false), &json!("+4930123456")));
    let wrong = json!({ "phone": "030/123456" });
    let (status, _) = clinic.service.send(Method::PATCH, "/api/v1/users/me", patient, Some(wrong)).await;
    assert_eq!(status, 422);
    clinic.post(&clinic.doctor, "/join", json!({})).await;
    // What they ask for themselves goes out all the same, and would come after.
    let body = json!({ "email": email("patient") });
    post_to(&clinic, "/api/v1/auth/password/reset-request", None, body).await;
    assert!(server.mail().await.text.contains("Another password"));
}

#[tokio::test]
async fn what_could_not_be_sent_is_sent_later() {
    let mut server = MailServer::start(1).await;
    let clinic = clinic_that_writes(&server).await;
    clinic.post(&clinic.doctor, "/join", json!({})).await;
    assert!(server.mail().await.text.contains("You are waited for"), "at the second try");
}

#[tokio::test]
async fn people_are_reminded_a_day_before_and_soon_before() {
    let mut server = MailServer::start(0).await;
    let clinic = clinic_that_writes(&server).await;
    let app = bedside_service::App::open(clinic.service.config.clone(), None).await.unwrap();
    // Booked days ago, for tomorrow and for in ten minutes.
    let mut soon = None;
    for minutes in [23 * 60, 10] {
        let start = Timestamp::now() + SignedDuration::from_mins(minutes);
        let mut unit = app.store.begin(Timestamp::now() - SignedDuration::from_hours(72)).await.unwrap();
        let request = bedside_protocol::CreateAppointmentRequest::in_a_call(
            clinic.patient.id,
            start,
            15,
            bedside_protocol::ConsultationMode::Video,
        );
        let appointment = unit.add_appointment(&request, clinic.doctor.id).await.unwrap();
        unit.session_for(appointment).await.unwrap();
        unit.commit().await.unwrap();
        soon = Some(appointment);
    }
    app.store.close().await;
    let both = [server.mail().await.text, server.mail().await.text];
    for subject in ["Subject: Your appointment\r\n", "Your appointment begins soon"] {
        assert!(both.iter().any(|text| text.contains(subject)), "{subject}: {both:?}");
    }
    let told = async || {
        let path = "/api/v1/notifications";
        let patient = Some(clinic.patient.token.as_str());
        clinic.service.send(Method::GET, path, patient, None).await.1.as_array().unwrap().len()
    };
    assert_eq!(told().await, 2);
    // Moved to another time, it is another appointment to be reminded of, and not of what has just been chosen.
    let move_to = async |seconds: i64| {
        let start = Timestamp::now() + SignedDuration::from_secs(seconds);
        let body = Some(json!({ "scheduledStartTime": start }));
        let path = format!("/api/v1/appointments/{}", soon.unwrap());
        let (status, answer) =
            clinic.service.send(Method::PATCH, &path, Some(&clinic.admin.token), body).await;
        assert_eq!(status, 200, "{answer}");
    };
    move_to(15 * 60 + 5).await;
    assert_eq!(told().await, 1, "what was said of the other time is not said any more");
    tokio::time::timeout(Duration::from_secs(30), async {
        while told().await != 2 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .expect("a quarter of an hour before");
}

#[tokio::test]
async fn a_text_message_is_a_signed_request_to_the_gateway() {
    let (sender, mut requests) = mpsc::unbounded_channel::<(HeaderMap, Bytes)>();
    let sender = Arc::new(sender);
    let gateway = Router::new().route(
        "/sms",
        post(move |headers: HeaderMap, body: Bytes| {
            let sender = sender.clone();
            async move {
                let _ = sender.send((headers, body));
            }
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sms", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, gateway).await });
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "north wind\n").unwrap();
    let clinic = clinic_with(|settings| {
        settings.sms_url = Some(url.parse().unwrap());
        settings.sms_secret_file = Some(secret);
    })
    .await;
    let patient = Some(clinic.patient.token.as_str());
    let change = json!({ "phone": "+4930123456" });
    clinic.service.send(Method::PATCH, "/api/v1/users/me", patient, Some(change)).await;
    clinic.post(&clinic.doctor, "/join", json!({})).await;
    let (headers, body) = tokio::time::timeout(WITHIN, requests.recv()).await.unwrap().unwrap();
    let signature = headers["bedside-signature"].to_str().unwrap().strip_prefix("sha256=").unwrap();
    let signature: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&signature[2 * at..2 * at + 2], 16).unwrap()).collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"north wind").unwrap();
    mac.update(&body);
    mac.verify_slice(&signature).unwrap();
    let message: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(message["to"], "+4930123456");
    assert!(
        message["text"].as_str().unwrap().contains("Somebody is waiting for you")
            && message["id"].is_string()
    );
}
