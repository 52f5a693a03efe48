"""Brings the page's libraries from npm into the tree.

package-lock.json pins each with its checksum. The libraries are bundled, one module each, with
their licences beside them, so that the page needs neither npm nor a build step when it is served.
axe-core goes to the browser tests. To take newer versions, run `npm update` here first, then
`python deploy/web/vendor.py`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "app" / "web" / "vendor"
TESTS = ROOT / "tests" / "browser" / "vendor"
MODULES = {
    "eventsource": "export { EventSource } from 'eventsource'",
    "idb-keyval": "export { clear, createStore, del, entries, set } from 'idb-keyval'",
    "uplot": "export { default as uPlot } from 'uplot'",
}
COPIES = {
    "uplot/dist/uPlot.min.css": PAGE / "uplot.css",
    "axe-core/axe.min.js": TESTS / "axe.min.js",
}
LICENCES = {
    PAGE: ("eventsource", "eventsource-parser", "idb-keyval", "uplot"),
    TESTS: ("axe-core",),
}


def main() -> None:
    """Fetch, bundle and copy; an npm that fails says why itself."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, work)
        _run(work, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        for target in LICENCES:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
        for name, source in MODULES.items():
            _bundle(work, name, source)
        packages = work / "node_modules"
        for path, copy in COPIES.items():
            shutil.copyfile(packages / path, copy)
        for target, names in LICENCES.items():
            (target / "LICENSES.txt").write_text("\n\n".join(_licence(packages, n) for n in names))


def _bundle(work: Path, name: str, source: str) -> None:
    entry = work / f"{name}.mjs"
    entry.write_text(source)
    esbuild = str(work / "node_modules" / "esbuild" / "bin" / "esbuild")
    options = ("--bundle", "--minify", "--format=esm", "--target=es2022", "--legal-comments=none")
    _run(work, "node", esbuild, str(entry), *options, f"--outfile={PAGE / name}.js")


def _licence(packages: Path, name: str) -> str:
    folder = packages / name
    (text,) = (path for path in folder.glob("LICEN*") if "3RD" not in path.name)
    version = (folder / "package.json").read_text().split('"version": "')[1].split('"')[0]
    return f"{name} {version}\n\n{text.read_text().strip()}\n"


def _run(work: Path, *command: str) -> None:
    subprocess.run(command, cwd=work, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
