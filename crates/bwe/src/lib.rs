//! Congestion control: what the network carries, and who may use it. Pure: no I/O, no clock; time
//! is an argument.
//!
//! ```text
//!  transport-wide feedback ─▶ Estimator ─▶ target ─▶ allocate ─▶ encoders
//!                              │  │  │
//!        QueueDelay, Trendline ┘  │  └ LossModel        target, probes ─▶ Pacer ─▶ network
//!          └▶ RateControl         └ Throughput, Probing
//! ```
//!
//! The outline is Google congestion control (draft-ietf-rmcat-gcc-02) as it is run today: a
//! trendline over the one-way delay, additive and multiplicative steps around the throughput that
//! was acknowledged, a model of loss that tells the path's own from what is caused by sending too
//! much, and probes. It differs where calls live on less than 500 kbit/s; each difference is said
//! where it is made.

pub mod allocator;
mod estimator;
pub mod ladder;
mod loss;
mod pacer;
mod probe;
mod queue_delay;
mod rate_control;
mod throughput;
mod trendline;
mod units;

pub use allocator::{Allocation, Demand, allocate};
pub use estimator::{Config, Estimate, Estimator, LinkStatus, PacketResult};
pub use ladder::{Ladder, Step};
pub use pacer::{Pacer, Priority, Queued, Release};
pub use probe::{ProbeCluster, ProbePlan};
pub use units::{Bitrate, DataSize};
