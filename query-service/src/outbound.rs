//! What the query service asks for its answers: Redis, and nothing else.

pub mod redis;
