//! When the frames of a live source are shown.

use std::time::Instant;

/// A camera's clock may go wrong by so much before it is set by ours.
const TOLERANCE_NS: u64 = 1_000_000_000;

/// Turns the times of several connections into one line of time that begins with 0 and never goes back. An outage takes as
/// long there as it did.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// When the first frame arrived.
    begin: Option<Instant>,
    /// A connection's number, and what is added to its times.
    offset: Option<(u64, i128)>,
    last_ns: Option<u64>,
}

impl Timeline {
    /// The time of a frame that arrived then, in nanoseconds; `stream_ns` is what its stream says.
    pub fn stamp(&mut self, connection: u64, arrived: Instant, stream_ns: Option<u64>) -> u64 {
        let begin = *self.begin.get_or_insert(arrived);
        let arrived_ns = arrived.saturating_duration_since(begin).as_nanos() as u64;
        let told = stream_ns.map_or(arrived_ns, |ns| self.on_line(connection, arrived_ns, ns));
        let stamp = self.last_ns.map_or(told, |last| told.max(last + 1));
        self.last_ns = Some(stamp);
        stamp
    }

    fn on_line(&mut self, connection: u64, arrived_ns: u64, stream_ns: u64) -> u64 {
        let offset = self.offset.filter(|(of, _)| *of == connection).map(|(_, offset)| offset);
        let told = offset.and_then(|offset| u64::try_from(i128::from(stream_ns) + offset).ok());
        match told.filter(|told| told.abs_diff(arrived_ns) <= TOLERANCE_NS) {
            Some(told) => told,
            None => {
                self.offset = Some((connection, i128::from(arrived_ns) - i128::from(stream_ns)));
                arrived_ns
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    fn stamps(frames: &[(u64, u64, Option<u64>)]) -> Vec<u64> {
        let (mut line, begin) = (Timeline::default(), Instant::now());
        let stamp = |&(connection, arrived_ms, stream_ms): &(u64, u64, Option<u64>)| {
            let arrived = begin + Duration::from_millis(arrived_ms);
            line.stamp(connection, arrived, stream_ms.map(|ms| ms * MS)) / MS
        };
        frames.iter().map(stamp).collect()
    }

    #[test]
    fn a_stream_keeps_its_own_even_times() {
        assert_eq!(stamps(&[(1, 0, Some(500)), (1, 47, Some(540)), (1, 78, Some(580))]), [0, 40, 80]);
    }

    #[test]
    fn an_outage_takes_as_long_as_it_did_and_time_never_goes_back() {
        assert_eq!(
            stamps(&[(1, 0, Some(9000)), (1, 40, Some(9040)), (2, 3000, Some(10)), (2, 3040, Some(50))]),
            [0, 40, 3000, 3040]
        );
        let (mut line, now) = (Timeline::default(), Instant::now());
        let times: Vec<_> = [5, 4, 4].iter().map(|ms| line.stamp(1, now, Some(ms * MS))).collect();
        assert_eq!(times, [0, 1, 2]);
    }

    #[test]
    fn a_clock_that_jumps_is_set_by_ours_and_a_stream_without_times_gets_them() {
        assert_eq!(
            stamps(&[(1, 0, Some(0)), (1, 40, Some(90_000)), (1, 80, Some(90_040))]),
            [0, 40, 80]
        );
        assert_eq!(stamps(&[(1, 0, None), (1, 40, None)]), [0, 40]);
    }
}
