//! A caller who hangs up in the middle leaves no half of a change: it is made, written down and told, or it is not.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bedside_protocol::{ConsultationMode, CreateAppointmentRequest, ServerMessage, SessionId, topic};
use bedside_service::App;
use jiff::Timestamp;
use reqwest::Method;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    common::{Clinic, Person, clinic},
    database::Outside,
    sockets::Socket,
};

/// Visits of the two, beside the one that they have.
pub(crate) async fn visits(clinic: &Clinic, count: usize) -> Vec<SessionId> {
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let mut unit = app.store.begin(Timestamp::now()).await.unwrap();
    let mut visits = vec![];
    for _ in 0..count {
        let (start, mode) = (Timestamp::now(), ConsultationMode::Video);
        let request = CreateAppointmentRequest::in_a_call(clinic.patient.id, start, 15, mode);
        let appointment = unit.add_appointment(&request, clinic.doctor.id).await.unwrap();
        visits.push(unit.session_for(appointment).await.unwrap().unwrap().id);
    }
    unit.commit().await.unwrap();
    app.store.close().await;
    visits
}

/// Asks for something, and is gone this long after that.
async fn ask_and_hang_up(clinic: &Clinic, who: &Person, path: &str, after: Duration) {
    let mut stream = TcpStream::connect(clinic.service.address).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\n\r\n",
        who.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(after).await;
    // With a reset, as of an application that is killed.
    stream.set_zero_linger().unwrap();
}

/// Every visit that the socket is told has been called in.
async fn told(mut socket: Socket, told: Arc<Mutex<HashSet<SessionId>>>) {
    loop {
        let Ok(ServerMessage::SessionStatus(session)) = serde_json::from_str(&socket.frame().await.body)
        else {
            continue;
        };
        if session.admitted {
            told.lock().unwrap().insert(session.session_id);
        }
    }
}

#[tokio::test]
async fn what_was_done_is_written_down_and_told() {
    let clinic = clinic().await;
    let visits = visits(&clinic, 24).await;
    let path = |visit: SessionId, act: &str| format!("/api/v1/consultations/sessions/{visit}/{act}");
    for &visit in &visits {
        let token = Some(clinic.patient.token.as_str());
        let (status, _) = clinic.service.send(Method::POST, &path(visit, "join"), token, None).await;
        assert_eq!(status.as_u16(), 200);
    }
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    socket.subscribe(topic::NOTIFICATIONS).await;
    let heard = Arc::new(Mutex::new(HashSet::new()));
    let listening = tokio::spawn(told(socket, heard.clone()));
    for (number, &visit) in visits.iter().enumerate() {
        // From before the request is read until after it is answered.
        let after = Duration::from_micros(500 * number as u64);
        ask_and_hang_up(&clinic, &clinic.doctor, &path(visit, "admit"), after).await;
    }
    let mut database = Outside::of(&clinic).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        // In one statement: the last of them may be made while this looks.
        let admitted = "SELECT id || ' ' || (SELECT count(*) FROM audit_log WHERE action = 'SESSION_ADMITTED'
             AND session_id = s.id) FROM consultation_sessions s WHERE admitted";
        let rows = database.texts(admitted).await;
        assert!(rows.iter().all(|row| row.ends_with(" 1")), "each has its line in the audit log: {rows:?}");
        let id = |row: &String| row.split(' ').next().unwrap().parse().unwrap();
        let unheard = rows.iter().filter(|row| !heard.lock().unwrap().contains(&id(row))).count();
        if rows.len() > 8 && unheard == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{} were called in, and {unheard} of them not told", rows.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    listening.abort();
}
