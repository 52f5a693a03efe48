"""Write docs/reference.md: commands, endpoints and metrics as the code has them.

Example:
  python docs/reference.py > docs/reference.md

"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from app.cli import blockcache
from app.main import create_app
from app.settings import Settings
from app.telemetry import Telemetry
from workers.demo.__main__ import main as demo
from workers.telemetry import WorkerMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client import CollectorRegistry

HEAD = """\
# Reference

Every command, endpoint and metric, as `python docs/reference.py` reads them from the code. What
they are for: [HTTP API](http.md), [Operate](operate.md). Settings: [Settings](settings.md).
"""
PROGRAMS = {"blockcache": blockcache, "python -m workers.demo": demo}
PREFIX = "blockcache_"
# There only with a GPU; the page must not depend on where it is written.
WITH_GPU = "blockcache_gpu_temperature_celsius"


def reference() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_commands(), *_endpoints(), *_metrics()])


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    for name, program in PROGRAMS.items():
        for path, command in walk(name, program):
            yield from _command(path, command)


def walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Give every command below a group that is no group itself, by its whole name."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command, info_name=path)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None:
            yield from walk(f"{path} {name}", found)


def _command(path: str, command: click.Command) -> Iterator[str]:
    arguments = [p.make_metavar(click.Context(command)) for p in command.params if _is_argument(p)]
    yield f"### {path}\n"
    yield f"`{' '.join([path, *arguments])}`\n"
    yield " ".join((command.help or "").split("\b")[0].split()) + "\n"
    options = [p for p in command.params if isinstance(p, click.Option)]
    if options:
        yield from table(("option", "meaning", "default"), map(_option, options))


def _is_argument(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument)


def _option(option: click.Option) -> tuple[str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    variable = f" Variable: `{option.envvar}`." if option.envvar else ""
    required = " Required." if option.required else ""
    kind = "" if option.is_flag else f" {option.metavar or _kind(option)}"
    plain = option.default if isinstance(option.default, str | int | float) else None
    default = "" if option.is_flag or plain in (None, "") else f"`{plain}`"
    return names + kind, f"{option.help or ''}{required}{variable}".strip(), default


def _kind(option: click.Option) -> str:
    return option.type.name.removesuffix(" range").upper()


def _endpoints() -> Iterator[str]:
    described = create_app(Settings(store_url="redis://localhost"), queue=_no_queue()).openapi()
    yield "## Endpoints\n"
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"### {method.upper()} {path}\n"
            yield " ".join(operation["description"].split()) + "\n"
            yield f"Answers {', '.join(operation['responses'])}.\n"
            yield from _fields(operation, described["components"]["schemas"])


def _no_queue() -> Any:
    """Return what stands in for a queue that nothing is asked of."""
    return object()


def _fields(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    body = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    if properties := body.get("properties"):
        required = set(body.get("required", ()))
        rows = (
            (f"`{n}`", _type(p, schemas), _default(n, p, required)) for n, p in properties.items()
        )
        yield from table(("field", "type", "default"), rows)


def _type(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    options = field.get("anyOf", [field])
    return " or ".join(_plain(one, schemas) for one in options if one.get("type") != "null")


def _plain(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return str(schemas[field["$ref"].rpartition("/")[2]].get("type", "object"))
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    bounds = [f"{word} {_number(field[key])}" for key, word in BOUNDS.items() if key in field]
    return " ".join(
        [str(field.get("type", "anything")), *([f"({', '.join(bounds)})"] if bounds else [])]
    )


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


BOUNDS = {
    "minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below",
    "minLength": "at least", "maxLength": "at most",
}  # fmt: skip


def _default(name: str, field: Mapping[str, Any], required: set[str]) -> str:
    if name in required:
        return "required"
    found = field.get("default")
    return (
        ""
        if found in (None, "")
        else f"`{found}`".lower()
        if isinstance(found, bool)
        else f"`{found}`"
    )


def _metrics() -> Iterator[str]:
    yield "## Metrics\n"
    for who, registry in (
        ("gateway", Telemetry().registry),
        ("worker", WorkerMetrics("model").registry),
    ):
        yield f"### Of a {who}\n"
        yield from table(("metric", "type", "labels", "meaning"), _families(registry))
    yield f"With a GPU and its management library a worker also has `{WITH_GPU}`.\n"


def _families(registry: CollectorRegistry) -> Iterator[tuple[str, str, str, str]]:
    labels = {
        name: getattr(collector, "_labelnames", ())
        for name, collector in registry._names_to_collectors.items()  # noqa: SLF001 nothing public has labels
    }
    for family in registry.collect():
        if family.name.startswith(PREFIX) and family.name != WITH_GPU:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            listed = ", ".join(f"`{label}`" for label in labels[family.name])
            yield f"`{name}`", family.type, listed, family.documentation


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Give the lines of a table."""
    lines = [list(headings)]
    yield _line(lines[0])
    yield "|---" * len(lines[0]) + "|"
    for row in rows:
        yield _line(cell.replace("|", "\\|") for cell in row)
    yield ""


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(reference())
