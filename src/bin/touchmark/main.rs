//! The `touchmark` program: arguments in, objects assembled, one command run.
//!
//! Its own crate over the library's public interface. Results go to standard output, everything else to standard error.

mod args;
mod assemble;
mod commands;
mod config;
mod interrupt;
mod machine;
mod models;
mod output;
mod whole_file;

use std::process::ExitCode;

use args::{Cli, Command};
use output::Exit;

fn main() -> ExitCode {
    let cli = match config::parse_arguments() {
        Ok(cli) => cli,
        Err(error) => return output::fail(&error),
    };
    match run(&cli) {
        Ok(exit) => exit.into(),
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => output::fail(&error),
    }
}

fn run(cli: &Cli) -> anyhow::Result<Exit> {
    cli.global.colour.apply();
    // A crash must not write keys to a disk. Where the system forbids even this, the run goes on.
    #[cfg(unix)]
    let _ = rlimit::setrlimit(rlimit::Resource::CORE, 0, 0);
    if cli.version || cli.licenses {
        return commands::version(cli.licenses);
    }
    match &cli.command {
        None => Err(args::missing_command()),
        #[cfg(bundled_models)]
        Some(Command::Demo(args)) => commands::demo::run(&cli.global, args),
        Some(Command::Detect(args)) if args.finish.finish => {
            commands::finish::run(&cli.global, args)
        }
        Some(Command::Detect(args)) => commands::detect::run(&cli.global, args),
        Some(Command::Calibrate(args)) => commands::calibrate::run(&cli.global, args),
        Some(Command::Claim(args)) => commands::claim::run(&cli.global, args),
        Some(Command::Identify(args)) => commands::identify::run(&cli.global, args),
        #[cfg(feature = "engine")]
        Some(Command::Fingerprint(args)) => commands::fingerprint::run(&cli.global, args),
        #[cfg(feature = "engine")]
        Some(Command::Attribute(args)) => commands::attribute::run(&cli.global, args),
        Some(Command::Bundle(args)) => commands::bundle::run(&cli.global, args),
        #[cfg(feature = "engine")]
        Some(Command::Bench(args)) => commands::bench::run(&cli.global, args),
        Some(Command::Attack(args)) => commands::attack::run(&cli.global, args),
        #[cfg(feature = "cluster")]
        Some(Command::Sql(args)) => commands::sql::run(&cli.global, args),
        #[cfg(feature = "cluster")]
        Some(Command::Cluster(args)) => commands::cluster::run(&cli.global, args),
        #[cfg(feature = "engine")]
        Some(Command::Generate(args)) => commands::generate::run(&cli.global, args),
        #[cfg(feature = "serve")]
        Some(Command::Serve(args)) => commands::serve::run(&cli.global, args),
        #[cfg(feature = "serve")]
        Some(Command::ApiKey(args)) => commands::api_key::run(&cli.global, args),
        Some(Command::Key(args)) => commands::key::run(&cli.global, args),
        #[cfg(any(feature = "engine", feature = "hub"))]
        Some(Command::Model(args)) => commands::model::run(&cli.global, args),
        #[cfg(feature = "ledger")]
        Some(Command::Receipt(args)) => commands::receipt::run(&cli.global, args),
        Some(Command::Doctor) => commands::doctor::run(&cli.global),
        Some(Command::Profile(args)) => commands::profile::run(&cli.global, args),
    }
}
