"""Kind `entry_point`: a network that a Python function of yours returns.

    detectors:                       # trained here; under `given`, with weights, only scored
      mine:
        kind: entry_point
        options:
          build: my_detector:build   # my_detector.py beside params.yaml, or an installed package
          code: ...                  # leave it out once, and the message says what to write
          pixels: unit
          arguments: {width: 32}

The function is called with `arguments` (and, for an attributor, `outputs`, its number of classes) and returns
a `torch.nn.Module` that takes pixels (B, 3, crop, crop) and gives (B,), (B, 1) or (B, 2) = (real, generated).
What it draws from torch's generator is decided by the training's seed. Naming a function runs its code, with
all that your user may do: that is the point, so look at others' code first.
"""

import importlib
from typing import Any

import torch
from pydantic import Field
from torch import nn

from assets.detection import TIMM, Judge
from assets.errors import AssayError, did_you_mean
from models.detectors.nets.outside import Outside, Reading
from models.detectors.nets.own_code import code_pin, search_repository

MODEL = ""


class Options(Reading):
    """What `options` may hold."""

    build: str
    """`package.module:function`."""
    code: str | None = None
    """Which code that is: a hash of its files, or the package's name and version; another is refused."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """What the function is called with."""


def check(spec: Judge, options: Options, where: str) -> None:
    """Refuse what can be refused without running the code.

    Raises:
        AssayError: a timm model or weights, something that names no function, code that is not there or
            is not that of `code`.
    """
    if spec.model or spec.weights == TIMM:
        raise AssayError(f"{where}: the function makes the network: leave out 'model', and 'weights: timm'")
    module, _, function = options.build.partition(":")
    if not all(name.isidentifier() for name in [*module.split("."), function]):
        raise AssayError(f"{where}.options.build is '{options.build}': write package.module:function")
    found = code_pin(module, f"{where}.options.build")
    if options.code is None:
        raise AssayError(
            f"{where}.options.code is missing: without it, changed code would pass for the same detector. "
            f"Add this line below 'build':\n  code: {found}"
        )
    if options.code != found:
        raise AssayError(
            f"{where}.options.code: the code of {module} is now '{found}', not '{options.code}'. If that is "
            f"meant (then all that it made is made again), write\n  code: {found}"
        )


def build(spec: Judge, options: Options, outputs: int, where: str) -> Outside:
    """The network that the function returns.

    Raises:
        AssayError: it cannot be imported or called, raises, or returns something else; the network raises,
            or gives something of another shape.
    """
    net = _called(options, {} if outputs == 1 else {"outputs": outputs}, f"{where}.options.build")
    detector = Outside(net, spec, options, outputs, where)
    try:
        detector.score(torch.zeros(2, 3, spec.crop, spec.crop, dtype=torch.uint8))
    except Exception as error:  # others' code raises what it likes
        raise AssayError(
            f"{where}: the network of {options.build} does not work on pictures of {spec.crop} px: "
            f"{_told(error)}"
        ) from None
    return detector


def _called(options: Options, extra: dict[str, Any], where: str) -> nn.Module:
    module, _, name = options.build.partition(":")
    search_repository()
    try:
        functions = vars(importlib.import_module(module))
    except Exception as error:
        raise AssayError(f"{where}: {module} cannot be imported: {_told(error)}") from None
    if name not in functions:
        public = [key for key, value in functions.items() if callable(value) and not key.startswith("_")]
        raise AssayError(f"{where}: {module} has no '{name}'; {did_you_mean(name, public)}")
    if not callable(functions[name]):
        raise AssayError(f"{where}: {options.build} is a {type(functions[name]).__name__}, no function")
    try:
        net = functions[name](**options.arguments, **extra)
    except Exception as error:
        arguments = ", ".join(f"{key}={value!r}" for key, value in {**options.arguments, **extra}.items())
        raise AssayError(f"{where}: {name}({arguments}) raised {_told(error)}") from None
    if not isinstance(net, nn.Module):
        raise AssayError(f"{where}: {options.build} returns a {type(net).__name__}, not a torch.nn.Module")
    return net


def _told(error: Exception) -> str:
    reason = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
