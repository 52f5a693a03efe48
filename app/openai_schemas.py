"""The bodies of the OpenAI Images API, and what of them this service can do."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from app.schemas import MAX_SEED, BudgetMs, Message, Name, Prompt, Text
from app.settings import MAX_IMAGES

SIZE = re.compile(r"[1-9][0-9]{0,3}x[1-9][0-9]{0,3}", re.ASCII)
AUTO = "auto"
MAX_STEPS = 1000
Identifier = Annotated[str, Field(max_length=512)]
Quality = Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"]


def _is_size(text: str) -> str:
    if text != AUTO and not SIZE.fullmatch(text):
        raise ValueError("must be WIDTHxHEIGHT in pixels, such as 64x64, or auto")
    return text


class ImageRequest(Message):
    """What `images.generate` sends; the last block are fields of this service's own.

    `quality`, `moderation` and who asks change nothing: the latency budget decides the quality.
    """

    prompt: Prompt
    model: Name | None = None
    n: int | None = Field(default=1, ge=1, le=MAX_IMAGES)
    size: Annotated[str, Field(max_length=9), AfterValidator(_is_size)] | None = AUTO
    response_format: Literal["b64_json", "url"] | None = "b64_json"
    output_format: Literal["png", "jpeg", "webp"] | None = "png"
    output_compression: int | None = Field(default=None, ge=0, le=100)
    stream: bool | None = False
    partial_images: int | None = Field(default=0, ge=0, le=3)
    background: Literal["auto", "opaque"] | None = "auto"
    quality: Quality | None = "auto"
    moderation: Literal["auto", "low"] | None = "auto"
    user: Identifier | None = None
    safety_identifier: Identifier | None = None

    latency_budget_ms: BudgetMs | None = None
    negative_prompt: Text = ""
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED - MAX_IMAGES)
    guidance_scale: float | None = Field(default=None, ge=1, le=30)
    num_inference_steps: int | None = Field(default=None, ge=1, le=MAX_STEPS)
    min_quality: float = Field(default=0.0, ge=0, le=1)
    embed_metadata: bool = True

    @model_validator(mode="after")
    def _belongs_together(self) -> ImageRequest:
        if self.partial_images and not self.stream:
            raise ValueError("partial_images needs stream to be true")
        if self.stream and (self.n or 1) > 1:
            raise ValueError("n must be 1 when stream is true")
        return self

    @property
    def sides(self) -> tuple[int | None, int | None]:
        """Width and height in pixels; None leaves them to the service."""
        if self.size in {AUTO, None}:
            return None, None
        width, height = str(self.size).split("x")
        return int(width), int(height)


class ImageData(Message):
    """One picture: its bytes or its address, and the seed that makes it again."""

    b64_json: str | None = None
    url: str | None = None
    seed: int


class ImagesResponse(Message):
    """Pictures; `blockcache` says by which plan, in which time, with which cache hits."""

    created: int
    data: list[ImageData]
    background: Literal["opaque"] = "opaque"
    output_format: str
    size: str
    blockcache: dict[str, Any]


class UsageDetails(Message):
    """Tokens by kind: this service counts none."""

    image_tokens: int = 0
    text_tokens: int = 0


class Usage(Message):
    """Tokens, which clients expect to be told of and this service does not count."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: UsageDetails = Field(default_factory=UsageDetails)


class ImageEvent(Message):
    """What the two events of a stream have in common."""

    b64_json: str
    created_at: int
    background: Literal["opaque"] = "opaque"
    output_format: str
    quality: Literal["auto"] = "auto"
    size: str


class PartialImage(ImageEvent):
    """The picture as it is by now."""

    type: Literal["image_generation.partial_image"] = "image_generation.partial_image"
    partial_image_index: int


class CompletedImage(ImageEvent):
    """The finished picture, the last event of a stream that succeeds."""

    type: Literal["image_generation.completed"] = "image_generation.completed"
    seed: int
    usage: Usage = Field(default_factory=Usage)
    blockcache: dict[str, Any]


class ModelData(Message):
    """A model that live workers offer; `created` is when its plan book was measured (unix s)."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["blockcache"] = "blockcache"


class ModelList(Message):
    """Every model of the live fleet."""

    object: Literal["list"] = "list"
    data: list[ModelData]
