//! What is between our services and the servers: a proxy for each pair that talks, so that one service can be cut off from
//! one server while all others go on.

use std::collections::BTreeMap;

use crate::{
    process::free_port,
    proxy::Proxy,
    servers::{KafkaServer, PostgresServer, RedisServer},
};

/// A process of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// A command service, by its number.
    Command(usize),
    /// A projector, by its number.
    Projector(usize),
    /// The query service.
    Query,
}

impl Service {
    /// The servers that it talks to.
    #[must_use]
    pub const fn servers(self) -> &'static [Server] {
        match self {
            Self::Command(_) => &[Server::Postgres, Server::Kafka],
            Self::Projector(_) => &[Server::Kafka, Server::Redis],
            Self::Query => &[Server::Redis],
        }
    }
}

/// A server of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// Postgres.
    Postgres,
    /// Kafka.
    Kafka,
    /// Redis.
    Redis,
}

/// Connections that share a fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Everyone's to a server.
    All(Server),
    /// One service's to a server.
    One(Service, Server),
}

impl Line {
    /// The server at its end.
    #[must_use]
    pub const fn server(self) -> Server {
        match self {
            Self::All(server) | Self::One(_, server) => server,
        }
    }
}

/// The ports at which services will find their proxies: known before there is a server, as Kafka tells its clients where it
/// is.
#[derive(Debug)]
pub struct Ports(BTreeMap<(Service, Server), u16>);

impl Ports {
    /// A port for each server that each of these services talks to.
    #[must_use]
    pub fn of(services: &[Service]) -> Self {
        let pairs = services.iter().flat_map(|service| service.servers().iter().map(|server| (*service, *server)));
        Self(pairs.map(|pair| (pair, free_port())).collect())
    }

    /// Those of one server.
    #[must_use]
    pub fn to(&self, server: Server) -> Vec<u16> {
        self.0.iter().filter(|((_, to), _)| *to == server).map(|(_, port)| *port).collect()
    }
}

/// All proxies.
#[derive(Debug)]
pub struct Network(BTreeMap<(Service, Server), Proxy>);

impl Network {
    /// Opens the ports.
    ///
    /// # Panics
    ///
    /// When another process has taken one meanwhile.
    pub async fn start(ports: Ports, postgres: &PostgresServer, kafka: &KafkaServer, redis: &RedisServer) -> Self {
        let mut proxies = BTreeMap::new();
        for (pair, port) in ports.0 {
            let server = match pair.1 {
                Server::Postgres => postgres.address(),
                Server::Kafka => kafka.behind(port),
                Server::Redis => redis.address(),
            };
            proxies.insert(pair, Proxy::start(port, server).await.expect("a proxy"));
        }
        Self(proxies)
    }

    /// The proxy between a service and a server.
    ///
    /// # Panics
    ///
    /// When this service does not talk to that server.
    #[must_use]
    pub fn between(&self, service: Service, server: Server) -> &Proxy {
        self.0.get(&(service, server)).unwrap_or_else(|| panic!("{service:?} does not talk to {server:?}"))
    }

    /// The proxies of a line.
    pub fn line(&self, line: Line) -> impl Iterator<Item = &Proxy> {
        let is_part = move |(service, server): (Service, Server)| match line {
            Line::All(all) => server == all,
            Line::One(one, of) => (service, server) == (one, of),
        };
        self.0.iter().filter(move |(pair, _)| is_part(**pair)).map(|(_, proxy)| proxy)
    }
}
