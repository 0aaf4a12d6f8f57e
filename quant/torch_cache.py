"""PyTorch's compiler, imported without the folder that it leaves in TMPDIR."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module

from shiftforge.scratch import work_folder

__all__ = ["import_compiler"]

_FOLDER = "TORCHINDUCTOR_CACHE_DIR"
_MODULES = ("torch._dynamo", "torch._inductor.compiler_bisector")


def import_compiler() -> None:
    """Import what ``torch.export`` and every optimiser's first step would.

    Importing it makes a cache folder for compiled code, which nothing here compiles; it goes at
    once, unless the user named one. Raises InputError where no temporary file can be made.
    """
    if all(name in sys.modules for name in _MODULES):
        return
    named = os.environ.get(_FOLDER)
    with work_folder("torch") as folder:
        os.environ[_FOLDER] = named or str(folder)
        try:
            for name in _MODULES:
                with suppress(ImportError):  # modules of its own, which a release may rename
                    import_module(name)
        finally:
            del os.environ[_FOLDER]
            if named is not None:
                os.environ[_FOLDER] = named
