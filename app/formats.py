"""The file formats of pictures, as HTTP calls them."""

from __future__ import annotations

from app.contract.jobs import Encoding
from app.errors import FieldError, InvalidRequest
from app.negotiation import JSON

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
LOSSLESS = "png"
# What an answer can be, by the file format that was asked for.
OFFERS: dict[str | None, tuple[str, ...]] = {
    None: (JSON, *MEDIA_TYPES.values()),
    **{name: (JSON, kind) for name, kind in MEDIA_TYPES.items()},
}
_BEGINNINGS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}


def format_of(picture: bytes) -> str:
    """Return the format of a picture this service made, by its first bytes."""
    found = (name for begin, name in _BEGINNINGS.items() if picture.startswith(begin))
    return next(found, LOSSLESS)


def media_type(picture: bytes) -> str:
    """Return the media type of a picture this service made."""
    return MEDIA_TYPES[format_of(picture)]


def encoding(name: str, quality: int | None, field: str, *, described: bool = True) -> Encoding:
    """Return how pictures become files of format `name`.

    Raises InvalidRequest about `field`, the caller's word for `quality`, where it has no meaning.
    """
    if quality is None:
        return Encoding(name, described=described)
    if name == LOSSLESS:
        message = "applies to jpeg and webp; a png holds every pixel as it is"
        raise InvalidRequest([FieldError(field, message)])
    return Encoding(name, quality, described)
