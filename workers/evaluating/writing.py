"""Evaluations on disk: tables, JSON with what made it, charts and pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workers.calibration_files import provenance
from workers.evaluating import charts, frontier, tables, verdicts
from workers.evaluating.peers import PEERS, plain
from workers.evaluating.row_verdicts import made_in
from workers.evaluating.row_verdicts import verdicts as row_verdicts
from workers.evaluating.session import SHOWN_PROMPTS
from workers.plots import write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from workers.evaluating.frontier import Point
    from workers.evaluating.options import Options
    from workers.evaluating.session import Evaluated, Session
    from workers.evaluating.verdicts import Verdict

METHODS = (
    "paper: transformers reused while their summed change stays within δ (Wimbauer et al., CVPR "
    "2024); closed form: scales and shifts by least squares; trained: as the paper trains them.",
    "paper, 1.5×: the threshold that makes it so fast when measured; with ResBlocks: where "
    "transformers alone cannot be as fast.",
    "searched: schedules of least expected error for their time; two taps: the same schedules, "
    "corrected by least squares on the two values computed last; beside those asked for, one as "
    "fast as each peer.",
    "whole blocks: NVIDIA ModelOpt's rule (all but the last up block at even steps only); whole "
    "steps: AdaptiveDiffusion's rule at two thresholds; PAB: diffusers' hooks; DeepCache, T-GATE: "
    "their authors' packages.",
)


def write_table(found: Sequence[Evaluated], session: Session, options: Options) -> Path:
    """Write table.md, table.csv, results.json, frontier.png and grid.png; return the first."""
    out, rows = options.out, [row for one in found for row in one.rows]
    notes, judged = _notes(found, session), table_verdicts(found)
    listed, told = [row.to_dict() for row in rows], [verdict.to_dict() for verdict in judged]
    _write_json(out / "results.json", session, options, notes, rows=listed, verdicts=told)
    (out / "table.csv").write_text(tables.comma_separated(rows))
    write(charts.frontier(rows), out / "frontier.png")
    write(_gallery(found, session), out / "grid.png")
    page = tables.markdown(session.model.name, rows, verdicts.markdown(judged), notes)
    (out / "table.md").write_text(page)
    return out / "table.md"


def table_verdicts(found: Sequence[Evaluated]) -> list[Verdict]:
    """Judge what was found so far."""
    rows = [row for one in found for row in one.rows]
    made = [v for one in found for v in made_in(one.title, one.rows[0].steps, one.seconds)]
    return [*row_verdicts(rows), *made]


def _notes(found: Sequence[Evaluated], session: Session) -> list[str]:
    return [*table_notes(session), *(note for one in found for note in one.notes)]


def write_frontier(points: Sequence[Point], session: Session, options: Options) -> Path:
    """Write frontier.md, frontier.json and bought.png; return the first."""
    out, notes = options.out, [*_setting_notes(session), *frontier.NOTES]
    listed = [point.to_dict() for point in points]
    judged = [verdict.to_dict() for verdict in frontier.verdicts(points)]
    _write_json(out / "frontier.json", session, options, notes, points=listed, verdicts=judged)
    write(charts.bought(points), out / "bought.png")
    (out / "frontier.md").write_text(frontier.markdown(session.model.name, points, notes))
    return out / "frontier.md"


def write_verdicts(judged: Sequence[Verdict], session: Session, options: Options) -> Path:
    """Write verdicts.md and verdicts.json; return the first."""
    out, notes = options.out, _setting_notes(session)
    listed = [verdict.to_dict() for verdict in judged]
    _write_json(out / "verdicts.json", session, options, notes, verdicts=listed)
    page = [f"# {session.model.name}", verdicts.summary(judged), verdicts.markdown(judged)]
    (out / "verdicts.md").write_text("\n\n".join(page) + "\n")
    return out / "verdicts.md"


def _write_json(
    path: Path, session: Session, options: Options, notes: Sequence[str], **found: Any
) -> None:
    made = {"made": provenance(session.model), "settings": options.to_dict(), "notes": notes}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**made, **found}, indent=1) + "\n")


def _setting_notes(session: Session) -> list[str]:
    setting, pictures = session.setting, len(session.subjects)
    timed = pictures if setting.timed is None else min(setting.timed, pictures)
    return [
        f"{pictures} pictures, {setting.width}×{setting.height}, guidance "
        f"{setting.guidance_scale:g}; {timed} of them timed, all methods in turn on each, one "
        "picture at a time.",
        "ms: median of the denoising loop, from the first UNet call to the end of the last step.",
    ]


def table_notes(session: Session) -> list[str]:
    """Say what the columns of a table hold, what its methods are, and which are missing."""
    absent = [peer for peer in PEERS if not peer.is_installed]
    return [
        *_setting_notes(session),
        "speed-up: median of the ratios to the uncached run on the same picture; computed: share "
        "of its unit time; steps in its time: the longest uncached run that took no longer (±1 %).",
        "PSNR, SSIM, perceptual distance and Fréchet distance: to the uncached run of the same "
        "solver and steps, and (ref) to the uncached dpmpp_2m run of 50 steps.",
        f"Fréchet distances are over {session.space.dimensions} principal axes of "
        "EfficientNet-Lite0 features; compare them with one another only.",
        *METHODS,
        *(f"{peer.name} is left out: {peer.package} is not installed." for peer in absent),
    ]


def _gallery(found: Sequence[Evaluated], session: Session) -> Figure:
    count = min(SHOWN_PROMPTS, len(session.subjects))
    prompts = [subject.prompt.text for subject in session.subjects[:count]]
    return charts.gallery(prompts, [(one.title, one.pictures(without=plain)) for one in found])
