"""A network out of what training scripts wrap around it."""

from __future__ import annotations

import torch

__all__ = ["unwrapped"]


def unwrapped(network: torch.nn.Module) -> torch.nn.Module:
    """The network inside torch.compile's, DataParallel's and AveragedModel's modules.

    torch.compile would translate it before its first frame, and every path would begin with the
    wrapper's.
    """
    from torch.optim.swa_utils import AveragedModel

    around = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel, AveragedModel)
    while True:
        compiled = type(network).__name__ == "OptimizedModule"
        inner = dict(network.named_children()).get("_orig_mod" if compiled else "module")
        if inner is None or not (compiled or isinstance(network, around)):
            return network
        network = inner
