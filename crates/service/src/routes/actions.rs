//! What each route asks for, by the table of who may do what.

use bedside_authz::Action;

/// A route and what it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// In lower case, as OpenAPI has it.
    pub method: &'static str,
    /// With its parameters in braces.
    pub path: &'static str,
    /// What whoever asks it wants to do.
    pub action: Action,
}

const fn route(method: &'static str, path: &'static str, action: Action) -> Route {
    Route { method, path, action }
}

/// Every route of the service.
pub const ROUTES: &[Route] = &[
    route("get", "/health", Action::AskForService),
    route("get", "/ready", Action::AskForService),
    route("get", "/api/v1/clinic", Action::AskForService),
    route("post", "/api/v1/auth/register", Action::Register),
    route("post", "/api/v1/auth/login", Action::SignIn),
    route("post", "/api/v1/auth/refresh", Action::SignIn),
    route("post", "/api/v1/auth/logout", Action::SignIn),
    route("get", "/api/v1/auth/me", Action::KeepOwnAccount),
    route("post", "/api/v1/auth/password", Action::KeepOwnAccount),
    route("get", "/api/v1/auth/sessions", Action::KeepOwnAccount),
    route("delete", "/api/v1/auth/sessions/{id}", Action::KeepOwnAccount),
    route("get", "/api/v1/users", Action::FindPeople),
    route("patch", "/api/v1/users/me", Action::KeepOwnAccount),
    route("get", "/api/v1/ice-servers", Action::TryRelay),
    route("post", "/api/v1/device-checks", Action::KeepDeviceCheck),
    route("get", "/api/v1/device-checks/{code}", Action::ReadDeviceCheck),
    route("get", "/api/v1/audit", Action::ReadAudit),
    route("post", "/api/v1/appointments", Action::MakeAppointment),
    route("get", "/api/v1/appointments", Action::ListAppointments),
    route("get", "/api/v1/appointments/{id}", Action::ReadAppointment),
    route("patch", "/api/v1/appointments/{id}", Action::ChangeAppointment),
    route("post", "/api/v1/appointments/{id}/cancel", Action::CancelAppointment),
    route("post", "/api/v1/appointments/{id}/verify-payment", Action::VerifyPayment),
    route("post", "/api/v1/appointments/{id}/retry-session", Action::MakeVisit),
    route("post", "/api/v1/consultations/sessions/instant", Action::MakeInstantVisit),
    route("get", "/api/v1/doctors", Action::SeeDoctors),
    route("get", "/api/v1/doctors/{id}/availability", Action::SeeDoctors),
    route("put", "/api/v1/doctors/{id}/availability", Action::KeepAvailability),
    route("get", "/api/v1/doctors/{id}/feedback", Action::ReadDoctorsFeedback),
    route("get", "/api/v1/doctors/{id}/pricing/{mode}", Action::SeePricing),
    route("put", "/api/v1/doctors/{id}/pricing/{mode}", Action::SetPricing),
    route("post", "/api/v1/schedules", Action::MakeSchedule),
    route("get", "/api/v1/schedules", Action::SeeSchedules),
    route("get", "/api/v1/schedules/{id}", Action::SeeSchedules),
    route("post", "/api/v1/schedules/{id}/start", Action::RunSchedule),
    route("post", "/api/v1/schedules/{id}/end", Action::RunSchedule),
    route("get", "/api/v1/schedules/{id}/queue", Action::SeeSchedules),
    route("post", "/api/v1/schedules/{id}/queue", Action::JoinQueue),
    route("delete", "/api/v1/schedules/{id}/queue/me", Action::KeepOwnPlace),
    route("post", "/api/v1/schedules/{id}/queue/me/ready", Action::KeepOwnPlace),
    route("post", "/api/v1/schedules/{id}/queue/{patient}/reset", Action::RunSchedule),
    route("post", "/api/v1/schedules/{id}/invitations", Action::RunSchedule),
    route("get", "/api/v1/invitations/pending", Action::ListOwnInvitations),
    route("get", "/api/v1/invitations/{id}", Action::SeeInvitation),
    route("post", "/api/v1/invitations/{id}/confirm", Action::AnswerInvitation),
    route("post", "/api/v1/invitations/{id}/decline", Action::AnswerInvitation),
    route("post", "/api/v1/invitations/{id}/end", Action::EndInvitation),
    route("post", "/api/v1/consultations/sessions", Action::MakeVisit),
    route("get", "/api/v1/consultations/sessions", Action::ListOwnVisits),
    route("get", "/api/v1/consultations/history", Action::ListOwnVisits),
    route("get", "/api/v1/consultations/sessions/{id}", Action::ReadVisit),
    route("post", "/api/v1/consultations/sessions/{id}/join", Action::Join),
    route("post", "/api/v1/consultations/sessions/{id}/leave", Action::Leave),
    route("post", "/api/v1/consultations/sessions/{id}/admit", Action::Admit),
    route("post", "/api/v1/consultations/sessions/{id}/pause", Action::Hold),
    route("post", "/api/v1/consultations/sessions/{id}/resume", Action::Hold),
    route("post", "/api/v1/consultations/sessions/{id}/end", Action::End),
    route("post", "/api/v1/consultations/sessions/{id}/recall", Action::Recall),
    route("post", "/api/v1/consultations/sessions/{id}/decline", Action::Decline),
    route("post", "/api/v1/consultations/sessions/{id}/cancel", Action::Cancel),
    route("get", "/api/v1/consultations/sessions/{id}/chat", Action::Chat),
    route("post", "/api/v1/consultations/sessions/{id}/attachments", Action::Files),
    route("get", "/api/v1/consultations/sessions/{id}/attachments/{attachment}", Action::Files),
    route("post", "/api/v1/consultations/sessions/{id}/quality", Action::Quality),
    route("get", "/api/v1/consultations/sessions/{id}/quality", Action::Quality),
    route("get", "/api/v1/consultations/sessions/{id}/summary", Action::ReadSummary),
    route("post", "/api/v1/consultations/sessions/{id}/feedback", Action::GiveFeedback),
    route("get", "/api/v1/consultations/sessions/{id}/feedback", Action::ReadFeedback),
    route("post", "/api/v1/consultations/sessions/{id}/feedback/response", Action::AnswerFeedback),
    route("get", "/api/v1/consultations/sessions/{id}/notes", Action::KeepNotes),
    route("put", "/api/v1/consultations/sessions/{id}/notes", Action::KeepNotes),
    route("get", "/api/v1/consultations/sessions/{id}/issues", Action::ReportIssues),
    route("post", "/api/v1/consultations/sessions/{id}/issues", Action::ReportIssues),
];
