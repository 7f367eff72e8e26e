//! How long to wait before trying again.

use std::time::Duration;

/// Doubles from `first` to `most`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// After many.
    pub most: Duration,
}

impl Backoff {
    /// The pause after so many failures in a row (1 is the first), shorter or longer by up to a fifth: `chance` is from 0 to 1,
    /// so that what failed together does not come back together.
    #[must_use]
    pub fn after(self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let pause = self.first.saturating_mul(1 << doublings).min(self.most);
        pause.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(5), most: Duration::from_secs(3600) };

    #[test]
    fn doubles_up_to_its_bound() {
        let pauses: Vec<u64> = [1, 2, 3, 8, 20, u32::MAX].iter().map(|n| BACKOFF.after(*n, 0.5).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 640, 3600, 3600]);
    }

    #[test]
    fn spreads_by_a_fifth() {
        assert_eq!(BACKOFF.after(1, 0.0), Duration::from_secs(4));
        assert_eq!(BACKOFF.after(1, 1.0), Duration::from_secs(6));
        assert_eq!(BACKOFF.after(0, 7.0), Duration::from_secs(6));
    }
}
