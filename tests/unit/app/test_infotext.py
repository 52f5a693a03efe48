"""Generation settings as text."""

from __future__ import annotations

import re

from app.contract.infotext import infotext
from tests.builders import a_job

# How readers of such text find the settings in its last line.
SETTING = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def settings_of(text: str) -> dict[str, str]:
    return dict(SETTING.findall(text.splitlines()[-1]))


def test_every_setting_can_be_read_back() -> None:
    job = a_job(prompt="a cat, sitting", guidance_scale=7.5, model="emoji")
    found = settings_of(infotext(job, 11, "dpmpp_2m_p1.2", 8, "optimal-0.45"))

    assert found == {
        "Steps": "8",
        "Sampler": "DPM++ 2M",
        "CFG scale": "7.5",
        "Seed": "11",
        "Size": "64x64",
        "Model hash": "r1",
        "Model": "emoji",
        "Solver": "dpmpp_2m_p1.2",
        "Block caching": "optimal-0.45",
    }


def test_the_prompts_stand_before_the_settings() -> None:
    text = infotext(a_job(prompt="a cat", negative_prompt="a dog"), 1, "ddim", 4, "full")

    assert text.splitlines()[:2] == ["a cat", "Negative prompt: a dog"]
    assert "Negative" not in infotext(a_job(), 1, "ddim", 4, "full")


def test_a_value_that_holds_commas_is_quoted() -> None:
    found = settings_of(infotext(a_job(model="my, model: two"), 1, "ddim", 4, "full"))

    assert found["Model"] == '"my, model: two"'
