"""What a request may not ask for here, whatever workers there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import FieldError, InvalidRequest
from app.webhook_addresses import refusal

if TYPE_CHECKING:
    from app.settings import Settings
    from app.stages import PictureRequest


def check(request: PictureRequest, settings: Settings) -> None:
    """Raise InvalidRequest naming every field beyond the settings' limits."""
    chars = settings.max_prompt_chars
    limits = (
        ("prompt", len(request.prompt), chars, "characters"),
        ("negative_prompt", len(request.negative_prompt), chars, "characters"),
        ("num_images", request.num_images, settings.max_images, "images"),
    )
    wrong = [
        FieldError(name, f"must be at most {limit} {unit} here")
        for name, value, limit, unit in limits
        if value > limit
    ]
    if request.webhook_url is not None:
        why_not = refusal(request.webhook_url, settings)
        wrong += [FieldError("webhook_url", why_not)] if why_not else []
    if wrong:
        raise InvalidRequest(wrong)
