//! What this process has used so far, as the kernel counts it.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// CPU seconds of all threads, user and system.
pub fn cpu_seconds() -> f64 {
    seconds(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// CPU seconds of the thread that calls this.
pub fn thread_cpu_seconds() -> f64 {
    seconds(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn seconds(clock: ClockId) -> f64 {
    clock_gettime(clock).map_or(0.0, |t| Duration::from(t).as_secs_f64())
}

/// Processes that wanted a core during the last minute, on average; `None` where the kernel does not tell.
pub fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The most memory that was resident at once, in MiB.
pub fn peak_memory_mib() -> f64 {
    let kib = status("VmHWM:").unwrap_or(0) as f64;
    (kib / 1024.0 * 10.0).round() / 10.0
}

/// Memory that is resident now, in bytes; `None` where the kernel does not tell.
pub fn memory_bytes() -> Option<u64> {
    Some(1024 * status("VmRSS:")?)
}

/// Threads that there are now; `None` where the kernel does not tell.
pub fn threads() -> Option<u64> {
    status("Threads:")
}

/// Files, sockets and the like that are open now; `None` where the kernel does not tell.
pub fn open_files() -> Option<u64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

/// A number of `/proc/self/status` (proc(5)), without its unit.
fn status(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}

/// When this process was started (to 10 ms), so that loading its libraries counts as well. Now, where that is not known.
pub fn process_start() -> Instant {
    let now = Instant::now();
    age().and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

fn age() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold blanks; the start time is field 22, the 20th behind it (proc(5)).
    let ticks: u64 = stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()?? as u64;
    let up = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?);
    up.checked_sub(Duration::from_millis(ticks * 1000 / per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_up_as_cpu_time_and_memory_as_memory() {
        let before = cpu_seconds();
        let mut sum = 0_u64;
        while cpu_seconds() - before < 0.02 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(peak_memory_mib() > 1.0);
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20 && bytes as f64 / 1_048_576.0 < peak_memory_mib() + 1.0));
        assert!(threads().is_some_and(|n| n >= 1) && open_files().is_some_and(|n| n >= 3));
    }

    #[test]
    fn the_time_of_one_thread_is_no_more_than_that_of_all() {
        let (own, all) = (thread_cpu_seconds(), cpu_seconds());
        let other = std::thread::spawn(|| {
            let begin = thread_cpu_seconds();
            while thread_cpu_seconds() - begin < 0.02 {}
        });
        other.join().unwrap();
        let (own, all) = (thread_cpu_seconds() - own, cpu_seconds() - all);
        assert!(all >= 0.02 && own < all, "{own} {all}");
    }

    #[test]
    fn the_process_began_before_now_and_not_long_ago() {
        let age = process_start().elapsed();
        assert!(age < Duration::from_secs(24 * 3600), "{age:?}");
    }
}
