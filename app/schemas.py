"""The bodies of requests and answers, exactly as they travel."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.settings import MAX_BUDGET_MS, MAX_IMAGES, MAX_PROMPT_CHARS

MAX_SEED = 2**63 - 1
MAX_SIDE_PX = 4096
MAX_PREVIEWS = 8


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must say something: it is empty or only blanks")
    return text


Text = Annotated[str, Field(max_length=MAX_PROMPT_CHARS), AfterValidator(_without_nul)]
Prompt = Annotated[Text, AfterValidator(_not_blank)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_without_nul)]
BudgetMs = Annotated[float, Field(gt=0, le=MAX_BUDGET_MS)]
WebhookUrl = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_without_nul)]
Side = Annotated[int, Field(ge=8, le=MAX_SIDE_PX)]
Guidance = Annotated[float | None, Field(ge=1, le=30)]
Seed = Annotated[int | None, Field(ge=0, le=MAX_SEED)]


class Message(BaseModel):
    """A body in which unknown fields and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class PlanRequest(Message):
    """Which plan would be picked: every field has a default."""

    latency_budget_ms: BudgetMs | None = None
    model: Name | None = None
    width: Side | None = None
    height: Side | None = None
    num_images: int = Field(default=1, ge=1, le=MAX_IMAGES)
    min_quality: float = Field(default=0.0, ge=0, le=1)


class GenerateRequest(PlanRequest):
    """A picture, or several with the seeds seed, seed+1 and so on."""

    prompt: Prompt
    negative_prompt: Text = ""
    guidance_scale: Guidance = None
    seed: Seed = None
    response_format: Literal["b64_json", "url"] = "b64_json"
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_quality: int | None = Field(default=None, ge=1, le=100)
    embed_metadata: bool = True
    webhook_url: WebhookUrl | None = None
    previews: int = Field(default=0, ge=0, le=MAX_PREVIEWS)

    @model_validator(mode="after")
    def _seeds_fit(self) -> GenerateRequest:
        if self.seed is not None and self.seed + self.num_images - 1 > MAX_SEED:
            raise ValueError(f"seed + num_images - 1 must not exceed {MAX_SEED}")
        return self


class QualityBody(Message):
    """A measured quality; 1 is identical to the reference."""

    metric: str
    value: float


class RanPlanBody(Message):
    """The plan that made the pictures."""

    solver: str
    steps: int
    schedule: str
    correction: str | None
    compute_fraction: float
    predicted_ms: float
    quality: QualityBody
    replanned: bool
    hurried_steps: int
    extended_steps: int


class ImageBody(Message):
    """One picture: where it is, by which seed, and its bytes unless only the URL was wanted."""

    b64_json: str | None = None
    url: str
    seed: int


class TimingBody(Message):
    """Measured milliseconds; `total_ms` runs from acceptance to the stored result."""

    queue_ms: float
    encode_ms: float
    denoise_ms: float
    decode_ms: float
    png_ms: float
    total_ms: float


class BudgetBody(Message):
    """The budget and whether it was kept, by the gateway's clock."""

    requested_ms: float
    met: bool


class CacheBody(Message):
    """Block executions, counted."""

    computed: int
    reused: int
    skipped: int
    hit_ratio: float


class GenerateResponse(Message):
    """Pictures, and what it took to make them."""

    id: str
    created: int
    model: str
    images: list[ImageBody]
    plan: RanPlanBody
    timing: TimingBody
    budget: BudgetBody
    cache: CacheBody
    batch_size: int
    worker: str


class PricedPlanBody(Message):
    """A plan on offer: what it is, what it would cost, and how good it was measured."""

    name: str
    solver: str
    steps: int
    schedule: str
    correction: str | None
    compute_fraction: float
    predicted_ms: float
    p95_ms: float
    quality: QualityBody


class PlanResponse(Message):
    """The plan that would be picked now, the next best, and what more budget would buy."""

    model: str
    width: int
    height: int
    latency_budget_ms: float
    expected_wait_ms: float
    overhead_ms: float
    minimum_latency_ms: float
    picked: PricedPlanBody
    runners_up: list[PricedPlanBody]
    next_better: PricedPlanBody | None


class FailureBody(Message):
    """Why a job has no picture."""

    reason: str
    detail: str


class JobBody(Message):
    """Where a job is: `position` counts queued jobs with an earlier deadline."""

    id: str
    state: str
    attempt: int
    step: int
    steps: int
    position: int | None
    created: int
    deadline_unix_ms: int
    result: GenerateResponse | None = None
    failure: FailureBody | None = None


class CapacityBody(Message):
    """Pictures of `steps` uncached steps: the time of one alone, how many a second in batches."""

    steps: int
    predicted_ms: float
    images_per_s: float


class FrontierBody(Message):
    """The plans that no cheaper plan matches in quality, cheapest first, for one model and size.

    `preview_ms` is what a picture decoded in full on the way takes, `uncached` what all its workers
    make together when nothing is cached.
    """

    model: str
    width: int
    height: int
    workers: int
    minimum_latency_ms: float
    preview_ms: float
    uncached: CapacityBody
    plans: list[PricedPlanBody]


class PlansResponse(Message):
    """Every frontier of the live fleet."""

    frontiers: list[FrontierBody]


class ModelBody(Message):
    """A model that live workers offer."""

    id: str
    revision: str
    sizes: list[str]
    workers: int
    quality_metric: str
    best_quality: float


class ModelsResponse(Message):
    """Every model of the live fleet, the default one first."""

    models: list[ModelBody]


class HealthBody(Message):
    """Whether the gateway runs, or may be sent requests."""

    status: str
    workers: int | None = None


def openapi_problem() -> dict[str, Any]:
    """Describe an error body for the API description."""
    members = {"type": "string", "title": "string", "status": "integer", "detail": "string"}
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in members.items()},
    }
    return {"content": {"application/problem+json": {"schema": schema}}}
