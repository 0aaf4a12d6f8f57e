"""Another checkout of this project as a package that a child process imports."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

__all__ = ["commit_of", "environment"]


def environment(checkout: Path, farm: Path) -> dict[str, str]:
    """Variables under which Python imports ``shiftforge`` from a checkout, uninstalled.

    farm: a folder that gets links to the packages, as pyproject.toml places them. Raises
    FileNotFoundError where the checkout has none.
    """
    with (checkout / "pyproject.toml").open("rb") as file:
        places: dict[str, str] = tomllib.load(file)["tool"]["setuptools"]["package-dir"]
    root = farm / "shiftforge"
    root.mkdir(parents=True)
    for path in (checkout / places["shiftforge"]).resolve().iterdir():
        if path.suffix == ".py":
            (root / path.name).symlink_to(path)
    for package, place in places.items():
        if package != "shiftforge":
            (root / package.rpartition(".")[2]).symlink_to((checkout / place).resolve())
    return {"PYTHONPATH": str(farm)}


def commit_of(checkout: Path) -> str:
    """The commit that is checked out, with "+" behind it where files differ from it; "unknown"
    outside a repository."""
    told = []
    for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        command = ["git", "-C", str(checkout), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return "unknown"
        told.append(done.stdout.strip())
    return told[0] + ("+" if told[1] else "")
