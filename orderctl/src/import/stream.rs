//! One connection of an import: jobs go out as NDJSON while answers come in, line by line, in order.
//!
//! What is sent and not answered is bounded. A job whose answer says "later", or that a broken connection left
//! without an answer, is sent again from its first unsettled command: idempotency keys make that harmless.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use futures::future::{Either, select};
use futures::{StreamExt, stream};
use reqwest::{Body, Method, Response, StatusCode, header};
use serde::Deserialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::jobs::Phase;
use super::plan::Plan;
use super::tally::{Failure, Tally};
use crate::api::{Api, Problem, Service};

const PATH: &str = "/v1/commands";

/// Jobs that one connection has on their way.
const WINDOW: usize = 256;

/// Rendered jobs that wait for the socket.
const BODY_QUEUE: usize = 16;

/// The first pause after a broken connection; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How often a job is sent again after an internal error before it counts as refused.
const MAX_INTERNAL_ERRORS: u32 = 5;

/// A phase's jobs, handed out to connections.
#[derive(Debug)]
pub struct Phased {
    /// Which phase.
    pub phase: Phase,
    /// The whole plan.
    pub plan: Arc<Plan>,
    /// What got answered.
    pub tally: Arc<Tally>,
    /// The next job that no connection has.
    pub next: AtomicUsize,
}

/// A job on its way.
#[derive(Debug, Clone, Copy)]
struct Work {
    job: usize,
    /// Its first command that is not settled.
    from: usize,
    internal_errors: u32,
}

#[derive(Deserialize)]
struct Answer {
    status: u16,
    id: Option<Uuid>,
    version: Option<u64>,
    #[serde(default)]
    replayed: bool,
    problem: Option<Problem>,
}

/// How a stream ended before everything in it was settled.
enum Halt {
    /// The service asked for a pause, or the connection broke.
    Pause(Duration, String),
    /// Going on makes no sense.
    Fatal(anyhow::Error),
}

/// Sends jobs until none is left.
pub async fn run(api: &Api, jobs: &Phased) -> Result<()> {
    let mut backlog = VecDeque::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let before = jobs.tally.answered();
        let halted = send(api, jobs, &mut backlog).await;
        match halted {
            None if backlog.is_empty() && jobs.next.load(Relaxed) >= jobs.phase.jobs(&jobs.plan) => return Ok(()),
            None => {}
            Some(Halt::Fatal(error)) => return Err(error),
            Some(Halt::Pause(asked, cause)) => {
                pause = if jobs.tally.answered() > before { FIRST_PAUSE } else { (pause * 2).min(MAX_PAUSE) };
                jobs.tally.resending(backlog.len(), &cause)?;
                tokio::time::sleep(asked.max(pause)).await;
            }
        }
    }
}

/// One request: everything in the backlog and the queue, until the service asks for a pause.
async fn send(api: &Api, jobs: &Phased, backlog: &mut VecDeque<Work>) -> Option<Halt> {
    let (chunks, body) = mpsc::channel::<Bytes>(BODY_QUEUE);
    let (sent, mut on_the_way) = mpsc::channel::<Work>(WINDOW);
    let body = stream::unfold(body, |mut body| async { body.recv().await.map(|chunk| (Ok::<_, Infallible>(chunk), body)) });
    let request = api
        .request(Method::POST, Service::Command(jobs.phase.context()), PATH)
        .header(header::CONTENT_TYPE, "application/x-ndjson")
        .body(Body::wrap_stream(body))
        .send();
    let pausing = AtomicBool::new(false);
    let mut again = VecDeque::new();
    let outcome = {
        let writer = pin!(write(jobs, backlog, &pausing, chunks, sent));
        let reader = pin!(async {
            let response = request.await.map_err(|error| broken(api, jobs.phase, error))?;
            read(jobs, checked(response).await?, &mut on_the_way, &pausing, &mut again).await
        });
        match select(writer, reader).await {
            Either::Left((Ok(()), reader)) => reader.await,
            Either::Left((Err(error), _)) => Err(Halt::Fatal(error)),
            Either::Right((outcome, _)) => outcome,
        }
    };
    while let Ok(work) = on_the_way.try_recv() {
        again.push_back(work);
    }
    again.append(backlog);
    *backlog = again;
    outcome.err()
}

async fn write(
    jobs: &Phased,
    backlog: &mut VecDeque<Work>,
    pausing: &AtomicBool,
    chunks: mpsc::Sender<Bytes>,
    sent: mpsc::Sender<Work>,
) -> Result<()> {
    // The place on the way is reserved first: a job is never in neither the backlog nor on the way.
    while let Ok(place) = sent.reserve().await {
        if pausing.load(Relaxed) {
            break;
        }
        let Some(work) = backlog.pop_front().or_else(|| take(jobs)) else { break };
        place.send(work);
        let mut lines = Vec::new();
        jobs.phase.render(&jobs.plan, work.job, work.from, &mut lines)?;
        if chunks.send(lines.into()).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn take(jobs: &Phased) -> Option<Work> {
    let job = jobs.next.fetch_add(1, Relaxed);
    (job < jobs.phase.jobs(&jobs.plan)).then_some(Work { job, from: 0, internal_errors: 0 })
}

async fn checked(response: Response) -> Result<Response, Halt> {
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(response);
    }
    let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.bytes().await.unwrap_or_default();
    let refusal = Api::refusal(status, &body, PATH);
    if status.is_server_error() {
        return Err(Halt::Pause(Duration::from_secs(after.unwrap_or(1)), refusal.to_string()));
    }
    Err(Halt::Fatal(refusal))
}

fn broken(api: &Api, phase: Phase, error: reqwest::Error) -> Halt {
    Halt::Pause(Duration::ZERO, format!("{:#}", api.unreachable(Service::Command(phase.context()), error)))
}

/// Reads answers until the stream ends; a job that has to be sent again goes to `again`.
async fn read(
    jobs: &Phased,
    response: Response,
    on_the_way: &mut mpsc::Receiver<Work>,
    pausing: &AtomicBool,
    again: &mut VecDeque<Work>,
) -> Result<(), Halt> {
    let mut chunks = response.bytes_stream();
    let mut buffer = Vec::new();
    let mut current: Option<Progress> = None;
    let mut pause = None;
    let outcome = loop {
        let chunk = match chunks.next().await {
            None => break Ok(()),
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => break Err(Halt::Pause(Duration::ZERO, format!("the connection broke: {error}"))),
        };
        buffer.extend_from_slice(&chunk);
        jobs.tally.progressed();
        let mut start = 0;
        while let Some(length) = buffer[start..].iter().position(|byte| *byte == b'\n') {
            let line = &buffer[start..start + length];
            start += length + 1;
            let Ok(answer) = serde_json::from_slice::<Answer>(line) else {
                return Err(Halt::Fatal(anyhow!(
                    "{PATH} answered with a line that is no answer: {}",
                    String::from_utf8_lossy(line)
                )));
            };
            let Some(mut progress) = current.take().or_else(|| on_the_way.try_recv().ok().map(Progress::new)) else {
                return Err(Halt::Fatal(anyhow!("{PATH} answered more lines than it was sent")));
            };
            if let Some((after, cause)) = progress.answer(jobs, answer) {
                pausing.store(true, Relaxed);
                pause = Some((after, cause));
            }
            if !progress.is_complete(jobs.phase) {
                current = Some(progress);
            } else if let Some(work) = progress.finish(jobs) {
                again.push_back(work);
            }
        }
        buffer.drain(..start);
    };
    if let Some(work) = current.and_then(|progress| progress.finish(jobs)) {
        again.push_back(work);
    }
    outcome?;
    match pause {
        Some((after, cause)) => Err(Halt::Pause(after, cause)),
        // The service ended the stream early: what is left over is sent again.
        None if !on_the_way.is_empty() || !again.is_empty() => {
            Err(Halt::Pause(Duration::ZERO, "the stream ended early".to_owned()))
        }
        None => Ok(()),
    }
}

/// The answers to one job, as far as they have come.
struct Progress {
    work: Work,
    answered: usize,
    /// Commands that are done, from the job's first on.
    settled: usize,
    replayed: u64,
    verdict: Verdict,
    reached: Option<(Uuid, u64)>,
}

enum Verdict {
    GoingWell,
    /// To be sent again from the first command that is not settled.
    Later,
    Refused(String),
}

impl Progress {
    fn new(work: Work) -> Self {
        Self { work, answered: work.from, settled: work.from, replayed: 0, verdict: Verdict::GoingWell, reached: None }
    }

    /// Takes the next answer. After the first bad one the others only say that something before them is missing.
    fn answer(&mut self, jobs: &Phased, answer: Answer) -> Option<(Duration, String)> {
        self.answered += 1;
        if !matches!(self.verdict, Verdict::GoingWell) {
            return None;
        }
        let problem = answer.problem.unwrap_or_default();
        match answer.status {
            200..=299 => {
                self.settled += 1;
                self.replayed += u64::from(answer.replayed);
                // What an earlier import did has long been visible: its lag would say nothing.
                self.reached = answer.id.zip(answer.version).filter(|_| !answer.replayed);
                None
            }
            _ if jobs.phase.is_done_already(problem.name()) => {
                self.settled += 1;
                self.replayed += 1;
                None
            }
            status if status == 503 || (status >= 500 && self.work.internal_errors < MAX_INTERNAL_ERRORS) => {
                self.work.internal_errors += u32::from(status != 503);
                self.verdict = Verdict::Later;
                let after = Duration::from_secs(problem.retry_after.unwrap_or(1));
                Some((after, format!("{status} {}", problem.detail)))
            }
            status => {
                self.verdict = Verdict::Refused(format!("{status} {}: {}", problem.name(), problem.detail));
                None
            }
        }
    }

    const fn is_complete(&self, phase: Phase) -> bool {
        self.answered >= phase.commands_per_job()
    }

    /// Counts what is settled; gives the rest, if it is to be sent again.
    fn finish(self, jobs: &Phased) -> Option<Work> {
        let all = jobs.phase.commands_per_job();
        let counted = if matches!(self.verdict, Verdict::Refused(_)) { all } else { self.settled };
        let commands = u64::try_from(counted - self.work.from).unwrap_or_default();
        jobs.tally.settled(commands, self.replayed);
        if let Verdict::Refused(problem) = self.verdict {
            jobs.tally.failed(Failure { job: self.work.job, problem });
            return None;
        }
        if self.settled < all {
            return Some(Work { from: self.settled, ..self.work });
        }
        if let Some((stream, version)) = self.reached {
            jobs.tally.reached(stream, version);
        }
        None
    }
}
