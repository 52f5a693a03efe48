"""Pictures as files: PNG, JPEG or WebP, with the settings they were made with inside."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from workers.images import PNG_EFFORT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from app.contract.jobs import Encoding

# Effort is chosen so that no format takes longer than PNG, whose time is part of each prediction.
WEBP_EFFORT = 1


def to_file(pixels: NDArray[np.uint8], encoding: Encoding, description: str = "") -> bytes:
    """Encode H × W × 3 pixels, with `description` inside if it is given and wanted."""
    text = description if encoding.described else ""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, **FORMATS[encoding.format](encoding.quality, text))
    return buffer.getvalue()


def _png(_quality: int, text: str) -> dict[str, Any]:
    info = PngInfo()
    if text:
        info.add_text("parameters", text)
    return {"format": "PNG", "compress_level": PNG_EFFORT, "pnginfo": info}


def _jpeg(quality: int, text: str) -> dict[str, Any]:
    subsampling = "4:4:4" if quality >= 90 else "4:2:0"
    return {"format": "JPEG", "quality": quality, "subsampling": subsampling, **_exif(text)}


def _webp(quality: int, text: str) -> dict[str, Any]:
    return {"format": "WEBP", "quality": quality, "method": WEBP_EFFORT, **_exif(text)}


def _exif(text: str) -> dict[str, bytes]:
    if not text:
        return {}
    exif = Image.Exif()
    # The standard's marker for UTF-16, in the byte order that readers of such pictures expect.
    comment = b"UNICODE\0" + text.encode("utf-16-be")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return {"exif": exif.tobytes()}


FORMATS = {"png": _png, "jpeg": _jpeg, "webp": _webp}
