//! Bodies of requests: any bytes, read as each of them; what was read is written and read again as the same.
#![no_main]

use bedside_protocol::{
    CreateAppointmentRequest, CreateLinkRequest, CreateScheduleRequest, CreateSessionRequest, DeviceCheckReport,
    FeedbackRequest, InstantSessionRequest, IssueRequest, JoinRequest, LeaveRequest, NotesRequest, QualityReport,
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fn read<T: DeserializeOwned + Serialize>(body: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(body) else { return };
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("and read");
    assert_eq!(written, serde_json::to_vec(&again).expect("and written"));
}

fuzz_target!(|body: &[u8]| {
    let (kind, body) = body.split_first().map_or((0, body), |(kind, body)| (*kind, body));
    match kind % 12 {
        0 => read::<CreateAppointmentRequest>(body),
        1 => read::<JoinRequest>(body),
        2 => read::<FeedbackRequest>(body),
        3 => read::<QualityReport>(body),
        4 => read::<DeviceCheckReport>(body),
        5 => read::<CreateSessionRequest>(body),
        6 => read::<InstantSessionRequest>(body),
        7 => read::<IssueRequest>(body),
        8 => read::<LeaveRequest>(body),
        9 => read::<NotesRequest>(body),
        10 => read::<CreateScheduleRequest>(body),
        _ => read::<CreateLinkRequest>(body),
    }
});
