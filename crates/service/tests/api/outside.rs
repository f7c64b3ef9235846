//! What somebody without an account can do to those who have one: nothing that lasts.

use std::time::{Duration, Instant};

use bedside_service::{App, IDLE_FOR};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    common::{Clinic, PASSWORD, clinic, clinic_with, email},
    database::Outside,
    sockets::Socket,
};

/// A clinic behind a proxy of its own, which is this test: it says where its requests come from.
async fn behind_a_proxy() -> Clinic {
    clinic_with(|settings| settings.trusted_proxies = Some(vec!["127.0.0.1/32".parse().unwrap()])).await
}

/// Somebody at an address tries to sign in; gives the status and how long it took.
async fn tries(clinic: &Clinic, from: &str, email: &str, password: &str) -> (u16, Duration) {
    let began = Instant::now();
    let request = clinic.service.http.post(format!("http://{}/api/v1/auth/login", clinic.service.address));
    let request =
        request.header("x-forwarded-for", from).json(&json!({ "email": email, "password": password }));
    (request.send().await.unwrap().status().as_u16(), began.elapsed())
}

#[tokio::test]
async fn nobody_shuts_others_out_by_trying_to_sign_in() {
    let clinic = behind_a_proxy().await;
    // As fast as one machine does, at names that nobody has, and gone before they are answered.
    for number in 0..400 {
        let mut stream = TcpStream::connect(clinic.service.address).await.unwrap();
        let body = json!({ "email": format!("z{number}"), "password": "x" }).to_string();
        let head = format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 198.51.100.1\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
    }
    for name in ["doctor", "patient", "admin"] {
        let (status, took) = tries(&clinic, "192.0.2.1", &email(name), PASSWORD).await;
        assert_eq!(status, 200);
        assert!(took < Duration::from_secs(4), "{name} waited {took:?}");
    }
}

#[tokio::test]
async fn a_stranger_locks_no_owner_out() {
    let clinic = behind_a_proxy().await;
    let stranger = async {
        let mut answers = vec![];
        for _ in 0..60 {
            answers.push(tries(&clinic, "198.51.100.1", &email("patient"), "a wrong password").await.0);
        }
        answers
    };
    let owner = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let (status, _) = tries(&clinic, "192.0.2.1", &email("patient"), PASSWORD).await;
            assert_eq!(status, 200);
        }
    };
    // Each guess is answered, so that what comes after the tenth waits for its turn.
    let owner = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::join!(owner, async {
            let _ = tokio::time::timeout(Duration::from_secs(8), stranger).await;
        })
    });
    owner.await.expect("the owner gets in beside the stranger");
}

#[tokio::test]
async fn registrations_keep_nobody_from_signing_in() {
    let clinic = behind_a_proxy().await;
    let register = async |number: usize| {
        let body = json!({ "email": format!("n{number}@a.example"), "password": PASSWORD, "name": "N" });
        let request =
            clinic.service.http.post(format!("http://{}/api/v1/auth/register", clinic.service.address));
        // From as many places.
        let from = format!("198.51.{}.{}", number / 250, number % 250);
        request.header("x-forwarded-for", from).json(&body).send().await.unwrap().status()
    };
    let flood = futures_util::future::join_all((0..150).map(register));
    let sign_in = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        tries(&clinic, "192.0.2.1", &email("doctor"), PASSWORD).await
    };
    let (flood, (status, took)) = tokio::join!(flood, sign_in);
    assert_eq!(status, 200);
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    let refused = flood.iter().filter(|status| **status == StatusCode::SERVICE_UNAVAILABLE).count();
    assert!(refused > 0, "those that can't be made at once are told so, and not kept waiting");
    // And of one place only so many.
    let mut answers = vec![];
    for number in 1_000..1_012 {
        let body = json!({ "email": format!("n{number}@a.example"), "password": PASSWORD, "name": "N" });
        answers.push(
            clinic.service.send(Method::POST, "/api/v1/auth/register", None, Some(body)).await.0.as_u16(),
        );
    }
    assert_eq!((answers[9], answers[11]), (201, 429), "{answers:?}");
}

#[tokio::test]
async fn silent_sockets_take_no_ones_place() {
    let clinic = clinic().await;
    let address = clinic.service.address;
    let mut silent = vec![];
    // More than there are places, all within the time that one may be silent.
    for _ in 0..21 {
        silent.extend(futures_util::future::join_all((0..100).map(|_| Socket::open(address))).await);
    }
    let began = Instant::now();
    drop(Socket::signed_in(&clinic, &clinic.doctor.token).await);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn half_a_request_is_not_waited_for() {
    let clinic = clinic().await;
    let mut halves = vec![];
    for _ in 0..30 {
        let mut stream = TcpStream::connect(clinic.service.address).await.unwrap();
        stream.write_all(b"POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        halves.push(stream);
    }
    let began = Instant::now();
    for mut half in halves {
        let mut answer = vec![];
        let read = tokio::time::timeout(Duration::from_secs(25), half.read_to_end(&mut answer)).await;
        read.expect("it is closed").unwrap();
    }
    assert!(began.elapsed() > Duration::from_secs(5), "a slow line has its time");
}

#[tokio::test]
async fn the_service_stops_beside_uploads_that_stall() {
    let mut clinic = clinic().await;
    let mut uploads = vec![];
    for _ in 0..3 {
        let mut stream = TcpStream::connect(clinic.service.address).await.unwrap();
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\nabc",
            clinic.path("/attachments?name=a"),
            clinic.patient.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        uploads.push(stream);
    }
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    socket.subscribe(&bedside_protocol::topic::session(clinic.session)).await;
    // The harness gives it ten seconds.
    clinic.service.stop().await;
    drop((uploads, socket));
}

#[tokio::test]
async fn a_database_that_somebody_holds_is_read_all_the_same() {
    let clinic = clinic().await;
    let mut backup = Outside::of(&clinic).await;
    backup.hold().await;
    let began = Instant::now();
    let (status, _) =
        clinic.service.send(Method::GET, &clinic.path(""), Some(&clinic.doctor.token), None).await;
    assert_eq!(status.as_u16(), 200);
    assert!(began.elapsed() < Duration::from_secs(2), "a look waited {:?}", began.elapsed());
    let request =
        clinic.service.http.post(format!("http://{}{}", clinic.service.address, clinic.path("/join")));
    let refused = request.bearer_auth(&clinic.patient.token).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    backup.release().await;
    let (status, _) = clinic.post(&clinic.patient, "/join", json!({})).await;
    assert_eq!(status.as_u16(), 200, "it goes on by itself");
    // What was looked at is written down, late.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let lines = backup.number("SELECT count(*) FROM audit_log WHERE action = 'SESSION_READ'").await;
        if lines == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "{lines} lines");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_socket_ends_with_its_sign_in() {
    let clinic = clinic().await;
    let socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    let idle = IDLE_FOR + jiff::SignedDuration::from_mins(1);
    let used = (jiff::Timestamp::now() - idle).as_millisecond();
    let ages =
        format!("UPDATE token_families SET last_used_at = {used} WHERE user_id = '{}'", clinic.patient.id);
    Outside::of(&clinic).await.run(ages).await;
    // It is looked every half minute.
    let end = tokio::time::timeout(Duration::from_secs(40), socket.ends()).await;
    assert_eq!(end.expect("the socket is ended").as_deref(), Some("not-signed-in"));
}

#[tokio::test]
async fn a_database_of_a_later_version_is_left_alone_in_words() {
    let mut clinic = clinic().await;
    clinic.service.stop().await;
    let mut database = Outside::of(&clinic).await;
    database
        .run(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 9999, 'later', TRUE, checksum, 0 FROM _sqlx_migrations WHERE version = 12",
        )
        .await;
    let refused = App::open(clinic.service.config.clone(), None).await.err().unwrap().to_string();
    assert!(refused.contains("newer version"), "{refused}");
}
