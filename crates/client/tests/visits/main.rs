//! Visits of two clients over a real service, a behaviour to each file. One program: each of its own would be
//! built and linked with the whole client and service.

mod calling_in;
mod closing;
mod direct_way;
mod endings;
mod in_the_dark;
mod measured;
mod network_break;
mod renewal;
mod sound_only;
mod support;
mod two_devices;
mod whole_visit;
