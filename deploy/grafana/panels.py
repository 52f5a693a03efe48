"""What the dashboards show: one line a panel, as data.

A query's `$model` is the dashboard's variable. A panel without a unit shows plain numbers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL and the name of its series; `{{label}}` stands for a label's value."""

    expr: str
    legend: str = "{{model}}"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: a graph, or with `stat` a single number."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    text: str = ""
    stat: bool = False
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A titled group of panels."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; `name` is its file and, prefixed, its lasting id."""

    name: str
    title: str
    rows: tuple[Row, ...]


def _one(expr: str, legend: str = "{{model}}") -> tuple[Query, ...]:
    return (Query(expr, legend),)


def _quantile(share: float, metric: str, labels: str = "model", window: str = "") -> Query:
    span = window or "$__rate_interval"
    rates = f'sum by ({labels}, le) (rate({metric}_bucket{{model=~"$model"}}[{span}]))'
    return Query(f"histogram_quantile({share}, {rates})", f"{{{{model}}}} p{share * 100:.0f}")


MODEL = '{model=~"$model"}'
LANE = "{{model}} {{size}}"
REFUSED = (
    "sum by (route, status) (rate(blockcache_request_duration_seconds_count"
    '{status=~"422|429|503|504"}[$__rate_interval]))'
)
SLOWEST = (
    "histogram_quantile(0.95, sum by (route, le) "
    "(rate(blockcache_request_duration_seconds_bucket[$__rate_interval])))"
)
FILLED = "max(blockcache_store_memory_bytes)"
LATEST = "time() - blockcache_card_published_timestamp_seconds"

SERVICE = Board(
    "service",
    "Service",
    (
        Row(
            "Now",
            (
                Panel("Images per second", _one(f"sum(model:blockcache_images:rate5m{MODEL})", ""),
                      stat=True, text="Pictures made, mean of five minutes."),
                Panel("In time", _one(f"model:blockcache_budget_met:ratio_rate5m{MODEL}"),
                      "percentunit", "Share of requests that kept their budget.", True, 1),
                Panel("Budget used", _one(f"model:blockcache_budget_used:avg_rate5m{MODEL}"),
                      "percentunit", "Time taken ÷ budget; unused budget is unused quality.", True),
                Panel("Ready workers",
                      _one(f"model_size:blockcache_workers_ready:sum{MODEL}", LANE), stat=True),
                Panel("Work waiting",
                      _one(f"model_size:blockcache_queue_work_seconds:max{MODEL}", LANE), "s",
                      "Predicted time of queued jobs: the signal to scale by.", True),
                Panel("Dead letters", _one("max(blockcache_dead_letters)", ""), stat=True,
                      text="Jobs given up after their last attempt."),
            ),
        ),
        Row(
            "Pictures and budgets",
            (
                Panel("Images per second by model", _one(f"model:blockcache_images:rate5m{MODEL}")),
                Panel("Images per second by plan",
                      _one(f"model_plan:blockcache_images:rate5m{MODEL}", "{{model}} {{plan}}")),
                Panel("In-time share", _one(f"model:blockcache_budget_met:ratio_rate5m{MODEL}"),
                      "percentunit", most=1),
                Panel("Budgets asked for",
                      (_quantile(0.5, "blockcache_budget_seconds"),
                       _quantile(0.95, "blockcache_budget_seconds")), "s"),
                Panel("Budget used",
                      (_quantile(0.5, "blockcache_budget_used_ratio"),
                       _quantile(0.95, "blockcache_budget_used_ratio")),
                      "percentunit", "Over 100 % is late."),
                Panel("Requests by outcome",
                      _one("sum by (outcome) (rate(blockcache_jobs_total[$__rate_interval]))",
                           "{{outcome}}"), "reqps"),
            ),
        ),
        Row(
            "Queue, refusals, store",
            (
                Panel("Wait in the queue",
                      (_quantile(0.5, "blockcache_queue_wait_seconds"),
                       _quantile(0.95, "blockcache_queue_wait_seconds")), "s"),
                Panel("Jobs waiting", _one(f"model_size:blockcache_queue_depth:max{MODEL}", LANE)),
                Panel("Work waiting",
                      _one(f"model_size:blockcache_queue_work_seconds:max{MODEL}", LANE), "s"),
                Panel("Refusals", _one(REFUSED, "{{route}} {{status}}"), "reqps",
                      "422: no plan is that fast, or a wrong field. 429: over a key's limit. "
                      "503: no room or no worker. 504: gave up waiting."),
                Panel("Slowest twentieth of requests", _one(SLOWEST, "{{route}}"), "s"),
                Panel("Memory of the store",
                      (Query(FILLED, "used"),
                       Query("max(blockcache_store_memory_limit_bytes)", "limit (0: none)")),
                      "bytes"),
            ),
        ),
    ),
)  # fmt: skip

CACHE = Board(
    "block-cache",
    "Block cache",
    (
        Row(
            "Hits",
            (
                Panel("Hit ratio", _one(f"model:blockcache_block_hits:ratio_rate5m{MODEL}"),
                      "percentunit", "Block executions that were not computed ÷ all.", most=1),
                Panel("Block executions",
                      _one(f"sum by (result) (rate(blockcache_block_executions_total{MODEL}"
                           "[$__rate_interval]))", "{{result}}"), "ops",
                      "Computed; reused from the cache; skipped because only reused results "
                      "needed them."),
                Panel("Compute fraction",
                      _one(f"model:blockcache_compute_fraction:avg_rate5m{MODEL}"), "percentunit",
                      "Computed part of the denoising time of uncached runs, mean.", most=1),
                Panel("Compute fraction, spread",
                      (_quantile(0.1, "blockcache_compute_fraction"),
                       _quantile(0.9, "blockcache_compute_fraction")), "percentunit", most=1),
            ),
        ),
        Row(
            "Plans and predictions",
            (
                Panel("Plans in use",
                      _one(f"sum by (model, plan) (rate(blockcache_plans_total{MODEL}"
                           "[$__rate_interval]))", "{{model}} {{plan}}"), "reqps"),
                Panel("Actual ÷ predicted time",
                      (_quantile(0.05, "blockcache_plan_error_ratio"),
                       _quantile(0.5, "blockcache_plan_error_ratio"),
                       _quantile(0.95, "blockcache_plan_error_ratio")),
                      text="1 is right; above is slower than predicted."),
                Panel("Plans replaced at start",
                      _one(f"sum by (model) (rate(blockcache_replans_total{MODEL}"
                           "[$__rate_interval]))"), "reqps",
                      "The worker had less time left than the gateway had expected."),
                Panel("Steered steps",
                      (Query("sum by (instance) (rate(blockcache_hurried_steps_total"
                             "[$__rate_interval]))", "{{instance}} less"),
                       Query("sum by (instance) (rate(blockcache_extended_steps_total"
                             "[$__rate_interval]))", "{{instance}} more")), "ops",
                      "Steps that computed less or more than planned, to end when promised."),
            ),
        ),
    ),
)  # fmt: skip

WORKERS = Board(
    "workers",
    "Workers",
    (
        Row(
            "Each worker",
            (
                Panel("Images per second",
                      _one(f"sum by (instance, model) (rate(blockcache_images_total{MODEL}"
                           "[$__rate_interval]))", "{{instance}} {{model}}")),
                Panel("Pictures at once, mean",
                      _one("rate(blockcache_batch_size_sum[$__rate_interval]) / "
                           "rate(blockcache_batch_size_count[$__rate_interval])", "{{instance}}")),
                Panel("Time of a step",
                      _one("histogram_quantile(0.95, sum by (instance, le) (rate("
                           f"blockcache_step_seconds_bucket{MODEL}[$__rate_interval])))",
                           "{{instance}} p95"), "s"),
                Panel("Time of denoising",
                      _one("histogram_quantile(0.95, sum by (instance, le) (rate("
                           "blockcache_denoise_seconds_bucket[$__rate_interval])))",
                           "{{instance}} p95"), "s"),
                Panel("Ready",
                      _one(f"max by (worker, model) (blockcache_worker_up{MODEL})",
                           "{{worker}} {{model}}")),
                Panel("Since last announced", _one(LATEST, "{{instance}}"), "s",
                      "Workers announce themselves every second while the store answers."),
            ),
        ),
        Row(
            "Troubles and devices",
            (
                Panel("Retries", _one("sum by (instance) (rate(blockcache_retries_total"
                                      "[$__rate_interval]))", "{{instance}}"), "ops"),
                Panel("Leases lost", _one("sum by (instance) (rate(blockcache_leases_lost_total"
                                          "[$__rate_interval]))", "{{instance}}"), "ops",
                      "Results refused because another worker had taken over."),
                Panel("GPU memory", _one("blockcache_gpu_memory_bytes", "{{instance}}"), "bytes",
                      "0 without a GPU."),
                Panel("GPU temperature",
                      _one("blockcache_gpu_temperature_celsius", "{{instance}}"), "celsius",
                      "Only with an NVIDIA GPU; needs the package nvidia-ml-py."),
            ),
        ),
    ),
)  # fmt: skip

BOARDS = (SERVICE, CACHE, WORKERS)
