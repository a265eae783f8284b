//! The binary: chooses adapters, parses flags, prints. Holds no policy of any kind.
//!
//! Read [`cli`] for the words, [`run`] for the daemon's wiring, and the module of a command's name for what it does.

mod cli;
mod config;
mod cost;
mod debug;
mod demo;
mod demo_app;
mod describe;
mod doctor;
mod edge;
mod events;
mod exec;
mod export;
mod get;
mod help;
mod import;
mod init;
mod logs;
mod manifests;
mod orders;
mod plan;
mod private;
mod rollout_status;
mod run;
mod sim_fly;
mod status_reader;
mod table;
mod terminal;
mod unit;
mod validate;
mod wait;
mod why;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use trueup_types::order::{EnvOf, Order};

use crate::cli::{Approve, Cli, Command, Debugging, Describe, Rollout, Simulating};
use crate::terminal::say;

/// The C library's keeps a heap for each thread and gives little back: three times what is alive with 1,000 apps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Files and `/proc` are read on at most so many threads: each job is short, and each thread keeps a heap.
const BLOCKING_MAX: usize = 4;
/// How long one of them waits for more work: what a thread that ended had in its heap is not used again soon.
const BLOCKING_STAY: Duration = Duration::from_secs(3_600);

fn main() -> ExitCode {
    if let Some(code) = beside_an_instance() {
        return code;
    }
    let cli = cli::parse();
    let done = if let Command::Edge(asked) = &cli.command {
        // It makes a runtime of its own for each core.
        edge::run(&cli.places, asked)
    } else {
        let threads = if matches!(cli.command, Command::Run(_)) { Threads::Many } else { Threads::One };
        on_threads(threads, dispatch(cli))
    };
    done.unwrap_or_else(|error| {
        say(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// The processes that stay beside instances are the same program, and must be small: no parser, no runtime.
fn beside_an_instance() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["shim", folder] => Some(trueup_process::shim::main(Path::new(folder))),
        ["shim-exec", folder] => Some(trueup_process::shim_exec::main(Path::new(folder), &[])),
        ["shim-exec", folder, "--", ..] => Some(trueup_process::shim_exec::main(Path::new(folder), &words[3..])),
        _ => None,
    }
}

enum Threads {
    One,
    Many,
}

fn on_threads(threads: Threads, work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Many => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().max_blocking_threads(BLOCKING_MAX).thread_keep_alive(BLOCKING_STAY).build()?.block_on(work)
}

async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let places = &cli.places;
    let done = |result: anyhow::Result<()>| result.map(|()| ExitCode::SUCCESS);
    match cli.command {
        Command::Run(asked) => {
            log_to_stderr();
            run::run(places, &asked).await
        }
        Command::Down(yes) => done(orders::down(places, yes.yes).await),
        Command::Init(folder) => done(init::run(&folder.dir)),
        Command::Validate(asked) => validate::run(&asked),
        Command::Plan(asked) => Ok(plan::run(places, &asked).await),
        Command::Cost(asked) => done(cost::run(&asked)),
        Command::Import(asked) => done(import::run(&asked).await),
        Command::Export(asked) => done(export::run(&asked)),
        Command::Get(asked) => done(get::run(places, &asked).await),
        Command::Describe { what: Describe::App { name } } => done(describe::run(places, &name)),
        Command::Wait(asked) => wait::run(places, &asked).await,
        Command::Rollout { what: Rollout::Status(asked) } => rollout_status::run(places, &asked).await,
        Command::Logs(asked) => done(logs::run(places, &asked).await),
        Command::Exec(asked) => exec::run(places, &asked).await,
        Command::Events(asked) => done(events::run(places, &asked).await),
        Command::Why(asked) => Ok(why::run(places, &asked).await),
        Command::Rollback { name, to, current_env } => {
            let env = if current_env { EnvOf::Now } else { EnvOf::Then };
            done(orders::give(places, &name, Order::Rollback { to, env }).await)
        }
        Command::Retry { name } => done(orders::give(places, &name, Order::Retry).await),
        Command::Resume { name } => done(orders::give(places, &name, Order::Resume).await),
        Command::Suspend { name } => done(orders::give(places, &name, Order::Suspend).await),
        Command::Restart { name } => done(orders::give(places, &name, Order::Restart).await),
        Command::Promote { name, full } => {
            let order = if full { Order::PromoteFully } else { Order::Promote };
            done(orders::give(places, &name, order).await)
        }
        Command::Abort { name } => done(orders::give(places, &name, Order::Abort).await),
        Command::Reconcile { name } => done(orders::reconcile(places, name.as_ref()).await),
        Command::Approve { what: Approve::Prune } => done(orders::approve_prune(places).await),
        Command::Schema { kind } => done(help::schema(kind.as_deref())),
        Command::Explain { path } => done(help::explain(&path)),
        Command::Completions { shell } => {
            help::completions(shell);
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => done(help::man()),
        Command::Doctor => Ok(doctor::run(places).await),
        Command::Debug { what: Debugging::Bundle(asked) } => done(debug::bundle(places, &asked).await),
        Command::Unit(asked) => done(unit::run(&asked)),
        Command::Demo(asked) => demo::run(&asked).await,
        Command::DemoApp => demo_app::run().await,
        Command::Sim { what: Simulating::Fly(asked) } => done(sim_fly::run(&asked).await),
        Command::Edge(asked) => edge::run(places, &asked),
    }
}

/// What the daemon logs goes to standard error; `TRUEUP_LOG` says how much.
fn log_to_stderr() {
    use std::io::IsTerminal as _;
    let filter = tracing_subscriber::EnvFilter::new(config::log_filter());
    let colours = std::io::stderr().is_terminal() && !config::no_color();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}
