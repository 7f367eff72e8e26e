//! `orderctl`: the operator's command line. One file a verb.
#![expect(clippy::print_stderr, reason = "a command line tool talks to whoever runs it")]

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use orderctl::{audit, demo, dlq, import, journey, log_level, notifications, rebuild, saga, services, token, verify, wait};

/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;

/// Operate orderflow: import, audit, demonstrate.
#[derive(Debug, Parser)]
#[command(name = "orderctl", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Token(token::TokenArgs),
    Import(import::ImportArgs),
    Wait(wait::WaitArgs),
    Audit(audit::AuditArgs),
    Demo(demo::DemoArgs),
    Dlq(dlq::DlqArgs),
    Journey(journey::JourneyArgs),
    LogLevel(log_level::LogLevelArgs),
    Notifications(notifications::NotificationsArgs),
    Verify(verify::VerifyArgs),
    Rebuild(rebuild::RebuildArgs),
    Rollback(rebuild::RollbackArgs),
    Saga(saga::SagaArgs),
    Services(services::ServicesArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nothing is left to tell if the terminal is gone.
            drop(error.print());
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    let outcome = match &cli.verb {
        Verb::Token(args) => token::run(args),
        Verb::Import(args) => import::run(args).await,
        Verb::Wait(args) => wait::run(args).await,
        Verb::Audit(args) => audit::run(args).await,
        Verb::Demo(args) => demo::run(args).await,
        Verb::Dlq(args) => dlq::run(args).await,
        Verb::Journey(args) => journey::run(args).await,
        Verb::LogLevel(args) => log_level::run(args).await,
        Verb::Notifications(args) => notifications::run(args).await,
        Verb::Verify(args) => verify::run(args).await,
        Verb::Rebuild(args) => rebuild::run(args).await,
        Verb::Rollback(args) => rebuild::roll_back(args).await,
        Verb::Saga(args) => saga::run(args).await,
        Verb::Services(args) => services::run(args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
