"""Names of what is built in, told apart from files and folders of the same names."""

from __future__ import annotations

import os
from collections.abc import Callable

from shiftforge.errors import InputError, Problem

__all__ = ["PREFIX", "builtin_name"]

PREFIX = "builtin:"


def builtin_name(spec: str, is_builtin: Callable[[str], bool], forms: str) -> str | None:
    """The built-in name that is meant, without ``builtin:``; None for anything else.

    is_builtin: tells whether a name is one. forms: what there is to give instead. Raises
    InputError where a file or folder of a built-in name lies in the current folder, so that either
    may be meant (``./NAME`` is the file, ``builtin:NAME`` the built-in), and for ``builtin:`` in
    front of a name that is none.
    """
    if spec.startswith(PREFIX):
        name = spec.removeprefix(PREFIX)
        if not is_builtin(name):
            raise InputError(Problem(f"nothing is built in by the name {name!r}", forms, spec))
        return name
    if not is_builtin(spec):
        return None
    if os.path.lexists(spec):
        kind = "folder" if os.path.isdir(spec) else "file"
        what = f"a {kind} of the name of a built-in one lies in the current folder"
        raise InputError(Problem(what, f"write ./{spec} for it, or {PREFIX}{spec}", spec))
    return spec
