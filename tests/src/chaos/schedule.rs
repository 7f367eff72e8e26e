//! What happens, from a seed alone.

use std::{fmt, time::Duration};

use fastrand::Rng;

use crate::{
    Context,
    network::{Line, Server, Service},
};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`, and a start.
    Kill(Service),
    /// `SIGSTOP`, and `SIGCONT`.
    Stop(Service),
    /// `SIGTERM`, and a start once it has ended.
    Restart(Service),
    /// Every process of a server is killed; its data stays. Redis has none on disk and comes back empty.
    Crash(Server),
    /// Every process of a server is stopped.
    Freeze(Server),
    /// Redis is emptied.
    Flush,
    /// Redis is killed and comes back with what it held some time ago.
    OldDump,
    /// Connections are broken, and new ones refused.
    Cut(Line),
    /// Connections hold back what is sent.
    Stall(Line),
    /// Each packet takes so many milliseconds.
    Slow(Line, u64),
    /// A session holds the locks of all lanes of a context and sits idle.
    LanesHeld(Context),
    /// Somebody's transaction sits idle for a minute, while other faults are made.
    TransactionIdle,
}

impl Fault {
    /// What it is called in the table of recovery times.
    #[must_use]
    pub fn kind(self) -> String {
        let of = |service| match service {
            Service::Command(_) => "a command service",
            Service::Projector(_) => "a projector",
            Service::Query => "the query service",
        };
        match self {
            Self::Kill(service) => format!("{} is killed (`-9`)", of(service)),
            Self::Stop(service) => format!("{} is stopped (`SIGSTOP`)", of(service)),
            Self::Restart(service) => format!("{} is restarted (`SIGTERM`)", of(service)),
            Self::Crash(Server::Redis) => "Redis is killed and comes back empty".to_owned(),
            Self::Crash(server) => format!("{server:?} is killed (`-9`) and recovers"),
            Self::Freeze(server) => format!("{server:?} is stopped (`SIGSTOP`)"),
            Self::Flush => "Redis is emptied".to_owned(),
            Self::OldDump => "Redis is killed and comes back with an old dump".to_owned(),
            Self::Cut(Line::All(server)) => format!("all connections to {server:?} are cut"),
            Self::Cut(Line::One(service, server)) => format!("{} alone is cut off from {server:?}", of(service)),
            Self::Stall(Line::All(server)) => format!("the network to {server:?} stalls"),
            Self::Stall(Line::One(service, server)) => format!("the network between {} and {server:?} stalls", of(service)),
            Self::Slow(line, _) => format!("the network to {:?} is slow (5–100 ms a packet)", line.server()),
            Self::LanesHeld(_) => "another session holds all lanes of a context".to_owned(),
            Self::TransactionIdle => "another session's transaction sits idle for a minute".to_owned(),
        }
    }

    /// What two faults at once must not share.
    fn target(self) -> String {
        match self {
            Self::Kill(service) | Self::Stop(service) | Self::Restart(service) => format!("{service:?}"),
            Self::Crash(server) | Self::Freeze(server) => format!("{server:?}"),
            Self::Flush | Self::OldDump => format!("{:?}", Server::Redis),
            Self::Cut(line) | Self::Stall(line) | Self::Slow(line, _) => format!("the network to {:?}", line.server()),
            Self::LanesHeld(_) | Self::TransactionIdle => "a session".to_owned(),
        }
    }

    /// How long it lasts, in milliseconds: at least and at most.
    const fn length(self) -> (u64, u64) {
        match self {
            Self::Kill(_) | Self::Crash(_) | Self::OldDump => (0, 1_500),
            Self::Restart(_) | Self::Flush | Self::TransactionIdle => (0, 50),
            Self::Stop(_) | Self::Freeze(_) => (50, 2_500),
            Self::Cut(_) => (200, 3_000),
            Self::Stall(_) | Self::Slow(..) => (500, 4_000),
            // Longer than a writer waits for a lock, now and then.
            Self::LanesHeld(_) => (500, 4_000),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One fault or two at once, and what comes after.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is done.
    pub faults: Vec<Fault>,
    /// How long it lasts.
    pub hold: Duration,
    /// Whether the next step waits until the system has got over this one; else it comes in the midst of that.
    pub measured: bool,
    /// What then passes until the next one.
    pub pause: Duration,
}

/// An endless schedule.
#[derive(Debug)]
pub struct Schedule {
    rng: Rng,
    deck: Vec<Fault>,
}

impl Schedule {
    /// The schedule of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), deck: Vec::new() }
    }

    /// What comes next.
    pub fn next_step(&mut self) -> Step {
        let first = self.draw();
        let mut faults = vec![first];
        if self.rng.u8(0..5) == 0 {
            let second = self.draw();
            if second.target() == first.target() {
                self.deck.insert(0, second);
            } else {
                faults.push(second);
            }
        }
        let (least, most) = faults.iter().map(|fault| fault.length()).max().unwrap_or_default();
        let mut hold = self.rng.u64(least..most);
        // Now and then longer than a session without a sign of life may last.
        if matches!(first, Fault::Stop(_) | Fault::Freeze(_) | Fault::Stall(_)) && self.rng.u8(0..5) == 0 {
            hold = 7_000;
        }
        // That nothing stops for a transaction that sits idle is seen while it does.
        let measured = self.rng.u8(0..4) > 0 || faults.contains(&Fault::TransactionIdle);
        let pause = self.rng.u64(50..1_000);
        Step { faults, hold: Duration::from_millis(hold), measured, pause: Duration::from_millis(pause) }
    }

    /// From a shuffled deck, so that nothing is left out for long.
    fn draw(&mut self) -> Fault {
        if self.deck.is_empty() {
            self.deck = self.cards();
            self.rng.shuffle(&mut self.deck);
        }
        self.deck.pop().unwrap_or(Fault::Flush)
    }

    fn cards(&mut self) -> Vec<Fault> {
        use Service::{Command, Projector, Query};
        let mut cards = vec![
            Fault::Crash(Server::Postgres),
            Fault::Flush,
            Fault::OldDump,
            Fault::TransactionIdle,
            Fault::LanesHeld(*self.rng.choice(&Context::ALL).unwrap_or(&Context::Orders)),
            Fault::Restart(Command(self.rng.usize(..2))),
            Fault::Restart(Projector(self.rng.usize(..2))),
            Fault::Restart(Query),
        ];
        for service in [Command(0), Command(1), Projector(0), Projector(1), Query] {
            cards.extend([Fault::Kill(service), Fault::Stop(service)]);
            for server in service.servers() {
                let line = Line::One(service, *server);
                cards.push(if self.rng.bool() { Fault::Cut(line) } else { Fault::Stall(line) });
            }
        }
        for server in [Server::Postgres, Server::Kafka, Server::Redis] {
            let (line, delay) = (Line::All(server), self.rng.u64(5..100));
            cards.extend([Fault::Crash(server), Fault::Freeze(server)]);
            cards.extend([Fault::Cut(line), Fault::Stall(line), Fault::Slow(line, delay)]);
        }
        cards
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_is_a_schedule_and_every_kind_comes_soon() {
        let steps = |seed| {
            let mut schedule = Schedule::new(seed);
            (0..150).map(|_| schedule.next_step()).collect::<Vec<_>>()
        };
        assert_eq!(steps(1), steps(1));
        assert_ne!(steps(1), steps(2));
        let kinds: BTreeSet<_> = steps(3).iter().flat_map(|step| &step.faults).map(|fault| fault.kind()).collect();
        assert_eq!(kinds.len(), 38, "{kinds:#?}");
        for step in steps(4).iter().filter(|step| step.faults.len() == 2) {
            assert_ne!(step.faults[0].target(), step.faults[1].target(), "{step:?}");
        }
    }
}
