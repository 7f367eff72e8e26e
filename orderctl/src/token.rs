//! `orderctl token`: a token for development. In production an identity provider makes them.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use service_kit::auth::{Role, mint};

use crate::api::Signing;

/// Mint a JWT for development.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Whom it names; a customer's is their user id
    #[arg(long)]
    sub: String,
    /// What they may do; give it more than once for more roles
    #[arg(long, required = true, value_delimiter = ',')]
    role: Vec<RoleName>,
    /// How long it is valid: a number with s, m, h or d
    #[arg(long, default_value = "1h", value_parser = parse_ttl)]
    ttl: Duration,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Customer,
    Staff,
    Service,
    Admin,
}

/// Prints a token.
pub fn run(args: &TokenArgs) -> Result<()> {
    let roles: Vec<Role> = args.role.iter().map(|role| role.role()).collect();
    println!("{}", mint(&args.signing.secret()?, &args.sub, &roles, args.ttl)?);
    Ok(())
}

impl RoleName {
    const fn role(self) -> Role {
        match self {
            Self::Customer => Role::Customer,
            Self::Staff => Role::Staff,
            Self::Service => Role::Service,
            Self::Admin => Role::Admin,
        }
    }
}

/// A duration: a number with s, m, h or d.
pub(crate) fn parse_ttl(text: &str) -> Result<Duration, String> {
    let explain = || format!("{text:?} is no duration such as 90s, 30m, 1h or 7d");
    let unit = text.chars().last().ok_or_else(explain)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(explain()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| explain())?;
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(explain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        assert_eq!(parse_ttl("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_ttl("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(parse_ttl("7d"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "h", "1", "0s", "-1h", "1y", "1.5h", "9999999999999999999d"] {
            assert!(parse_ttl(bad).is_err(), "{bad}");
        }
    }
}
