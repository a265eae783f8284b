//! `trueup demo-app`: a tiny server whose faults are set by its environment, for demos, examples and tests.
//!
//! | variable | does |
//! |---|---|
//! | `DEMO_VERSION`, `DEMO_COLOUR` | what `/` and `/version` answer |
//! | `DEMO_START_DELAY=2s` | listens only after that |
//! | `DEMO_UNHEALTHY=1`, `DEMO_UNHEALTHY_AFTER=5s` | `/health` fails, at once or later |
//! | `DEMO_EXIT_AFTER=2s`, `DEMO_EXIT_CODE=1` | exits by itself |
//! | `DEMO_NO_LISTEN=1` | runs, and listens nowhere |
//! | `DEMO_ADDRESS=0.0.0.0` | listens there, as it must in a container |

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::{self, Stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::config;
use crate::terminal::say;

/// The port without `$PORT`.
const PORT: u16 = 8080;
/// After SIGTERM requests in flight get this long.
const GRACE: Duration = Duration::from_secs(10);
/// From one event of `/sse` to the next.
const SSE_EVERY: Duration = Duration::from_millis(500);

struct Knobs {
    version: String,
    colour: String,
    instance: String,
    sick_from: Option<Instant>,
}

/// Runs the server until SIGTERM, or until its fault.
pub(crate) async fn run() -> anyhow::Result<ExitCode> {
    let (port, instance) = config::instance();
    let began = Instant::now();
    let unhealthy_after =
        if config::demo("UNHEALTHY").is_some() { Some(Duration::ZERO) } else { wait("UNHEALTHY_AFTER")? };
    let knobs = Arc::new(Knobs {
        version: config::demo("VERSION").unwrap_or_else(|| "v1".to_owned()),
        colour: config::demo("COLOUR").unwrap_or_else(|| "steelblue".to_owned()),
        instance,
        sick_from: unhealthy_after.map(|after| began + after),
    });
    say(&format!("demo-app {} is {}", knobs.version, knobs.instance));
    let exit = exit_after(wait("EXIT_AFTER")?);
    let serve = serve(port.unwrap_or(PORT), Arc::clone(&knobs));
    tokio::select! {
        code = exit => Ok(code),
        served = serve => served.map(|()| ExitCode::SUCCESS),
    }
}

fn wait(name: &str) -> anyhow::Result<Option<Duration>> {
    Ok(config::demo(name).map(|text| humantime::parse_duration(&text)).transpose()?)
}

async fn exit_after(after: Option<Duration>) -> ExitCode {
    let Some(after) = after else { return std::future::pending().await };
    tokio::time::sleep(after).await;
    say("demo-app exits, as it was told to");
    ExitCode::from(config::demo("EXIT_CODE").and_then(|text| text.parse().ok()).unwrap_or(1))
}

async fn serve(port: u16, knobs: Arc<Knobs>) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    if let Some(delay) = wait("START_DELAY")? {
        tokio::time::sleep(delay).await;
    }
    if config::demo("NO_LISTEN").is_some() {
        terminated.recv().await;
        return Ok(());
    }
    let address = config::demo("ADDRESS").map(|text| text.parse::<IpAddr>()).transpose()?;
    let address = SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port);
    let listener = tokio::net::TcpListener::bind(address).await?;
    let routes = Router::new()
        .route("/", get(home))
        .route("/version", get(version))
        .route("/health", get(health))
        .route("/slow", get(slow))
        .route("/sse", get(sse))
        .route("/ws", get(websocket))
        .with_state(knobs);
    let (asked, mut leaving) = tokio::sync::watch::channel(false);
    let server = axum::serve(listener, routes).with_graceful_shutdown(async move {
        terminated.recv().await;
        // The receiver lives as long as the server does.
        let _ = asked.send(true);
    });
    let patience = async {
        if leaving.changed().await.is_ok() {
            tokio::time::sleep(GRACE).await;
        }
    };
    tokio::select! {
        served = server.into_future() => served?,
        () = patience => say("demo-app leaves, with requests still in flight"),
    }
    Ok(())
}

async fn home(State(knobs): State<Arc<Knobs>>) -> Html<String> {
    let Knobs { version, colour, instance, .. } = knobs.as_ref();
    Html(format!(
        "<!doctype html><title>{version}</title><body style=\"background:{colour};color:white;font:20vh sans-serif;\
         text-align:center\"><div>{version}</div><div style=\"font-size:4vh\">{instance}</div></body>\n"
    ))
}

async fn version(State(knobs): State<Arc<Knobs>>) -> String {
    format!("{}\n", knobs.version)
}

async fn health(State(knobs): State<Arc<Knobs>>) -> Response {
    if knobs.sick_from.is_some_and(|from| Instant::now() >= from) {
        return (StatusCode::SERVICE_UNAVAILABLE, "sick, as it was told to be\n").into_response();
    }
    "well\n".into_response()
}

#[derive(serde::Deserialize)]
struct Slow {
    seconds: f64,
}

async fn slow(State(knobs): State<Arc<Knobs>>, Query(asked): Query<Slow>) -> Response {
    match Duration::try_from_secs_f64(asked.seconds) {
        Ok(wait) => {
            tokio::time::sleep(wait).await;
            format!("{}\n", knobs.version).into_response()
        }
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    }
}

async fn sse(State(knobs): State<Arc<Knobs>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold(0_u64, move |count| {
        let version = knobs.version.clone();
        async move {
            tokio::time::sleep(SSE_EVERY).await;
            Some((Ok(Event::default().data(format!("{version} {count}"))), count + 1))
        }
    }))
}

async fn websocket(State(knobs): State<Arc<Knobs>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| echo(socket, knobs.instance.clone()))
}

/// Greets with the instance's name, then says back what it is told.
async fn echo(mut socket: WebSocket, instance: String) {
    if socket.send(Message::Text(instance.into())).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = socket.recv().await {
        let said_back = match message {
            Message::Text(_) | Message::Binary(_) => socket.send(message).await,
            // Answered by the library.
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => return,
        };
        if said_back.is_err() {
            return;
        }
    }
}
