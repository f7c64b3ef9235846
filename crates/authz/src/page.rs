//! The table as a page.

use bedside_protocol::{Party, Role};

use crate::{Action, Who, decide};

/// Its columns: who asks, with their role and their side of the visit.
const COLUMNS: [(&str, Role, Option<Party>); 8] = [
    ("a visit’s patient", Role::Patient, Some(Party::Patient)),
    ("its doctor", Role::Doctor, Some(Party::Doctor)),
    ("another patient", Role::Patient, None),
    ("another doctor", Role::Doctor, None),
    ("an administrator", Role::ClinicAdmin, None),
    ("a guest in it", Role::Guest, Some(Party::Patient)),
    ("a kiosk", Role::Kiosk, None),
    ("another system", Role::Service, None),
];

const INTRODUCTION: &str = "# Who may do what

Written by `cargo xtask bindings` from `crates/authz`, by which the service decides and against which every route is \
tried (`crates/service/tests/api/authorisation.rs`). Whether the state of a visit allows it is another question, and \
whose clinic it is of (`authz::Reach`) a third: of several that share a service none reaches what is another's.
";

/// `docs/who-may-do-what.md`, in Markdown.
pub fn page() -> String {
    let names = COLUMNS.map(|(name, ..)| name);
    let mut lines = vec![
        INTRODUCTION.to_owned(),
        row(&["", "nobody signed in"], &names),
        format!("|{}", "---|".repeat(COLUMNS.len() + 2)),
    ];
    for &action in Action::ALL {
        let mark = |may: bool| if may { "yes" } else { "" };
        let anybody = mark(action.who() == Who::Anybody);
        let marks = COLUMNS.map(|(_, role, side)| mark(decide(action, role, side).is_ok()));
        lines.push(row(&[action.says(), anybody], &marks));
    }
    lines.join("\n") + "\n"
}

fn row(first: &[&str], others: &[&str]) -> String {
    format!("| {} | {} |", first.join(" | "), others.join(" | "))
}
