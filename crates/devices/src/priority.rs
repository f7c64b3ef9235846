//! Who waits where there are too few cores: pictures may be late, sound may not.

/// A low real-time priority: above everything ordinary, below a sound server's own threads (5 and
/// more), which feed on what these make.
#[cfg(target_os = "linux")]
const REAL_TIME: libc::c_int = 3;

/// Makes the calling thread wait for others.
pub fn yield_to_sound() {
    #[cfg(target_os = "linux")]
    // SAFETY: takes numbers only; 0 is the calling thread. A refusal changes nothing.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 5);
    }
}

/// Makes the calling thread run before others, where the system grants that: to whoever may use
/// real-time scheduling (`RLIMIT_RTPRIO`, which desktops with PipeWire or a realtime group set).
/// For threads that work for a millisecond at a time and then sleep. Gives whether it was granted.
pub fn run_before_others() -> bool {
    #[cfg(target_os = "linux")]
    {
        let wanted = libc::sched_param { sched_priority: REAL_TIME };
        // SAFETY: `wanted` outlives the call; 0 is the calling thread. A refusal changes nothing.
        unsafe {
            libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &raw const wanted) == 0
        }
    }
    #[cfg(not(target_os = "linux"))]
    false
}
