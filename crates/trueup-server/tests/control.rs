//! A person's word reaches a real driver, over a real socket.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trueup_seams::ControlError;
use trueup_server::{ClientError, ControlClient, ServeError, serve, socket_path};
use trueup_sim::{AppSketch, House};
use trueup_types::AppName;
use trueup_types::order::Order;

fn name(text: &str) -> AppName {
    AppName::new(text).expect("a name")
}

#[tokio::test]
async fn a_persons_word_reaches_the_driver_and_its_answer_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut house = House::new();
    let mut app = AppSketch::web("web");
    app.policy.min_healthy = Duration::ZERO;
    app.policy.bake = Duration::ZERO;
    house.source.put(app.build());
    house.start().await;
    let leave = CancellationToken::new();
    let served = tokio::spawn(serve(socket_path(folder.path()), house.control(), leave.clone()));
    let client = ControlClient::new(folder.path()).expect("a client");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let settled =
            client.status().await.is_ok_and(|status| status.apps.iter().any(|app| app.status.word == "Ready"));
        if settled {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{}", house.story());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let receipt = client.order(&name("web"), Order::Suspend, "ada").await.expect("it can be suspended");
    assert_eq!(receipt.message, "app/web is suspended");
    let denied = client.order(&name("web"), Order::Suspend, "ada").await.expect_err("it is suspended already");
    assert!(matches!(denied, ClientError::Refused(ControlError::Denied(_))), "{denied:?}");
    let missing = client.order(&name("nobody"), Order::Retry, "ada").await.expect_err("there is no such app");
    assert!(matches!(missing, ClientError::Refused(ControlError::NoSuchApp(app)) if app.as_str() == "nobody"));
    let nothing = client.approve_prune("ada").await.expect_err("nothing waits");
    assert!(matches!(nothing, ClientError::Refused(ControlError::Denied(_))), "{nothing:?}");
    let instances = client.instances(&name("web")).await.expect("it has some");
    assert_eq!(instances.len(), 1);
    let previews = client.preview(&[]).await.expect("it can be asked");
    assert_eq!(previews.len(), 1, "a source without it would remove it");
    leave.cancel();
    served.await.expect("it does not panic").expect("it served");
    let gone = client.status().await.expect_err("nobody listens");
    assert!(matches!(gone, ClientError::NoDaemon { .. }), "{gone:?}");
}

#[tokio::test]
async fn a_path_that_is_too_long_is_named() {
    let mut house = House::new();
    house.start().await;
    let path = std::path::PathBuf::from(format!("/tmp/{}", "x".repeat(120)));
    let refused = serve(path, house.control(), CancellationToken::new()).await;
    assert!(matches!(refused, Err(ServeError::PathTooLong { bytes: 125, .. })), "{refused:?}");
}
