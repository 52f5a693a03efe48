"""The bodies of AUTOMATIC1111's API, and which of its many fields may say what."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from app.errors import FieldError
from app.schemas import MAX_SEED, MAX_SIDE_PX, BudgetMs, Prompt, Text
from app.settings import MAX_IMAGES

RANDOM_SEED = -1
MAX_STEPS = 1000
FORMATS = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}

# Fields of features this service has not: the values that ask for none of it. Their details, such
# as the size of a second pass, say nothing as long as the feature itself is off.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "alwayson_scripts": (None, {}),
    "enable_hr": (None, False),
    "eta": (None, 0),
    "firstpass_image": (None, ""),
    "refiner_checkpoint": (None, "", "None"),
    "restore_faces": (None, False),
    "save_images": (None, False),
    "scheduler": (None, "", "Automatic", "automatic"),
    "script_name": (None, ""),
    "s_churn": (None, 0),
    "s_min_uncond": (None, 0),
    "seed_resize_from_h": (None, 0, -1),
    "seed_resize_from_w": (None, 0, -1),
    "styles": (None, []),
    "subseed_strength": (None, 0),
    "tiling": (None, False),
}
DETAILS = frozenset(
    {
        *("denoising_strength", "firstphase_height", "firstphase_width", "subseed", "script_args"),
        *("hr_additional_modules", "hr_cfg", "hr_checkpoint_name", "hr_negative_prompt"),
        *("hr_prompt", "hr_resize_x", "hr_resize_y", "hr_sampler_name", "hr_scale"),
        *("hr_scheduler", "hr_second_pass_steps", "hr_upscaler", "refiner_switch_at"),
        *("comments", "disable_extra_networks", "do_not_save_grid", "do_not_save_samples"),
        *("override_settings_restore_afterwards", "s_noise", "s_tmax", "s_tmin", "infotext"),
    }
)
NEUTRAL_SETTINGS: dict[str, tuple[Any, ...]] = {
    "CLIP_stop_at_last_layers": (None, 1),
    "eta_noise_seed_delta": (None, 0),
    "sd_vae": (None, "", "Automatic", "None"),
}


class Settings(BaseModel):
    """The options a request may override."""

    model_config = ConfigDict(extra="allow", frozen=True)

    sd_model_checkpoint: Annotated[str, Field(max_length=300)] | None = None
    samples_format: Annotated[str, Field(max_length=8)] | None = None
    jpeg_quality: int | None = Field(default=None, ge=1, le=100)
    enable_pnginfo: StrictBool | None = None
    live_previews_enable: StrictBool | None = None


class Txt2ImgRequest(BaseModel):
    """A request for pictures. Further fields are those of `NEUTRAL` and `DETAILS`."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    prompt: Prompt
    negative_prompt: Text | None = None
    seed: int | None = Field(default=RANDOM_SEED, ge=RANDOM_SEED, le=MAX_SEED - MAX_IMAGES)
    batch_size: int | None = Field(default=1, ge=1, le=MAX_IMAGES)
    n_iter: int | None = Field(default=1, ge=1, le=MAX_IMAGES)
    steps: int | None = Field(default=None, ge=1, le=MAX_STEPS)
    cfg_scale: float | None = Field(default=None, ge=1, le=30)
    width: int | None = Field(default=None, ge=8, le=MAX_SIDE_PX)
    height: int | None = Field(default=None, ge=8, le=MAX_SIDE_PX)
    sampler_name: Annotated[str, Field(max_length=100)] | None = None
    sampler_index: Annotated[str, Field(max_length=100)] | None = None
    override_settings: Settings | None = None
    send_images: bool | None = True
    force_task_id: Annotated[str, Field(max_length=200)] | None = None
    latency_budget_ms: BudgetMs | None = None

    @property
    def settings(self) -> Settings:
        """The overridden options."""
        return self.override_settings or Settings()

    @property
    def images(self) -> int:
        """How many pictures all batches have together."""
        return (self.batch_size or 1) * (self.n_iter or 1)

    @property
    def first_seed(self) -> int | None:
        """The seed of the first picture, None for any."""
        return None if self.seed == RANDOM_SEED else self.seed


class Txt2ImgResponse(BaseModel):
    """Pictures in base64, the request as it came, and what was made as a JSON string."""

    images: list[str]
    parameters: dict[str, Any]
    info: str


class ProgressState(BaseModel):
    """Where the caller's job is."""

    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    job: str = ""
    job_count: int = 0
    job_timestamp: str = "0"
    job_no: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0


class ProgressResponse(BaseModel):
    """How far the caller's job is, 0 to 1, and the seconds it will still take."""

    progress: float = 0.0
    eta_relative: float = 0.0
    state: ProgressState = Field(default_factory=ProgressState)
    current_image: str | None = None
    textinfo: str | None = None


def refused(wish: Txt2ImgRequest) -> list[FieldError]:
    """Return what a request asks for and nobody here can do."""
    asked = (wish.model_extra or {}).items()
    settings = refused_settings(wish.settings)
    return [
        *(_refusal(name, NEUTRAL) for name, value in asked if _means(name, value, NEUTRAL)),
        *(FieldError(f"override_settings.{e.field}", e.message) for e in settings),
    ]


def refused_settings(settings: Settings) -> list[FieldError]:
    """Return the options nobody here can set."""
    asked = (settings.model_extra or {}).items()
    wrong = [
        _refusal(name, NEUTRAL_SETTINGS)
        for name, value in asked
        if _means(name, value, NEUTRAL_SETTINGS)
    ]
    if settings.samples_format and settings.samples_format.lower() not in FORMATS:
        wrong.append(FieldError("samples_format", f"must be one of {', '.join(FORMATS)}"))
    return wrong


def _means(name: str, value: Any, neutral: dict[str, tuple[Any, ...]]) -> bool:
    return name not in DETAILS and value not in neutral.get(name, ())


def _refusal(name: str, neutral: dict[str, tuple[Any, ...]]) -> FieldError:
    if name not in neutral:
        return FieldError(name[:100], "is not known here; leave it out")
    usual = json.dumps(neutral[name][-1])
    return FieldError(name, f"is not supported here; leave it out or send {usual}")
