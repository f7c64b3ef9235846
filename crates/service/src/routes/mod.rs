//! REST: one file for each topic, every handler checked by role and by relation.

mod access;
mod actions;
mod appointments;
mod asyncapi;
mod audit;
mod auth;
mod chat;
mod consultations;
mod device_checks;
mod extract;
mod notes;
mod practice;
mod quality;
mod records;
mod refusals;
mod system;
mod users;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use bedside_protocol::Code;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::CorsLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::TraceLayer,
};
use tracing::Instrument;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{app::Shared, error::ApiError, realtime, telemetry};

/// Where device checks are read; what follows is a code.
const DEVICE_CHECKS: &str = "/api/v1/device-checks";
/// Largest JSON body: the longest message in its escapes fits several times.
const MAX_JSON_BYTES: usize = 64 * 1024;

#[derive(OpenApi)]
#[openapi(
    info(title = "Bedside consultation service", description = "Visits between doctors and patients. Realtime messages are described in docs/protocol.md."),
    modifiers(&Bearer),
    components(schemas(bedside_protocol::Problem)),
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        openapi.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

fn api() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(auth::register))
        .routes(routes!(auth::login))
        .routes(routes!(auth::open_link))
        .routes(routes!(auth::request_reset))
        .routes(routes!(auth::reset_password))
        .routes(routes!(auth::confirm_address))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::me))
        .routes(routes!(auth::change_password))
        .routes(routes!(auth::sign_ins))
        .routes(routes!(auth::end_sign_in))
        .routes(routes!(users::list_users, users::create_user))
        .routes(routes!(users::profile, users::change_me))
        .routes(routes!(users::list_notifications))
        .routes(routes!(appointments::create_appointment, appointments::list_appointments))
        .routes(routes!(appointments::get_appointment, appointments::change_appointment))
        .routes(routes!(appointments::cancel_appointment))
        .routes(routes!(appointments::verify_payment))
        .routes(routes!(access::check_in_at_desk))
        .routes(routes!(access::create_link, access::list_links))
        .routes(routes!(access::end_link))
        .routes(routes!(access::check_in))
        .routes(routes!(appointments::retry_session))
        .routes(routes!(appointments::instant_session))
        .routes(routes!(appointments::list_doctors))
        .routes(routes!(appointments::get_availability, appointments::put_availability))
        .routes(routes!(consultations::create_session, consultations::list_sessions))
        .routes(routes!(consultations::get_session))
        .routes(routes!(consultations::join))
        .routes(routes!(consultations::admit))
        .routes(routes!(consultations::leave))
        .routes(routes!(consultations::decline))
        .routes(routes!(consultations::end))
        .routes(routes!(consultations::pause))
        .routes(routes!(consultations::resume))
        .routes(routes!(consultations::cancel))
        .routes(routes!(consultations::recall))
        .routes(routes!(consultations::summary))
        .routes(routes!(consultations::submit_feedback, consultations::get_feedback))
        .routes(routes!(consultations::history))
        .routes(routes!(notes::get_notes, notes::put_notes))
        .routes(routes!(notes::put_prescription))
        .routes(routes!(records::fhir))
        .routes(routes!(notes::list_issues, notes::report_issue))
        .routes(routes!(notes::answer_feedback))
        .routes(routes!(notes::feedback_of_doctor))
        .routes(routes!(notes::get_pricing, notes::put_pricing))
        .routes(routes!(practice::create_schedule, practice::list_schedules))
        .routes(routes!(practice::get_schedule))
        .routes(routes!(practice::start))
        .routes(routes!(practice::end))
        .routes(routes!(practice::get_queue, practice::join_queue))
        .routes(routes!(practice::leave_queue))
        .routes(routes!(practice::set_ready))
        .routes(routes!(practice::invite))
        .routes(routes!(practice::reset))
        .routes(routes!(practice::pending_invitations))
        .routes(routes!(practice::get_invitation))
        .routes(routes!(practice::confirm_invitation))
        .routes(routes!(practice::decline_invitation))
        .routes(routes!(practice::end_invitation))
        .routes(routes!(quality::report_quality, quality::quality_of_visit))
        .routes(routes!(device_checks::ice_servers))
        .routes(routes!(device_checks::keep_device_check))
        .routes(routes!(device_checks::device_check))
        .routes(routes!(chat::chat_page))
        .routes(routes!(chat::delete_message))
        .routes(routes!(chat::download))
        .routes(routes!(chat::thumbnail))
        .routes(routes!(chat::view_image))
        .routes(routes!(records::participants))
        .routes(routes!(records::events))
        .routes(routes!(audit::audit_log))
        .routes(routes!(system::health))
        .routes(routes!(system::ready))
        .routes(routes!(system::clinic))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        // Files have a limit of their own.
        .routes(routes!(chat::upload))
        .routes(routes!(chat::share_image, chat::list_images))
}

pub use actions::{ROUTES, Route};
pub use asyncapi::asyncapi;
pub(crate) use extract::bearer;

/// The OpenAPI document, as served at `/api/v1/openapi.json`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = api().into_openapi();
    refusals::complete(&mut document);
    document
}

/// Everything the service answers.
pub(crate) fn router(app: Shared) -> Router {
    let (router, _) = api().split_for_parts();
    let (document, messages) = (Arc::new(openapi()), Arc::new(asyncapi()));
    let (prefix, cors) = (app.config.path_prefix.clone(), cors(&app.config.cors_origins));
    let router = router
        .route(
            "/api/v1/openapi.json",
            axum::routing::get(move || async move { axum::Json(document.as_ref().clone()) }),
        )
        .route(
            "/api/v1/asyncapi.json",
            axum::routing::get(move || async move { axum::Json(messages.as_ref().clone()) }),
        )
        .merge(docs())
        .route(bedside_protocol::WEBSOCKET_PATH, axum::routing::any(realtime::upgrade))
        .fallback(|| async { ApiError::from(Code::NotFound) })
        .method_not_allowed_fallback(|| async { ApiError::from(Code::MethodNotAllowed) })
        .with_state(app.clone())
        .layer(middleware::from_fn_with_state(app, detach))
        .layer(middleware::from_fn(harden))
        .layer(cors)
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            ApiError::from(Code::Internal).into_response()
        }))
        .layer(
            TraceLayer::new_for_http()
                // The path holds only ids, but for the code of a device check; the query and the headers are
                // left out.
                .make_span_with(|request: &Request| {
                    let path = request.uri().path();
                    let path = if path.starts_with(DEVICE_CHECKS) { DEVICE_CHECKS } else { path };
                    let id =
                        request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
                    tracing::info_span!("http", method = %request.method(), path, request = id)
                })
                .on_response(|response: &Response, took: Duration, _: &tracing::Span| {
                    tracing::info!(
                        status = response.status().as_u16(),
                        ms = took.as_millis() as u64,
                        "answered"
                    );
                }),
        )
        .layer(middleware::from_fn(telemetry::count_request))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid));
    // Whether or not what stands in front of it takes its path off.
    match prefix {
        Some(prefix) => router.clone().nest(&prefix, router),
        None => router,
    }
}

/// The routes to read and try, at `/docs`. Its page is its own: nothing of it comes from elsewhere.
fn docs() -> Router<Shared> {
    // As the page sees it, under whatever path it is.
    let page = SwaggerUi::new("/docs").config(Config::from("../api/v1/openapi.json"));
    Router::from(page).layer(middleware::map_response(|mut response: Response| async move {
        let policy = HeaderValue::from_static(
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
        );
        response.headers_mut().insert("content-security-policy", policy);
        response
    }))
}

/// By which a line of the log is found that belongs to an answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Lets pages of these origins ask, and read what we say beside an answer. Who asks says so by their token, never by a
/// cookie.
fn cors(origins: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> =
        origins.iter().filter_map(|origin| origin.trim_end_matches('/').parse().ok()).collect();
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([header::LINK, header::RETRY_AFTER, header::WWW_AUTHENTICATE, REQUEST_ID])
        .max_age(CORS_KEPT_FOR)
}

/// How long a browser remembers what it may ask.
const CORS_KEPT_FOR: Duration = Duration::from_secs(600);

/// Whoever asks for a change and hangs up has asked for it all the same: it is made to its end. What only looks ends
/// with its caller.
async fn detach(State(app): State<Shared>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let change = app.changes.spawn(next.run(request).in_current_span());
    change.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a change was broken off");
        ApiError::from(Code::Internal).into_response()
    })
}

/// Headers that every answer carries: nothing here is for a cache, a frame or a guess.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("content-security-policy"), "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Where the next page of a list is, where there is one (RFC 8288): after `last`, and of what was asked for. The values
/// are as they stand in an address, which is that of the list itself: wherever a proxy has put it.
fn next_page<const N: usize>(
    last: Option<String>,
    limit: u32,
    asked: [(&str, Option<String>); N],
) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::new();
    if let Some(last) = last {
        let mut url = format!("?after={last}&limit={limit}");
        for (name, value) in asked {
            if let Some(value) = value {
                url.extend(["&", name, "=", &value]);
            }
        }
        let next = format!("<{url}>; rel=\"next\"");
        headers.insert(header::LINK, next.parse().map_err(|_| ApiError::from(Code::Internal))?);
    }
    Ok(headers)
}

/// The wire name of an enum.
fn wire_name(value: impl serde::Serialize) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}

/// How many are on a page: as many as are asked for, of what is usual and the most.
fn page_limit(asked: Option<u32>, (usual, most): (u32, u32)) -> Result<u32, ApiError> {
    let limit = asked.unwrap_or(usual);
    if !(1..=most).contains(&limit) {
        return Err(ApiError::new(Code::Invalid, format!("limit is from 1 to {most}")));
    }
    Ok(limit)
}
