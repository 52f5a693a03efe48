"""Documents that keep up with the code: settings, reference, links."""

from __future__ import annotations

import re
import runpy
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

import click
import pytest

from app.cli import blockcache
from app.contract.settings import QueueSettings
from app.environment import FROM_FILES, SUFFIX
from app.settings import RULES, Settings
from tests.docs.pages import DOCS, PAGES, ROOT, anchors, links, named, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = DOCS / "settings.md"
COMPOSE = ROOT / "docker-compose.yml"
# Settings whose default is said in words.
IN_WORDS = {
    *("store_url", "keys", "keys_file", "allowed_hosts", "cors_origins", "models", "grace_ms"),
    *("webhook_secret", "webhook_networks", "otlp_endpoint"),
}


def name_of(cell: str) -> str:
    return cell.strip("`").removeprefix("BLOCKCACHE_").lower()


def test_every_setting_of_the_gateway_is_documented_and_nothing_else() -> None:
    documented = [name_of(row[0]) for row in rows(SETTINGS, "Gateway")]

    assert sorted(documented) == sorted(RULES)


@pytest.mark.parametrize("row", rows(SETTINGS, "Gateway"), ids=lambda row: name_of(row[0]))
def test_the_documented_default_is_the_one_there_is(row: list[str]) -> None:
    name, told = name_of(row[0]), row[2].strip("`")
    default: Any = {field.name: field.default for field in fields(Settings)}[name]

    if name in IN_WORDS:
        assert default in (None, (), MISSING)
        assert told in ("none", "required", "twice the budget and 10 s")
    else:
        assert RULES[name].parse(told) == default


def test_secrets_are_documented_and_nothing_else() -> None:
    documented = {row[0].strip("`") for row in rows(SETTINGS, "Secrets")}
    from_files = {name + SUFFIX for name in FROM_FILES}

    assert documented == {"BLOCKCACHE_STORE_PASSWORD", *from_files}


def options(command: click.Command) -> Iterator[click.Option]:
    yield from (p for p in command.params if isinstance(p, click.Option))
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from options(found)


def test_variables_of_clients_are_documented_and_nothing_else() -> None:
    documented = {row[0].strip("`") for row in rows(SETTINGS, "Clients")}
    read = {option.envvar for option in options(blockcache) if option.envvar}

    # These are the gateway's settings too, and documented there.
    assert documented == read - {"BLOCKCACHE_STORE_URL", "BLOCKCACHE_OTLP_ENDPOINT"}


def test_variables_of_compose_are_documented_and_nothing_else() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text("utf-8")))
    table = " ".join(row[0] for row in rows(DOCS / "deploy.md", "One machine: Docker Compose"))
    documented = set(re.findall(r"`(\w+)`", table))

    assert documented == {name for name in used if not name.startswith("BLOCKCACHE_")}
    assert {name_of(name) for name in used - documented} <= set(RULES)


def test_what_is_fixed_is_what_is_said() -> None:
    fixed, said = QueueSettings(), SETTINGS.read_text("utf-8").split("## Fixed")[1]

    assert f"a lease lasts {fixed.lease_ms / 1000:g} s" in said
    assert f"has {fixed.max_attempts} attempts" in said
    assert f"{fixed.result_ttl_s / 60:g} minutes" in " ".join(said.split())
    assert f"dead letters for {fixed.dead_ttl_s / 86_400:g} days" in said


def test_the_reference_has_every_command_endpoint_and_metric_as_the_code_has_it() -> None:
    written = runpy.run_path(str(DOCS / "reference.py"))["reference"]()
    kept = (DOCS / "reference.md").read_text("utf-8")

    assert written == kept, "run: python docs/reference.py > docs/reference.md"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        if target.startswith(("http://", "https://")):
            continue
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), link
        assert not anchor or anchor in anchors(found), link


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = {link for link in links(DOCS / "README.md") if "/" not in link}

    assert listed == {page.name for page in DOCS.glob("*.md")} - {"README.md"}


def test_every_picture_is_shown_somewhere() -> None:
    shown = {link.rpartition("/")[2] for page in PAGES for link in links(page)}

    assert {path.name for path in (DOCS / "pictures").iterdir()} <= shown
