"""One vocabulary and one word table for several tasks: pruned, on AF<8,3> levels, frozen.

EdgeBERT keeps the word embeddings of all its tasks in one table that fine-tuning leaves alone. Here
the table is made from the training texts of one fold of every task:

1. a WordPiece vocabulary;
2. co-occurrence vectors (:mod:`shiftforge.quant.albert.training.start`);
3. a joint supervised stage: the layer-normalised vectors of a text's tokens through one shared
   layer, their mean and maximum, and a linear classifier a task (after M. Iyyer et al., "Deep
   unordered composition rivals syntactic methods", ACL 2015), while the entries of least magnitude
   are set to zero on the cubic schedule of M. Zhu and S. Gupta, "To prune, or not to prune", 2017,
   equation 1;
4. rounding to AF<8,3>.

What classifies in step 3 is thrown away: every task trains its own network over the frozen table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import nn
from torch.nn import functional

from shiftforge.atomic import clear_leftovers, write_file
from shiftforge.errors import Problem, Problems
from shiftforge.quant.albert.network.model import batch_of
from shiftforge.quant.albert.network.notes import mark_unfinished
from shiftforge.quant.albert.training.loop import Labelled
from shiftforge.quant.albert.training.settings import TableOptions, TableRecipe
from shiftforge.quant.albert.training.start import cooccurrence_embeddings
from shiftforge.quant.albert.training.table_file import (
    FORMAT,
    NOTES,
    WORDS,
    SharedTable,
    measured,
)
from shiftforge.quant.albert.training.texts import chosen_fold, validation_part
from shiftforge.quant.formats.adaptivfloat import (
    choose_bias,
    decode,
    encode,
)
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.tokeniser import (
    UNKNOWN_ID,
    load_tokeniser,
    save_tokeniser,
    train_wordpiece,
    window,
)
from shiftforge.quant.text.tokeniser import encode as encode_texts
from shiftforge.quant.torch_cache import import_compiler

__all__ = ["build_table"]

_WARM_UP = 0.05
# Pruning begins and ends at these parts of the steps; the rest is recovery.
_PRUNING = 0.3, 0.8
_PRUNE_EVERY = 20


class _Averaging(nn.Module):
    """The classifiers of step 3."""

    def __init__(
        self, words: NDArray[np.float32], classes: Sequence[int], recipe: TableRecipe
    ) -> None:
        super().__init__()
        self.words = nn.Parameter(torch.from_numpy(words.copy()))
        self.shared = nn.Linear(words.shape[1], recipe.hidden)
        self.drop = nn.Dropout(recipe.dropout)
        self.tasks = nn.ModuleList(nn.Linear(2 * recipe.hidden, count) for count in classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, task: int) -> torch.Tensor:
        """Logits (N, classes) of a task; ids, mask: (N, L)."""
        # Every network normalises its embeddings: a row's length carries next to nothing.
        rows = functional.layer_norm(self.words[ids], self.words.shape[1:], eps=1e-6)
        seen = functional.gelu(self.shared(rows))
        kept = mask[..., None].to(seen.dtype)
        mean = (seen * kept).sum(1) / kept.sum(1)
        most = (seen - 1e4 * (1 - kept)).amax(1)
        logits: torch.Tensor = self.tasks[task](self.drop(torch.cat([mean, most], dim=1)))
        return logits


def _batches(
    texts: Labelled, recipe: TableRecipe, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Endless batches of windows: every second one from the text's start."""
    order: list[int] = []
    while True:
        while len(order) < recipe.batch:
            order.extend(rng.permutation(len(texts.ids)).tolist())
        block, order = order[: recipe.batch], order[recipe.batch :]
        cut = []
        for i in block:
            own = texts.ids[i]
            over = max(len(own) - recipe.length, 0)
            ids = window(own, recipe.length, int(rng.integers(over + 1)) * int(rng.integers(2)))
            ids = ids.copy()
            inner = ids[1:-1]
            inner[rng.random(len(inner)) < recipe.word_dropout] = UNKNOWN_ID
            cut.append(ids)
        yield *batch_of(cut), torch.from_numpy(texts.labels[block])


def _prune(words: torch.Tensor, density: float) -> torch.Tensor:
    """1 for the entries of largest magnitude, ``density`` of them, and 0 for the others."""
    size = words.abs().flatten()
    none = round(size.numel() * (1 - density))
    if none == 0:
        return torch.ones_like(words)
    mask = torch.ones_like(size)
    # A stable order: of equal magnitudes the first ones go.
    mask[torch.argsort(size, stable=True)[:none]] = 0
    return mask.view_as(words)


def _density(progress: float, final: float) -> float:
    first, last = _PRUNING
    part = min(max((progress - first) / (last - first), 0.0), 1.0)
    return final + (1 - final) * (1 - part) ** 3


def _supervised(
    words: NDArray[np.float32],
    tasks: Sequence[tuple[Labelled, int]],
    options: TableOptions,
    seed: int,
    say: Callable[[str], None],
) -> NDArray[np.float32]:
    """Step 3. tasks: texts and count of classes of each. The same arguments give the same table."""
    recipe, density = options.recipe, options.density
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = _Averaging(words, [count for _, count in tasks], recipe)
    others = [p for p in model.parameters() if p is not model.words]
    import_compiler()
    optimiser = torch.optim.AdamW(
        [{"params": [model.words], "weight_decay": 0.0}, {"params": others, "weight_decay": 0.01}]
    )
    drawn = [_batches(own, recipe, rng) for own, _ in tasks]
    mask = torch.ones_like(model.words)
    right, seen = np.zeros(len(tasks)), np.zeros(len(tasks))
    for step in range(recipe.steps):
        progress = step / recipe.steps
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * min(1, progress / _WARM_UP) * (1 - progress)
        losses = []
        for task, source in enumerate(drawn):
            ids, real, wanted = next(source)
            logits = model(ids, real, task)
            losses.append(
                functional.cross_entropy(logits, wanted, label_smoothing=recipe.smoothing)
            )
            right[task] += int((logits.argmax(1) == wanted).sum())
            seen[task] += len(wanted)
        optimiser.zero_grad()
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            last = step == recipe.steps - 1
            if last or step % _PRUNE_EVERY == 0:
                mask = _prune(model.words, density if last else _density(progress, density))
            model.words.mul_(mask)
        if last or (step + 1) % 300 == 0:
            shares = " ".join(f"{r / s:.4f}" for r, s in zip(right, seen, strict=True))
            say(f"table, step {step + 1}/{recipe.steps}: accuracy of the tasks {shares}")
            right, seen = np.zeros(len(tasks)), np.zeros(len(tasks))
    found: NDArray[np.float32] = model.words.detach().numpy()
    return found


def build_table(
    corpora: Sequence[Corpus],
    folder: Path,
    options: TableOptions | None = None,
    *,
    fold: int = 0,
    split: int = 0,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> SharedTable:
    """Make the vocabulary and the table of the corpora's training texts, and write their folder.

    fold, split: as in training; no text that is held out or validates there is read. The same
    arguments give the same bytes on the same machine.

    Writes table.safetensors, tokenizer.json and, last, table.json. Raises InputError.
    """
    given = options or TableOptions()
    problems = Problems()
    if not corpora:
        problems.append(Problem("no corpora", "give at least one"))
    if not 0 < given.density <= 1:
        problems.append(Problem(f"density {given.density}", "use more than 0 and at most 1"))
    if given.columns < 1:
        problems.append(Problem(f"{given.columns} columns", "use 1 or more"))
    problems.stop()
    folds = [chosen_fold(corpus, fold, split) for corpus in corpora]
    chosen = [
        validation_part(own, corpus.labels, seed=split)[0]
        for own, corpus in zip(folds, corpora, strict=True)
    ]
    texts = [[c.texts[i] for i in train] for c, train in zip(corpora, chosen, strict=True)]
    tokens = (
        train_wordpiece([text for own in texts for text in own], given.vocabulary)
        if given.tokeniser is None
        else load_tokeniser(given.tokeniser)
    )
    size = tokens.get_vocab_size()
    ids = [encode_texts(tokens, own) for own in texts]
    every = [one for own in ids for one in own]
    start = cooccurrence_embeddings(every, size, given.columns, seed=seed)
    tasks = [
        (Labelled(own, corpus.labels[train]), len(corpus.classes))
        for own, corpus, train in zip(ids, corpora, chosen, strict=True)
    ]
    words = _supervised(start, tasks, given, seed, say)
    bias = choose_bias(words, FORMAT)
    words = decode(encode(words, FORMAT, bias), FORMAT, bias).astype(np.float32)
    made = measured(words, bias, [corpus.name for corpus in corpora], fold, split)
    notes = {
        **made.notes(),
        "corpora": list(made.corpora),
        "fold": fold,
        "split": split,
        "seed": seed,
        "recipe": asdict(given.recipe) | {"density": given.density, "vocabulary": size},
    }
    mark_unfinished(folder / NOTES)
    clear_leftovers(folder)
    write_file(folder / WORDS, save({"words": words}))
    save_tokeniser(tokens, folder)
    write_file(folder / NOTES, json.dumps(notes, indent=1, sort_keys=True) + "\n")
    say(f"table: {size} tokens, {made.density:.4f} of the entries are kept, bias {bias}")
    return made
