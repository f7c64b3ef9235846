//! The desktop shell: a window, and the lines between its page and the client. It binds and
//! never decides.

pub mod commands;
mod running;
mod shell;
pub mod told;

pub use shell::run;
