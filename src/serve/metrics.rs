//! What `/metrics` tells, in the form of Prometheus. Never a text, an account or a key.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use super::scheduler::Load;
use crate::detect::Row;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Everything counted.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<PathLabels, Histogram, fn() -> Histogram>,
    /// Requests being answered.
    pub in_flight: Gauge,
    /// From a request to its first token.
    pub time_to_first_token: Histogram,
    /// Between tokens of one answer.
    pub inter_token: Histogram,
    tokens: Family<KindLabels, Counter>,
    marks: Family<MarkLabels, Counter>,
    marked_tokens: Family<StateLabels, Counter>,
    ended: Family<ReasonLabels, Counter>,
    verdicts: Family<VerdictLabels, Counter>,
    detected_tokens: Counter,
    receipts: Family<ResultLabels, Counter>,
    reloads: Family<ResultLabels, Counter>,
    engine: Engine,
}

/// What the scheduler does, copied when it is asked for.
#[derive(Default)]
struct Engine {
    running: Gauge,
    waiting: Gauge,
    idle: Gauge,
    cache_used: Gauge<i64, AtomicI64>,
    cache_capacity: Gauge<i64, AtomicI64>,
    reused: Counter<u64, AtomicU64>,
    cancelled: Counter<u64, AtomicU64>,
    steps: Counter<u64, AtomicU64>,
}

/// The scheduler's numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineLoad {
    /// Sequences that are computed.
    pub running: u64,
    /// Jobs that wait.
    pub waiting: u64,
    /// Sequences kept for their prefix.
    pub idle: u64,
    /// Bytes of the cache in use or reserved.
    pub cache_used: u64,
    /// Bytes that it may have.
    pub cache_capacity: u64,
    /// Prompt tokens that were not computed again, since the start.
    pub reused: u64,
    /// Jobs that nobody waited for, since the start.
    pub cancelled: u64,
    /// Steps, since the start.
    pub steps: u64,
}

impl EngineLoad {
    /// The scheduler's own numbers, where a position takes so many bytes.
    pub fn of(load: &Load, bytes_per_position: u64) -> Self {
        let bytes = |positions: usize| positions as u64 * bytes_per_position;
        Self {
            running: load.running as u64,
            waiting: load.waiting as u64,
            idle: load.idle_sequences as u64,
            cache_used: bytes(load.positions_reserved + load.idle_positions),
            cache_capacity: bytes(load.positions_capacity),
            reused: load.reused_tokens,
            cancelled: load.cancelled,
            steps: load.steps,
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    path: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PathLabels {
    path: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MarkLabels {
    profile: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    profile: String,
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// Seconds, as vLLM's latencies have them, with room for a small model on a CPU.
const LATENCIES: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

fn latencies() -> Histogram {
    Histogram::new(LATENCIES)
}

impl Metrics {
    /// All at zero.
    pub fn new(model: Option<&str>) -> Self {
        let metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(latencies as fn() -> Histogram),
            in_flight: Gauge::default(),
            time_to_first_token: latencies(),
            inter_token: latencies(),
            tokens: Family::default(),
            marks: Family::default(),
            marked_tokens: Family::default(),
            ended: Family::default(),
            verdicts: Family::default(),
            detected_tokens: Counter::default(),
            receipts: Family::default(),
            reloads: Family::default(),
            engine: Engine::default(),
        };
        metrics.registered(model)
    }

    fn registered(mut self, model: Option<&str>) -> Self {
        let mut registry = Registry::default();
        registry.register("http_requests", "Requests answered", self.requests.clone());
        let (seconds, durations) = (Unit::Seconds, self.durations.clone());
        registry.register_with_unit(
            "http_request_duration",
            "From request to the end of the answer",
            seconds,
            durations,
        );
        registry.register(
            "http_requests_in_flight",
            "Requests being answered",
            self.in_flight.clone(),
        );
        let ours = registry.sub_registry_with_prefix("touchmark");
        let labels = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("model", model.unwrap_or_default().to_owned()),
        ];
        ours.register("build", "This server", prometheus_client::metrics::info::Info::new(labels));
        ours.register_with_unit(
            "time_to_first_token",
            "From request to first token",
            Unit::Seconds,
            self.time_to_first_token.clone(),
        );
        ours.register_with_unit(
            "inter_token_latency",
            "Between tokens of one answer",
            Unit::Seconds,
            self.inter_token.clone(),
        );
        ours.register("tokens", "Tokens of prompts and answers", self.tokens.clone());
        ours.register("answers_ended", "Answers by why they ended", self.ended.clone());
        ours.register(
            "watermark_requests",
            "Requests by what became of the mark",
            self.marks.clone(),
        );
        ours.register(
            "watermark_tokens",
            "Tokens of answers by what became of the mark",
            self.marked_tokens.clone(),
        );
        ours.register("detect_documents", "Texts examined", self.verdicts.clone());
        ours.register("detect_tokens", "Tokens examined", self.detected_tokens.clone());
        ours.register("receipts", "Receipts by whether they were kept", self.receipts.clone());
        ours.register(
            "policy_reloads",
            "Times that policies were loaded again",
            self.reloads.clone(),
        );
        self.engine.register(ours);
        self.registry = registry;
        self
    }

    /// One request was answered.
    pub fn request(&self, method: &str, path: &str, status: u16, took: Duration) {
        let labels = RequestLabels { method: method.to_owned(), path: path.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        let labels = PathLabels { path: path.to_owned() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Tokens were read or written: `prompt` or `output`.
    pub fn count_tokens(&self, kind: &'static str, count: usize) {
        self.tokens.get_or_create(&KindLabels { kind }).inc_by(count as u64);
    }

    /// What became of one request's mark: `applied`, `exempt`, `opted_out`, `not_requested`, `unmarkable`, `rejected`.
    pub fn mark(&self, profile: &str, result: &'static str) {
        self.marks.get_or_create(&MarkLabels { profile: profile.to_owned(), result }).inc();
    }

    /// Tokens of an answer: `marked`, or why not.
    pub fn marked(&self, profile: &str, state: &'static str, count: usize) {
        let labels = StateLabels { profile: profile.to_owned(), state };
        self.marked_tokens.get_or_create(&labels).inc_by(count as u64);
    }

    /// An answer ended: `stop`, `length`, `abort`, `cancelled`, `failed`.
    pub fn ended(&self, reason: &'static str) {
        self.ended.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A text was examined: it counts once, by what speaks most for a mark.
    pub fn verdicts(&self, rows: &[Row]) {
        let best = rows.iter().min_by(|a, b| a.log10_p_corrected.total_cmp(&b.log10_p_corrected));
        let Some(best) = best else { return };
        self.verdicts.get_or_create(&VerdictLabels { verdict: best.verdict.as_str() }).inc();
        self.detected_tokens.inc_by(best.tokens_total as u64);
    }

    /// A receipt was kept, or could not be.
    pub fn receipt(&self, kept: bool) {
        let result = if kept { "kept" } else { "failed" };
        self.receipts.get_or_create(&ResultLabels { result }).inc();
    }

    /// Policies were loaded again, or could not be.
    pub fn reload(&self, done: bool) {
        let result = if done { "done" } else { "refused" };
        self.reloads.get_or_create(&ResultLabels { result }).inc();
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// [`std::fmt::Error`] never happens for a `String`.
    pub fn text(&self, load: Option<EngineLoad>) -> Result<String, std::fmt::Error> {
        if let Some(load) = load {
            self.engine.copy(&load);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Engine {
    fn register(&self, ours: &mut Registry) {
        ours.register("sequences_running", "Sequences being computed", self.running.clone());
        ours.register("queue_depth", "Requests that wait", self.waiting.clone());
        ours.register("sequences_idle", "Sequences kept for their prefix", self.idle.clone());
        let bytes = || Unit::Bytes;
        ours.register_with_unit(
            "kv_cache_used",
            "Memory of the cache in use or reserved",
            bytes(),
            self.cache_used.clone(),
        );
        ours.register_with_unit(
            "kv_cache_capacity",
            "Memory that the cache may have",
            bytes(),
            self.cache_capacity.clone(),
        );
        ours.register(
            "prefix_tokens_reused",
            "Prompt tokens not computed again",
            self.reused.clone(),
        );
        ours.register(
            "requests_cancelled",
            "Requests that nobody waited for",
            self.cancelled.clone(),
        );
        ours.register("engine_steps", "Steps of the model", self.steps.clone());
    }

    fn copy(&self, load: &EngineLoad) {
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.running.set(whole(load.running));
        self.waiting.set(whole(load.waiting));
        self.idle.set(whole(load.idle));
        self.cache_used.set(whole(load.cache_used));
        self.cache_capacity.set(whole(load.cache_capacity));
        for (counter, value) in [
            (&self.reused, load.reused),
            (&self.cancelled, load.cancelled),
            (&self.steps, load.steps),
        ] {
            counter.inc_by(value.saturating_sub(counter.get()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_come_out_under_their_names() {
        let metrics = Metrics::new(Some("toy"));
        metrics.request("POST", "/v1/completions", 200, Duration::from_millis(30));
        metrics.mark("default", "applied");
        metrics.marked("default", "marked", 7);
        let load = EngineLoad { running: 3, reused: 12, ..EngineLoad::default() };
        metrics.text(Some(load)).unwrap();
        // Counters are copied, not added again.
        let text = metrics.text(Some(load)).unwrap();
        for line in [
            "http_requests_total{method=\"POST\",path=\"/v1/completions\",status=\"200\"} 1",
            "touchmark_watermark_requests_total{profile=\"default\",result=\"applied\"} 1",
            "touchmark_watermark_tokens_total{profile=\"default\",state=\"marked\"} 7",
            "touchmark_sequences_running 3",
            "touchmark_prefix_tokens_reused_total 12",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
