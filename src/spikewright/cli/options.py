# SPDX-License-Identifier: Apache-2.0
"""The options that several verbs share, as frozen facts; their texts are what ``--help`` prints.

``None`` means "not given": the default is then the method's, the data set's, or that of the file.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from spikewright.cli.option_values import Inflation, Number, Numbers, Size, Whole, Wholes
from spikewright.cli.terminal import Terminal

__all__ = [
    "CALIBRATION",
    "CALIBRATION_SAMPLES",
    "COMMON",
    "CONVERSION",
    "IMAGES",
    "METHOD",
    "MODEL",
    "NETWORK",
    "REFERENCE",
    "TASK",
    "CalibrationOptions",
    "CommonOptions",
    "ConversionOptions",
    "DataOptions",
    "File",
    "MethodOptions",
    "ModelOptions",
    "NetworkOptions",
    "ReferenceOptions",
    "TaskOptions",
    "given",
]

CALIBRATION_SAMPLES = 512

File = Annotated[Path | None, Parameter(metavar="FILE")]
Spec = Annotated[str | None, Parameter(metavar="SPEC")]

_MODEL = Group("Model", sort_key=1)
_CALIBRATION = Group("Calibration", sort_key=2)
_DATA = Group("How images become inputs (the data set's own way where not given)", sort_key=4)
_METHOD = Group("Method (its own defaults where not given; see: spikewright list)", sort_key=3)
_TASK = Group("What the network is for (classes decided from scores, else only errors)", sort_key=5)
_COMMON = Group("Everywhere", sort_key=9)

_CONFIG_HELP = (
    "TOML file with any of these options, e.g. T = 8: for all verbs at its top, for one verb in "
    "[convert] and so on. The command line wins."
)
_MODEL_HELP = (
    "MODULE:FUNCTION, FILE.py:FUNCTION (this code is run), FILE.pt2, FILE.graph.json, "
    "torchvision:NAME, trained:FILE (what `spikewright train` wrote), or a name that "
    "`spikewright list models` shows."
)
_CALIBRATION_HELP = (
    "A few hundred training inputs: a name that `spikewright list data` shows, folder:PATH, "
    "FILE.npz, FILE.npz:PART, boxes:PATH, pictures:PATH (no labels), or random (noise, for a first "
    "try without data)."
)


@Parameter(name="*", group=_COMMON)
@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """What every verb takes."""

    config: Annotated[File, Parameter(help=_CONFIG_HELP)] = None
    json: bool = False
    """Print one JSON object and nothing else on standard output."""
    quiet: bool = False
    """No progress, no notes: only the result."""
    debug: bool = False
    """Show where in the code an error came from."""

    @property
    def terminal(self) -> Terminal:
        """Return where results and progress go."""
        return Terminal(self.json, self.quiet)


@Parameter(name="*", group=_MODEL)
@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A trained network."""

    model: Annotated[Spec, Parameter(help=_MODEL_HELP)] = None
    weights: File = None
    """Its weights: .safetensors, or a saved state dict (nothing pickled is run)."""
    shape: Annotated[Wholes, Parameter(metavar="C,H,W")] = None
    """Shape of one input; taken from the data where there are any."""


@Parameter(name="*", group=_CALIBRATION)
@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """The inputs that the scales are chosen on."""

    calibration: Annotated[Spec, Parameter(help=_CALIBRATION_HELP)] = None
    calibration_samples: Whole = None
    """Use so many of them, evenly spread over the set. [default: 512]"""


@Parameter(name="*", group=_DATA)
@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where named sets lie and how images become inputs."""

    data_root: Annotated[Path | None, Parameter(metavar="FOLDER")] = None
    """Folder of the named data sets that are not in the package, in torchvision's layout."""
    size: Size = None
    """Height and width after resizing, in pixels."""
    crop: Number = None
    """Keep the central square of this share of the shorter side, in (0, 1]."""
    mean: Numbers = None
    """Subtracted after scaling; one number or one per channel, in the order of --channels."""
    std: Numbers = None
    """Divided by after that; one number or one per channel."""
    channels: Literal["rgb", "bgr", "grey"] | None = None
    """Order of the channels."""
    pixel_scale: Number = None
    """Multiplied with the stored values 0..255, e.g. 1 to keep them."""
    interpolation: Literal["nearest", "bilinear", "bicubic"] | None = None
    """How images are resized."""
    fit: Literal["stretch", "letterbox"] | None = None
    """Along both sides by themselves, or by one scale on a grey ground (YOLO's way)."""
    batch_size: Whole = None
    """Inputs that are run at once. [default: 64]"""
    workers: Whole = None
    """Processes that read images ahead. [default: 0]"""


@Parameter(name="*", group=_METHOD)
@dataclass(frozen=True, kw_only=True)
class MethodOptions:
    """How the network is converted."""

    method: Annotated[str | None, Parameter(metavar="NAME")] = None
    """Conversion method. [default: spikeconverter]"""
    T: Annotated[Whole, Parameter(name="--T")] = None
    """Time steps of a spike train, the code length."""
    k: Annotated[Inflation, Parameter(name="--k")] = None
    """What a spike is worth relative to the next one, in (1, 2]; 'search' tries a grid."""
    scale: Literal["min-error", "percentile", "max"] | None = None
    """How the value of a full spike train is chosen."""
    percentile: Number = None
    """Which percentile, in (0, 100], with --scale percentile."""
    per_channel: Annotated[bool | None, Parameter(negative="--no-per-channel")] = None
    """One scale a channel, or one a layer."""
    rounding: Annotated[bool | None, Parameter(negative="--no-rounding")] = None
    """Round values to trains, or cut them off."""
    extra_step: Annotated[bool | None, Parameter(negative="--no-extra-step")] = None
    """Fire one more step, for precision."""
    input: Literal["analog", "encoded", "poisson"] | None = None
    """Whether the input is a constant current or enters as (regular, random) spikes."""
    analog_relay: Annotated[tuple[str, ...], Parameter(metavar="PATH", negative="")] = ()
    """Module path, re:PATTERN or all: a relay that stays analog. Repeatable."""
    code: Literal["radix", "signed-radix"] | None = None
    """Whether spikes have one sign, or two, which takes fewer of them. [default: radix]"""
    spike_price: Number = None
    """What a spike costs, as a share of a population's mean square value: fewer spikes for larger
    errors. [default: 0]"""
    spikes: Number = None
    """Spikes a neuron to come out with on the calibration data, instead of a price."""
    mixed: Literal["none", "steps", "spikes", "ticks"] | None = None
    """T by layer, within the mean, the spikes or the ticks that T for all would take."""
    functions: Literal["unit", "few-spikes"] | None = None
    """Whether functions of one potential (GELU, SiLU …) are computed by function units, or by the
    spikes of neurons fitted to them. [default: unit]"""
    prepare: Annotated[tuple[str, ...], Parameter(metavar="STEP", negative="")] = ()
    """For short trains: a step that changes weights or scales without labels (bias, refit …), all
    of them repeatable, or auto, which chooses by T. [default: none]"""
    set: Annotated[tuple[str, ...], Parameter(metavar="KEY=VALUE", negative="")] = ()
    """Any other option of the method. Repeatable; a table [set] in TOML."""


COMMON = CommonOptions()
MODEL = ModelOptions()
CALIBRATION = CalibrationOptions()
METHOD = MethodOptions()
IMAGES = DataOptions()
"""What the verbs get where nothing is given."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """All that a conversion takes: a network, data, a method."""

    model: ModelOptions = MODEL
    calibration: CalibrationOptions = CALIBRATION
    method: MethodOptions = METHOD
    images: DataOptions = IMAGES


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NetworkOptions(ConversionOptions):
    """A spiking network: a saved one, or how one is converted on the fly."""

    snn: File = None
    """A saved spiking network."""


@Parameter(name="*", group=_TASK)
@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """What the outputs of a network are worth."""

    task: Literal["classification", "outputs", "detection", "segmentation"] | None = None
    """What is decided from the outputs."""
    decode: Spec = None
    """From outputs to boxes: a name that `spikewright list decoders` shows, or FILE.py:FUNCTION of
    (outputs, input size) that returns Detections (this code is run)."""
    classes: Spec = None
    """Names of the classes: FILE with one a line, or their number. [default: the data's]"""
    iou: Number = None
    """Boxes of a class that overlap a better one by more are dropped, in 0..1."""
    least_score: Number = None
    """Boxes with a lower score are dropped, in 0..1."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReferenceOptions:
    """The network that a spiking one is compared with."""

    reference: Spec = None
    """The original network; it is --model where that is given."""
    reference_weights: File = None
    """Its weights."""


CONVERSION = ConversionOptions()
NETWORK = NetworkOptions()
REFERENCE = ReferenceOptions()
TASK = TaskOptions()


def given(options: Any, *names: str) -> list[str]:  # noqa: ANN401 - one of the dataclasses above
    """Return the options that the user gave, as they are spelled on the command line.

    Args:
        options: One of the dataclasses of this module.
        *names: Look at these fields only; all by default.

    Example:
        >>> given(MethodOptions(T=8, analog_relay=("all",)))
        ['--T', '--analog-relay']
    """
    return [
        "--" + field.name.replace("_", "-")
        for field in dataclasses.fields(options)
        if (not names or field.name in names) and getattr(options, field.name) != field.default
    ]
