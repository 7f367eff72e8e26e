//! Reads settings from flags, the environment and a file, and explains what is wrong with them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::exit;

use clap::error::ErrorKind;

use super::health_check::is_alive;
use super::{ConfigError, ServiceConfig};

/// `EX_USAGE` of sysexits.h: started wrongly, and starting it again will not help.
const EX_USAGE: i32 = 64;

/// Why settings could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Clap's: a bad flag or value, or a request for help.
    #[error("{0}")]
    Arguments(#[from] clap::Error),
    /// A setting that cannot be used.
    #[error("error: {0}\n")]
    Setting(#[from] ConfigError),
}

/// The settings of this process. On a bad one it says which, and exits with 64.
pub fn load<C: ServiceConfig>() -> C {
    let config = match try_load::<C>(std::env::args_os(), |name| std::env::var_os(name)) {
        Ok(config) => config,
        Err(error) => complain(&error),
    };
    if config.common().check_health {
        exit(i32::from(!is_alive(config.common())));
    }
    if let Err(error) = config.common().validate().and_then(|()| config.validate()) {
        complain(&LoadError::Setting(error));
    }
    config
}

fn complain(error: &LoadError) -> ! {
    if let LoadError::Arguments(error) = error
        && matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
    {
        error.exit();
    }
    // Nothing is left to tell if stderr is gone; the exit code still does.
    drop(write!(std::io::stderr(), "{error}"));
    exit(EX_USAGE)
}

/// Parses settings without exiting; validation is left to the caller. `env` is only asked for the
/// configuration file and for what that file would override; clap reads the process's environment.
pub fn try_load<C: ServiceConfig>(
    args: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<C, LoadError> {
    let args: Vec<OsString> = args.into_iter().collect();
    // The values of the environment may be secrets, and --help would print them.
    let mut command = C::command().mut_args(|arg| arg.hide_env_values(true));
    // Not that of the file that it was started from, which is another one in an image. Read once, as those below.
    let name: &'static str = command.get_name().to_owned().leak();
    command = command
        .mut_arg("http_addr", |arg| arg.required(false).default_value(C::DEFAULT_HTTP_ADDR))
        .mut_arg("otel_service_name", |arg| arg.default_value(name));
    if let Some(path) = config_file(&args).or_else(|| env("CONFIG_FILE").map(PathBuf::from)) {
        command = with_defaults_of_file(command, &path)?;
    }
    let mut matches = command.try_get_matches_from_mut(args)?;
    Ok(C::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))?)
}

/// The file named by `--config FILE` or `--config=FILE`: it has to be known before clap parses.
fn config_file(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        if text == "--" {
            return None;
        }
        if text == "--config" {
            return args.next().map(PathBuf::from);
        }
        if let Some(path) = text.strip_prefix("--config=") {
            return Some(PathBuf::from(path));
        }
    }
    None
}

/// Makes the file's values the defaults of their settings, which is what makes flags and the
/// environment win. Nothing is written into the process's environment: other threads read it.
fn with_defaults_of_file(mut command: clap::Command, path: &Path) -> Result<clap::Command, ConfigError> {
    let unusable = |error: dotenvy::Error| {
        let problem = match error {
            // Its own text holds the whole line, which may hold a secret.
            dotenvy::Error::LineParse(_, column) => format!("{}: a line is malformed at column {column}", path.display()),
            other => format!("cannot read {}: {other}", path.display()),
        };
        ConfigError::new("CONFIG_FILE", problem)
    };
    let mut values = BTreeMap::new();
    for line in dotenvy::from_path_iter(path).map_err(unusable)? {
        let (key, value) = line.map_err(unusable)?;
        values.insert(key, value);
    }
    command = command.mut_args(|arg| {
        let value = arg.get_env().and_then(|name| name.to_str()).and_then(|name| values.remove(name));
        match value {
            Some(value) => {
                let takes_value = arg.get_action().takes_values();
                // Read once at start-up; clap keeps defaults for the process's life.
                arg.required(false).default_value(&*value.leak()).hide_default_value(takes_value)
            }
            None => arg,
        }
    });
    if let Some(unknown) = values.into_keys().next() {
        return Err(ConfigError::new(unknown, format!("is not a setting of this service (in {})", path.display())));
    }
    Ok(command)
}

#[cfg(test)]
mod tests;
