//! Asks what a canary's step wants asked, for as long as the step lasts.
//!
//! A tick hands in which analyses are to be asked now, and takes out the answers that have come since the last one; the
//! planner counts them. Knows nothing of weights, steps or reverts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use trueup_plan::Standing;
use trueup_seams::Inspect;
use trueup_types::analysis::{Analysis, Answer, Ask, Expectation};
use trueup_types::{AppName, InstanceId, Label};

use crate::probe_book::Changed;
use crate::prober::{self, reason};

/// Most of an answer that is read, in bytes: a metrics page of some thousand lines.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The analyses under way, by app.
pub struct Analyst {
    http: reqwest::Client,
    changed: Changed,
    asked: Mutex<BTreeMap<AppName, Asked>>,
}

/// Where commands run: one of the new instances.
#[derive(Clone)]
pub struct Room {
    /// Which.
    pub instance: InstanceId,
    /// What runs commands there; nothing on targets that cannot.
    pub inspect: Option<Arc<dyn Inspect>>,
}

struct Asked {
    standing: Standing,
    analyses: Vec<Analysis>,
    answers: Arc<Mutex<Vec<(Label, Answer)>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Analyst {
    /// One that calls `changed` with each app that has a new answer.
    #[must_use]
    pub fn new(changed: Changed) -> Self {
        Self { http: prober::http_client(), changed, asked: Mutex::default() }
    }

    /// The answers of an app that have come since they were taken last, and the step that they were asked for.
    pub fn take(&self, app: &AppName) -> Option<(Standing, Vec<(Label, Answer)>)> {
        let asked = self.asked.lock().expect("no holder of the book panics");
        let ours = asked.get(app)?;
        Some((ours.standing, std::mem::take(&mut *ours.answers.lock().expect("no holder of the answers panics"))))
    }

    /// Asks these analyses from now on, and no others; what is asked already goes on.
    pub fn keep(&self, app: &AppName, wanted: Option<(Standing, &[Analysis])>, room: Option<&Room>) {
        let mut asked = self.asked.lock().expect("no holder of the book panics");
        let Some((standing, analyses)) = wanted else { return drop(asked.remove(app)) };
        if asked.get(app).is_some_and(|ours| ours.standing == standing && ours.analyses == analyses) {
            return;
        }
        let answers = Arc::<Mutex<Vec<_>>>::default();
        let tasks = analyses.iter().map(|analysis| {
            let asker = Asker { http: self.http.clone(), analysis: analysis.clone(), room: room.cloned() };
            let (app, changed, answers) = (app.clone(), Arc::clone(&self.changed), Arc::clone(&answers));
            tokio::spawn(async move {
                loop {
                    let answer = asker.ask().await;
                    answers
                        .lock()
                        .expect("no holder of the answers panics")
                        .push((asker.analysis.name.clone(), answer));
                    changed(&app);
                    tokio::time::sleep(asker.analysis.interval).await;
                }
            })
        });
        let tasks = tasks.collect();
        asked.insert(app.clone(), Asked { standing, analyses: analyses.to_vec(), answers, tasks });
    }
}

/// Asks one analysis.
struct Asker {
    http: reqwest::Client,
    analysis: Analysis,
    room: Option<Room>,
}

impl Asker {
    async fn ask(&self) -> Answer {
        let asking = async {
            match &self.analysis.ask {
                Ask::Http { url, json } => self.over_http(url, json.as_ref()).await,
                Ask::Exec { command } => self.by_command(command).await,
                Ask::Prometheus { url, query, expect } => self.prometheus(url, query, expect).await,
            }
        };
        let late = || format!("no answer in {} ms", self.analysis.timeout.as_millis());
        let answer = tokio::time::timeout(self.analysis.timeout, asking).await;
        answer.unwrap_or_else(|_| match &self.analysis.ask {
            // Of what measures, silence says nothing; of what is measured, it does.
            Ask::Prometheus { .. } => Answer::Nothing(late()),
            Ask::Http { .. } | Ask::Exec { .. } => Answer::Bad(late()),
        })
    }

    async fn over_http(&self, url: &str, json: Option<&(String, Expectation)>) -> Answer {
        let (status, body) = match self.get(url).await {
            Ok(answer) => answer,
            Err(why) => return Answer::Bad(why),
        };
        if !(200..300).contains(&status) {
            return Answer::Bad(format!("status {status}"));
        }
        let Some((pointer, expected)) = json else { return Answer::Good };
        let Ok(document) = serde_json::from_slice::<serde_json::Value>(&body) else {
            return Answer::Bad("the answer is no JSON".to_owned());
        };
        match document.pointer(pointer) {
            Some(value) => compare(&plain(value), expected),
            None => Answer::Bad(format!("the answer has nothing at {pointer}")),
        }
    }

    async fn prometheus(&self, url: &str, query: &str, expected: &Expectation) -> Answer {
        let address = format!("{}/api/v1/query", url.trim_end_matches('/'));
        let Ok(mut address) = reqwest::Url::parse(&address) else {
            return Answer::Nothing(format!("{url} is no address"));
        };
        address.query_pairs_mut().append_pair("query", query);
        let (status, body) = match self.get(address.as_str()).await {
            Ok(answer) => answer,
            Err(why) => return Answer::Nothing(why),
        };
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if document["status"] != "success" {
            let why = document["error"].as_str().unwrap_or("it does not speak Prometheus' language");
            return Answer::Nothing(format!("status {status}: {why}"));
        }
        let result = &document["data"]["result"];
        let scalar = document["data"]["resultType"] == "scalar";
        let sample = if scalar { &result[1] } else { &result[0]["value"][1] };
        match sample.as_str() {
            Some(sample) => compare(sample, expected),
            None => Answer::Nothing("the query has no sample".to_owned()),
        }
    }

    async fn by_command(&self, command: &[String]) -> Answer {
        let inspect = self.room.as_ref().and_then(|room| Some((&room.instance, room.inspect.as_ref()?)));
        let Some((instance, inspect)) = inspect else {
            return Answer::Nothing("there is no instance that runs commands".to_owned());
        };
        match inspect.exec(instance, command, self.analysis.timeout).await {
            Ok(output) if output.code == Some(0) => Answer::Good,
            Ok(output) => {
                let said = output.output.lines().last().unwrap_or_default().trim().to_owned();
                let code = output.code.map_or_else(|| "killed".to_owned(), |code| format!("exit code {code}"));
                Answer::Bad(if said.is_empty() { code } else { format!("{code}: {said}") })
            }
            Err(error) => Answer::Nothing(error.detail),
        }
    }

    async fn get(&self, url: &str) -> Result<(u16, Vec<u8>), String> {
        let request = self.http.get(url).header("user-agent", "trueup-analysis");
        let mut answer = request.send().await.map_err(|error| reason(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| reason(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"));
            }
        }
        Ok((answer.status().as_u16(), body))
    }
}

fn compare(found: &str, expected: &Expectation) -> Answer {
    if expected.holds(found) { Answer::Good } else { Answer::Bad(format!("it is {found}, expected {expected}")) }
}

/// A value as it is compared: a text without its quotes.
fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A server that gives every request the same answer; and what it was asked first.
    async fn answering(status: &'static str, body: &'static str) -> (String, tokio::sync::oneshot::Receiver<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let (first, asked) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.expect("a client");
            let mut head = vec![0; 4096];
            let length = client.read(&mut head).await.expect("a request");
            let line = String::from_utf8_lossy(&head[..length]).lines().next().unwrap_or_default().to_owned();
            first.send(line).expect("the test waits");
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            client.write_all(answer.as_bytes()).await.expect("it listens");
        });
        (url, asked)
    }

    async fn ask(ask: Ask) -> Answer {
        let name = Label::new("one").expect("a literal name");
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(10));
        let analysis = Analysis { name, ask, interval, timeout, failures: 1 };
        Asker { http: prober::http_client(), analysis, room: None }.ask().await
    }

    async fn over_http(status: &'static str, body: &'static str, json: Option<(&str, &str)>) -> Answer {
        let (url, _asked) = answering(status, body).await;
        let json = json.map(|(pointer, expect)| (pointer.to_owned(), expect.parse().expect("an expectation")));
        ask(Ask::Http { url, json }).await
    }

    async fn prometheus(status: &'static str, body: &'static str, expect: &str) -> Answer {
        let (url, asked) = answering(status, body).await;
        let query = "rate(errors{app=\"web\"}[1m])".to_owned();
        let answer = ask(Ask::Prometheus { url, query, expect: expect.parse().expect("an expectation") }).await;
        let line = asked.await.expect("it was asked");
        assert_eq!(line, "GET /api/v1/query?query=rate%28errors%7Bapp%3D%22web%22%7D%5B1m%5D%29 HTTP/1.1");
        answer
    }

    fn bad(why: &str) -> Answer {
        Answer::Bad(why.to_owned())
    }

    #[tokio::test]
    async fn a_page_is_judged_by_its_status_and_its_json() {
        assert_eq!(over_http("204 No Content", "", None).await, Answer::Good);
        assert_eq!(over_http("500 Internal Server Error", "", None).await, bad("status 500"));
        let page = r#"{"errors": {"rate": 0.02}, "state": "warm"}"#;
        assert_eq!(over_http("200 OK", page, Some(("/errors/rate", "< 0.05"))).await, Answer::Good);
        assert_eq!(over_http("200 OK", page, Some(("/state", "== warm"))).await, Answer::Good);
        let rate = over_http("200 OK", page, Some(("/errors/rate", "< 0.01"))).await;
        assert_eq!(rate, bad("it is 0.02, expected < 0.01"));
        let nothing = over_http("200 OK", page, Some(("/errors/count", "< 1"))).await;
        assert_eq!(nothing, bad("the answer has nothing at /errors/count"));
        assert_eq!(over_http("200 OK", "fine", Some(("/a", "< 1"))).await, bad("the answer is no JSON"));
    }

    #[tokio::test]
    async fn a_page_that_is_not_there_is_bad() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        drop(listener);
        let Answer::Bad(why) = ask(Ask::Http { url: url.clone(), json: None }).await else { panic!("nobody answers") };
        assert!(why.contains("refused"), "{why}");
        let query = ask(Ask::Prometheus { url, query: "up".to_owned(), expect: "== 1".parse().expect("one") }).await;
        assert!(matches!(query, Answer::Nothing(_)), "what measures is down, and the release may be well: {query:?}");
    }

    #[tokio::test]
    async fn a_query_is_judged_by_its_first_sample() {
        let vector =
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[17,"0.5"]}]}}"#;
        assert_eq!(prometheus("200 OK", vector, "<= 0.5").await, Answer::Good);
        assert_eq!(prometheus("200 OK", vector, "< 0.5").await, bad("it is 0.5, expected < 0.5"));
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[17,"3"]}}"#;
        assert_eq!(prometheus("200 OK", scalar, "== 3").await, Answer::Good);
    }

    #[tokio::test]
    async fn a_query_without_an_answer_says_nothing() {
        let none = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        let nothing = |why: &str| Answer::Nothing(why.to_owned());
        assert_eq!(prometheus("200 OK", none, "< 1").await, nothing("the query has no sample"));
        let error = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        assert_eq!(prometheus("400 Bad Request", error, "< 1").await, nothing("status 400: parse error"));
        let other = prometheus("200 OK", "<html>", "< 1").await;
        assert_eq!(other, nothing("status 200: it does not speak Prometheus' language"));
    }

    #[tokio::test]
    async fn a_command_without_a_room_says_nothing() {
        assert!(matches!(ask(Ask::Exec { command: vec!["true".to_owned()] }).await, Answer::Nothing(_)));
    }
}
