//! What every route may refuse, told once: the document has it without each of them saying so.

use bedside_authz::Who;
use bedside_protocol::{Code, Problem};
use utoipa::{
    ToSchema,
    openapi::{
        Content, ObjectBuilder, OpenApi, Ref, RefOr, Required, Type,
        path::{Operation, ParameterIn},
        response::Response,
    },
};

use super::ROUTES;

/// Routes whose body is a choice: without it, they do what is usual.
const MAY_BE_LEFT_OUT: [&str; 2] = ["/join", "/leave"];

/// How many roles there are: what is open to all of them is closed to none.
const ROLES: usize = 6;
/// The media type of a problem (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// Adds to every operation what its kind may be refused by, and says of every refusal what it is.
pub(super) fn complete(document: &mut OpenApi) {
    // The derive does not see the names on the wire, as a macro writes them.
    let codes = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(Code::ALL.iter().map(|code| code.as_str())))
        .build();
    if let Some(components) = &mut document.components {
        components.schemas.insert(Code::name().into_owned(), codes.into());
    }
    for (path, item) in &mut document.paths.paths {
        let changes = [
            ("post", &mut item.post),
            ("put", &mut item.put),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in changes {
            if let Some(operation) = operation {
                refuse(operation, &[Code::Unavailable]);
                common(operation, method, path);
            }
        }
        if let Some(operation) = &mut item.get {
            common(operation, "get", path);
        }
    }
}

fn common(operation: &mut Operation, method: &str, path: &str) {
    let route = ROUTES.iter().find(|route| route.method == method && route.path == path);
    if let Some(Who::These { roles, sides }) = route.map(|route| route.action.who()) {
        if !sides.is_empty() {
            refuse(operation, &[Code::NotAParticipant]);
        }
        if roles.len() < ROLES && (sides.is_empty() || sides.len() == 1) {
            refuse(operation, &[Code::Forbidden]);
        }
    }
    if operation.security.as_ref().is_some_and(|security| !security.is_empty()) {
        // A look is written down, and is refused where it can't be.
        refuse(operation, &[Code::NotSignedIn, Code::Unavailable]);
    }
    if path.contains('{') {
        refuse(operation, &[Code::NotFound]);
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body
        && MAY_BE_LEFT_OUT.iter().any(|end| path.ends_with(end))
    {
        body.required = Some(Required::False);
    }
    if operation.request_body.is_some() {
        refuse(operation, &[Code::TooSlow, Code::TooLarge, Code::Invalid]);
    }
    let has_query = operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
        RefOr::Ref(_) => false,
    });
    if has_query {
        refuse(operation, &[Code::Invalid]);
    }
    if path.starts_with("/api/") {
        refuse(operation, &[Code::Internal]);
    }
    let schema = RefOr::Ref(Ref::from_schema_name(Problem::name()));
    for (status, response) in &mut operation.responses.responses {
        if let (Some('4' | '5'), RefOr::T(response)) = (status.chars().next(), response)
            && path.starts_with("/api/")
        {
            response.content.clear();
            response.content.insert(PROBLEM.to_owned(), RefOr::T(Content::new(Some(schema.clone()))));
        }
    }
}

fn refuse(operation: &mut Operation, codes: &[Code]) {
    for code in codes {
        let responses = &mut operation.responses.responses;
        let there = responses.entry(code.status().to_string()).or_insert_with(|| RefOr::T(Response::new("")));
        let RefOr::T(there) = there else { continue };
        let is_said = there.description.split([' ', ',', ':']).any(|word| word == code.as_str());
        if !is_said {
            let separator = if there.description.is_empty() { "" } else { ", " };
            there.description = format!("{}{separator}{}", there.description, code.as_str());
        }
    }
}
