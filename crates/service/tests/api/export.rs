//! A visit as other clinical systems read it, read by a reader of FHIR that is not ours (PyPI's `fhir.resources`).

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    common::{Clinic, Person, clinic},
    records::{picture, upload, write},
};

/// Where the reader is, where it is not in the project's own environment of tools.
const PYTHON: &str = "BEDSIDE_TEST_PYTHON";
const READ: &str = "import sys; from fhir.resources.R4B.bundle import Bundle
bundle = Bundle.model_validate_json(sys.stdin.read())
print(' '.join(entry.resource.get_resource_type() for entry in bundle.entry))";

/// The kinds of what is in a bundle, as the reader has them.
fn read(bundle: &str) -> String {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin/python");
    let python = std::env::var_os(PYTHON).map_or_else(own, PathBuf::from);
    let mut reader = Command::new(python)
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`cargo xtask test` installs it");
    reader.stdin.take().unwrap().write_all(bundle.as_bytes()).unwrap();
    let done = reader.wait_with_output().unwrap();
    assert!(done.status.success(), "{}\n{bundle}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

async fn bundle(clinic: &Clinic, who: &Person) -> String {
    let url = format!("http://{}{}", clinic.service.address, clinic.path("/fhir"));
    let answer = clinic.service.http.get(url).bearer_auth(&who.token).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/fhir+json");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn all_of_a_visit_is_taken_along() {
    let clinic = clinic().await;
    let early = bundle(&clinic, &clinic.patient).await;
    assert_eq!(read(&early), "Patient Practitioner Appointment Encounter");
    clinic.in_the_call().await;
    write(&clinic, &clinic.patient, "It itches.", None).await;
    let (_, file) = upload(&clinic, &clinic.patient, "/attachments?name=arm.png", picture()).await;
    write(&clinic, &clinic.patient, "", Some(&file["attachmentId"])).await;
    let notes = Some(json!({ "notes": "Eczema. Keep it dry." }));
    let put =
        clinic.service.send(Method::PUT, &clinic.path("/notes"), Some(&clinic.doctor.token), notes).await;
    assert_eq!(put.0, 200);
    clinic.post(&clinic.doctor, "/end", json!({})).await;

    let of_doctor = bundle(&clinic, &clinic.doctor).await;
    let kinds = "Patient Practitioner Appointment Encounter Communication Communication";
    assert_eq!(read(&of_doctor), format!("{kinds} DocumentReference"));
    let of_patient = bundle(&clinic, &clinic.patient).await;
    assert_eq!(read(&of_patient), kinds, "the notes are the doctor's");
    assert!(of_patient.contains("It itches."));

    let parsed: Value = serde_json::from_str(&of_doctor).unwrap();
    assert!(parsed["entry"].as_array().unwrap().iter().all(|entry| entry["fullUrl"].is_string()), "{parsed}");
    let parsed: Value = serde_json::from_str(&of_patient).unwrap();
    let resource = |at: usize| &parsed["entry"][at]["resource"];
    assert_eq!((&resource(2)["status"], &resource(3)["status"]), (&json!("fulfilled"), &json!("finished")));
    let encounter = resource(3);
    assert_eq!(encounter["subject"]["reference"], parsed["entry"][0]["fullUrl"]);
    assert_eq!(encounter["participant"][0]["individual"]["reference"], parsed["entry"][1]["fullUrl"]);
    assert_eq!(encounter["appointment"][0]["reference"], parsed["entry"][2]["fullUrl"]);
    assert!(
        encounter["period"]["end"].is_string() && encounter["length"]["value"].is_number(),
        "{encounter}"
    );
    assert_eq!(resource(5)["payload"][0]["contentAttachment"]["contentType"], "image/png");
}
