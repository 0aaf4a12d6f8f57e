"""Tokenisers: a WordPiece vocabulary trained from a corpus, or that of the user's folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shiftforge.atomic import write_file
from shiftforge.errors import InputError, Problem
from shiftforge.files import read_text
from shiftforge.jsontext import MOST_JSON, parse_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer, models

__all__ = [
    "FILE",
    "UNKNOWN_ID",
    "encode",
    "load_tokeniser",
    "read_tokeniser",
    "save_tokeniser",
    "train_unigram",
    "train_wordpiece",
    "window",
]

FILE = "tokenizer.json"
PAD, UNKNOWN, FIRST, LAST = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""Special tokens, with the identities 0..3 in a trained vocabulary."""
_CONTINUED = "##"
_REMEDY = "save the tokeniser again"
_TOGETHER = 1 << 20
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
    from tokenizers import models

    whole, words = folder / FILE, folder / "vocab.txt"
    if whole.is_file():
        return read_tokeniser(read_text(whole, most=MOST_JSON, remedy=_REMEDY), str(whole))
    if not words.is_file():
        what = f"neither {FILE} nor vocab.txt"
        remedy = f"save the tokeniser there, or convert a SentencePiece model to {FILE}"
        raise InputError(Problem(what, remedy, str(folder)))
    text = read_text(words, most=MOST_JSON, remedy="give a BERT vocabulary in UTF-8")
    # Not splitlines(): tokens are characters that it takes for line ends.
    names = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
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


def read_tokeniser(text: str, where: str, remedy: str = _REMEDY) -> Tokenizer:
    """The tokeniser of a tokenizer.json's text, which neither cuts nor fills up what it encodes.

    Raises InputError, which names the place.
    """
    from tokenizers import Tokenizer

    try:
        held = parse_json(text, where, remedy)
        if not isinstance(held, dict) or not isinstance(held.get("model"), dict):
            raise ValueError("it has no model")
        made = Tokenizer.from_str(text)
        # Sentences have their own length on the unit; a stored filling of any size is none of it.
        made.no_truncation()
        made.no_padding()
    except InputError as error:
        first = error.problems[0]
        raise InputError(Problem(f"no tokeniser: {first.what}", remedy, where)) from error
    # The library raises Exception itself.
    except Exception as error:
        raise InputError(Problem(f"no tokeniser: {error}", remedy, where)) from error
    return made


def save_tokeniser(tokeniser: Tokenizer, folder: Path) -> None:
    """Write ``FILE`` into a folder."""
    write_file(folder / FILE, tokeniser.to_str(pretty=True))


def encode(tokeniser: Tokenizer, texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Token identities of whole texts, with the tokeniser's first and last token."""
    found: list[NDArray[np.int64]] = []
    for part in _parts(texts):
        # What the library gives of a text is a hundred times its identities.
        found += [np.array(one.ids, dtype=np.int64) for one in tokeniser.encode_batch(part)]
    return found


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, together few characters at a time."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= _TOGETHER:
            yield held
            held, size = [], 0
    if held:
        yield held


def window(ids: NDArray[np.int64], length: int, start: int = 0) -> NDArray[np.int64]:
    """At most ``length`` tokens: the first, those from ``start`` on behind it, the last."""
    if len(ids) <= length:
        return ids
    inner = ids[1:-1]
    start = min(max(start, 0), len(inner) - (length - 2))
    return np.concatenate([ids[:1], inner[start : start + length - 2], ids[-1:]])
