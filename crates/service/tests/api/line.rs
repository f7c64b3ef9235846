//! A doctor's line: everybody hears of their own place when it changes, and of nobody else's.

use bedside_protocol::{ServerMessage, Session, SessionId, topic};
use reqwest::Method;

use crate::{
    common::{Clinic, clinic},
    hang_up::visits,
    sockets::Socket,
};

const WAITING: usize = 40;

async fn act(clinic: &Clinic, visit: SessionId, act: &str) {
    let path = format!("/api/v1/consultations/sessions/{visit}/{act}");
    let (status, answer) = clinic.service.send(Method::POST, &path, Some(&clinic.patient.token), None).await;
    assert_eq!(status.as_u16(), 200, "{answer}");
}

/// The next session that is told of.
async fn next(socket: &mut Socket) -> Session {
    loop {
        if let Ok(ServerMessage::SessionStatus(session)) = serde_json::from_str(&socket.frame().await.body) {
            return *session;
        }
    }
}

#[tokio::test]
async fn a_morning_of_patients_is_a_message_each() {
    let clinic = clinic().await;
    let visits = visits(&clinic, WAITING).await;
    let mut doctor = Socket::signed_in(&clinic, &clinic.doctor.token).await;
    doctor.subscribe(topic::NOTIFICATIONS).await;
    let mut told = 0;
    for (number, &visit) in visits.iter().enumerate() {
        act(&clinic, visit, "join").await;
        loop {
            let session = next(&mut doctor).await;
            told += 1;
            if session.session_id == visit {
                assert_eq!(session.place_in_line.map(|place| place as usize), Some(number + 1));
                break;
            }
        }
    }
    assert_eq!(told, WAITING, "nobody's place changes when somebody comes behind them");
    // The first leaves, and all move up.
    act(&clinic, visits[0], "leave").await;
    let mut moved = std::collections::HashMap::new();
    while moved.len() < WAITING {
        let session = next(&mut doctor).await;
        moved.insert(session.session_id, session.place_in_line);
    }
    assert_eq!(moved[&visits[0]], None);
    for (place, visit) in (1..).zip(&visits[1..]) {
        assert_eq!(moved[visit], Some(place));
    }
}

#[tokio::test]
async fn coming_visits_come_in_pages() {
    let clinic = clinic().await;
    let mut expected = visits(&clinic, 7).await;
    expected.insert(0, clinic.session);
    let mut found = vec![];
    let mut path = "/api/v1/consultations/sessions?limit=3".to_owned();
    loop {
        let request = clinic.service.http.get(format!("http://{}{path}", clinic.service.address));
        let response = request.bearer_auth(&clinic.doctor.token).send().await.unwrap();
        let next = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let page: Vec<Session> = response.json().await.unwrap();
        assert!(page.len() <= 3);
        found.extend(page.into_iter().map(|session| session.session_id));
        match next {
            Some(link) => {
                let query = link[1..].split_once(">; rel=\"next\"").unwrap().0;
                path = format!("/api/v1/consultations/sessions{query}");
            }
            None => break,
        }
    }
    assert_eq!(found, expected);
}
