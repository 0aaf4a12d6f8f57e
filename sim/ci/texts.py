"""The suite's texts: workflow files of GitHub and GitLab, and a page that says how to use it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from shiftforge import __version__
from shiftforge.errors import InputError, Problem
from shiftforge.generator.escape import verbatim
from shiftforge.generator.render import render
from shiftforge.sim.ci.suite import SUITE, Suite, place, relative

__all__ = ["GITHUB", "GITLAB", "README", "default_install", "repository", "suite_texts"]

GITHUB, GITLAB, README = ".github/workflows/shiftforge.yml", ".gitlab-ci.yml", "README.md"
_JUNIT = "shiftforge-junit.xml"


def default_install(suite: Suite) -> str:
    """What pip installs: this version with what the suite's checks need."""
    extras = "opencl,rtl,text" if suite.rtl else "opencl"
    return f"shiftforge[{extras}]=={__version__}"


def repository(folder: Path) -> Path:
    """The root of the repository that a folder is or will be in; else the folder above it."""
    own = Path(os.path.abspath(folder))
    for above in own.parents:
        if (above / ".git").exists():
            return above
    return own.parent


def suite_texts(
    suite: Suite, folder: Path, root: Path, install: str | None = None
) -> dict[str, bytes]:
    """README.md and both workflow files, by path.

    root: of the repository, from which CI runs; the commands name the suite from there. install:
    what pip installs, a requirement. Raises InputError where a path cannot stand in a workflow.
    """
    inside = relative(folder, root)
    asked = shlex.quote(inside)
    wanted = default_install(suite) if install is None else install
    for text in (inside, wanted):
        if "${" + "{" in text or not text.isprintable():
            what = f"{text[:80]!r} cannot stand in a workflow file"
            raise InputError(Problem(what, "use another name without ${{ and control characters"))
    if inside.startswith(".."):
        what = "the suite's folder lies outside the repository of the workflow files"
        raise InputError(Problem(what, "choose a folder below --root", str(folder)))
    values = {
        "version": __version__,
        "project": suite.project,
        "pinned": f"{inside}/{SUITE}",
        "install": f"python -m pip install {shlex.quote(wanted)}",
        "check": f"shiftforge ci run {asked} --junit {_JUNIT}",
        "junit": _JUNIT,
        "rtl": suite.rtl,
        "input": suite.input,
        "required": verbatim(
            f"; this suite requires {', '.join(suite.require)}" if suite.require else ""
        ),
        "where": verbatim(
            ", where they were written" if suite.root is not None
            else "; copy the one that you need, or give `ci init` the root with --root"
        ),
        "renew": f"shiftforge ci init {_shown(suite, folder, root)} -o {asked} --overwrite",
    }  # fmt: skip
    return {
        README: render("ci/README.md.j2", values).encode(),
        GITHUB: render("ci/github.yml.j2", values).encode(),
        GITLAB: render("ci/gitlab.yml.j2", values).encode(),
    }


def _shown(suite: Suite, folder: Path, root: Path) -> str:
    """The project as a command names it from the root."""
    return shlex.quote(relative(place(suite.project, folder), root))
