"""Tokenisers: a WordPiece vocabulary trained from a corpus, or that of the user's folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.files import write_file

if TYPE_CHECKING:
    from tokenizers import Tokenizer, models

__all__ = [
    "FILE",
    "UNKNOWN_ID",
    "encode",
    "load_tokeniser",
    "save_tokeniser",
    "train_unigram",
    "train_wordpiece",
    "window",
]

FILE = "tokenizer.json"
PAD, UNKNOWN, FIRST, LAST = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""Special tokens, with the identities 0..3 in a trained vocabulary."""
_CONTINUED = "##"
UNKNOWN_ID = SPECIAL.index(UNKNOWN)
"""Identity of [UNK] in a trained vocabulary."""


def train_wordpiece(texts: Sequence[str], size: int = 8000) -> Tokenizer:
    """A WordPiece tokeniser of at most ``size`` tokens, lower case, from texts.

    Encoded texts begin with [CLS] and end with [SEP]. The same texts give the same vocabulary.
    """
    from tokenizers import models, trainers

    made = _wordpiece(models.WordPiece(unk_token=UNKNOWN))
    # The library numbers the continuing letters in the order of a randomly seeded hash table, and
    # numbers break ties of the merges: named as special tokens, letters have fixed numbers.
    normalise = made.normalizer.normalize_str
    letters = sorted({letter for text in texts for letter in normalise(text)} - set(" \n\t"))
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL, *(_CONTINUED + letter for letter in letters)],
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer, length=len(texts))
    fixed = _wordpiece(models.WordPiece(made.get_vocab(False), unk_token=UNKNOWN))
    fixed.add_special_tokens(list(SPECIAL))
    _frame(fixed)
    return fixed


def _wordpiece(model: models.WordPiece) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers

    made = Tokenizer(model)
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    return made


def train_unigram(texts: Sequence[str], size: int = 8000) -> Tokenizer:
    """A unigram tokeniser, SentencePiece's, of at most ``size`` tokens, lower case.

    Its special tokens and their identities are those of :func:`train_wordpiece`.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), unk_token=UNKNOWN, show_progress=False
    )
    made.train_from_iterator(texts, trainer, length=len(texts))
    _frame(made)
    return made


def _frame(tokeniser: Tokenizer) -> None:
    from tokenizers import processors

    first, last = (tokeniser.token_to_id(name) for name in (FIRST, LAST))
    tokeniser.post_processor = processors.TemplateProcessing(
        single=f"{FIRST} $A {LAST}",
        pair=f"{FIRST} $A {LAST} $B:1 {LAST}:1",
        special_tokens=[(FIRST, first), (LAST, last)],
    )


def load_tokeniser(folder: Path) -> Tokenizer:
    """The tokeniser of a Hugging Face folder: tokenizer.json, or vocab.txt (WordPiece).

    Raises InputError where the folder has neither, or a damaged one.
    """
    from tokenizers import Tokenizer, models

    whole, words = folder / FILE, folder / "vocab.txt"
    if whole.is_file():
        text = whole.read_text(encoding="utf-8")
        try:
            known = isinstance(json.loads(text).get("model"), dict)
        except (ValueError, AttributeError):
            known = False
        if not known:
            raise InputError(Problem("no tokeniser", "save the tokeniser again", str(whole)))
        return Tokenizer.from_str(text)
    if not words.is_file():
        what = f"neither {FILE} nor vocab.txt"
        remedy = f"save the tokeniser there, or convert a SentencePiece model to {FILE}"
        raise InputError(Problem(what, remedy, str(folder)))
    names = words.read_text(encoding="utf-8").splitlines()
    missing = [name for name in SPECIAL if name not in names]
    if missing:
        what = f"no {', '.join(missing)} in the vocabulary"
        raise InputError(Problem(what, "give a BERT vocabulary", str(words)))
    vocabulary = {name: i for i, name in enumerate(names)}
    made = _wordpiece(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    # A [SEP] between the texts of a pair is one token.
    made.add_special_tokens(list(SPECIAL))
    _frame(made)
    return made


def save_tokeniser(tokeniser: Tokenizer, folder: Path) -> None:
    """Write ``FILE`` into a folder."""
    write_file(folder / FILE, tokeniser.to_str(pretty=True))


def encode(tokeniser: Tokenizer, texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Token identities of whole texts, with the tokeniser's first and last token."""
    found = tokeniser.encode_batch(list(texts))
    return [np.array(one.ids, dtype=np.int64) for one in found]


def window(ids: NDArray[np.int64], length: int, start: int = 0) -> NDArray[np.int64]:
    """At most ``length`` tokens: the first, those from ``start`` on behind it, the last."""
    if len(ids) <= length:
        return ids
    inner = ids[1:-1]
    start = min(max(start, 0), len(inner) - (length - 2))
    return np.concatenate([ids[:1], inner[start : start + length - 2], ids[-1:]])
