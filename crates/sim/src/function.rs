//! The function as a service: a few instances at once, each of which may die, or freeze and thaw, at any await. What they do is
//! `materializer_fn::handler`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent::produce::invoke::CommitFunction;
use anyhow::{anyhow, bail};
use async_trait::async_trait;
use commit::invoke::{CommitRequest, CommitResponse};
use materializer_fn::{Context, Graces, handler};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::process::{Peer, Process};
use crate::random::Dice;
use crate::scribe::Scribe;
use crate::services::Services;
use crate::watched::Watched;

/// The function's timeout, as deployed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What it keeps back of that for its answer.
const ANSWER_MARGIN: Duration = Duration::from_millis(500);

/// How long an agent waits for an invocation.
const INVOKE_PATIENCE: Duration = Duration::from_secs(12);

/// The function.
#[derive(Debug)]
pub struct Function {
    services: Arc<Services>,
    graces: Graces,
    crash_permille: Watched<u64>,
    down: Watched<bool>,
    permits: Semaphore,
    warm: Mutex<Vec<Instance>>,
    dice: Dice,
    scribe: Scribe,
}

/// A process of the function; it serves one invocation at a time.
#[derive(Clone, Debug)]
struct Instance {
    process: Process,
    context: Arc<Context>,
}

/// How an invocation is made to end.
enum Mishap {
    None,
    Crash(Duration),
    Freeze(Duration, Duration),
}

impl Function {
    /// No instance is warm yet.
    pub fn new(services: Arc<Services>, instances: usize, graces: Graces, crash_permille: u64, dice: Dice) -> Self {
        Self {
            scribe: services.scribe.clone(),
            services,
            graces,
            crash_permille: Watched::new(crash_permille),
            down: Watched::new(false),
            permits: Semaphore::new(instances),
            warm: Mutex::default(),
            dice,
        }
    }

    /// From now on no instance dies.
    pub fn heal(&self) {
        self.crash_permille.set(0);
        self.down.set(false);
    }

    /// Whether invocations are refused.
    pub fn set_down(&self, down: bool) {
        self.down.set(down);
    }

    /// Waits until invocations are taken.
    pub async fn up(&self) {
        self.down.when(|down| !down).await;
    }

    /// One synchronous invocation. An error says nothing about what happened.
    pub async fn invoke(&self, payload: Value) -> anyhow::Result<Value> {
        if self.down.get() {
            bail!("the function takes no invocations");
        }
        let _permit = self.permits.acquire().await?;
        let instance = self.take_warm();
        sleep(self.dice.ms(1..12)).await;
        let answer = self.run(&instance, payload).await;
        match &answer {
            Ok(_) => self.warm().push(instance),
            Err(error) => self.scribe.note(
                "invocation failed",
                format_args!("{} {error:#}", instance.process.name()),
            ),
        }
        answer
    }

    async fn run(&self, instance: &Instance, payload: Value) -> anyhow::Result<Value> {
        let deadline = Instant::now() + TIMEOUT - ANSWER_MARGIN;
        let context = Arc::clone(&instance.context);
        let mut work = tokio::spawn(async move { handler::handle(&context, payload, deadline).await });
        let mishap = async {
            match self.mishap() {
                Mishap::None => sleep(TIMEOUT).await,
                Mishap::Crash(after) => {
                    sleep(after).await;
                    self.scribe.note("function crashed", instance.process.name());
                }
                Mishap::Freeze(after, lasts) => {
                    sleep(after).await;
                    self.scribe.note("function frozen", instance.process.name());
                    instance.process.set_paused(true);
                    let thawing = instance.process.clone();
                    tokio::spawn(async move {
                        sleep(lasts).await;
                        thawing.set_paused(false);
                    });
                    sleep(TIMEOUT - after).await;
                    return false;
                }
            }
            true
        };
        tokio::select! {
            biased;
            answer = &mut work => Ok(serde_json::to_value(answer??)?),
            dies = mishap => {
                if dies {
                    instance.process.kill();
                    work.abort();
                }
                Err(anyhow!("no answer"))
            }
        }
    }

    fn mishap(&self) -> Mishap {
        if !self.dice.chance(self.crash_permille.get()) {
            return Mishap::None;
        }
        let after = self.dice.ms(0..250);
        if self.dice.chance(300) {
            Mishap::Freeze(after, self.dice.ms(200..25_000))
        } else {
            Mishap::Crash(after)
        }
    }

    fn take_warm(&self) -> Instance {
        if let Some(instance) = self.warm().pop() {
            return instance;
        }
        self.scribe.count("function started");
        let process = Process::new(format!("function-{}", self.services.next_number()));
        let metastore = self.services.metastore(&process);
        let (store, _) = self.services.bucket(&process);
        let context =
            Context::new(metastore, store, self.graces).with_nature(Arc::new(self.services.clock), self.dice.entropy());
        Instance {
            process,
            context: Arc::new(context),
        }
    }

    fn warm(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Delivers events for ever; several of these run at once.
pub async fn deliver(function: Arc<Function>) {
    let queue = Arc::clone(&function.services.queue);
    loop {
        function.up().await;
        let delivery = queue.receive().await;
        if let Ok(answer) = function.invoke(delivery.payload.clone()).await {
            queue.settle(&delivery, &answer);
        }
    }
}

/// Invokes the sweep on its schedule for ever; sometimes two of them meet.
pub async fn sweep_on_schedule(function: Arc<Function>, pause_ms: std::ops::Range<u64>, doubled_permille: u64) {
    let dice = function.dice.fork();
    loop {
        sleep(dice.ms(pause_ms.clone())).await;
        let times = if dice.chance(doubled_permille) { 2 } else { 1 };
        let sweep = async |delay| {
            sleep(delay).await;
            function.scribe.count("sweep");
            // A sweep that fails is made good by the next one.
            let _ = function.invoke(json!({"yaks": "sweep/1"})).await;
        };
        if times == 2 {
            futures::future::join(sweep(Duration::ZERO), sweep(dice.ms(0..30))).await;
        } else {
            sweep(Duration::ZERO).await;
        }
    }
}

/// One agent's way to the function.
#[derive(Debug)]
pub struct FunctionClient {
    /// Whose.
    pub process: Process,
    /// Of whom.
    pub function: Arc<Function>,
}

#[async_trait]
impl CommitFunction for FunctionClient {
    async fn invoke(&self, request: &CommitRequest) -> anyhow::Result<CommitResponse> {
        self.process.pass(Peer::Function).await;
        let (function, payload) = (Arc::clone(&self.function), serde_json::to_value(request)?);
        // Once asked it goes on, whether its caller waits or not.
        let invocation = tokio::spawn(async move { function.invoke(payload).await });
        let answer = timeout(INVOKE_PATIENCE, invocation).await;
        self.process.pass(Peer::Function).await;
        Ok(serde_json::from_value(answer???)?)
    }
}
