"""What each command of `deltaform` does, given its parsed arguments; each returns the exit status."""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from codegen.checkpoints import SUFFIXES as RUNS
from codegen.checkpoints import load_checkpoint, save_checkpoint
from codegen.cli import FINE, INTERRUPTED, NO, put, say
from codegen.datasets import Dataset, load
from codegen.functions import lambdify
from codegen.gradcheck import GradientReport, check_gradients
from codegen.history import History, loss_text
from codegen.initialization import shape_of
from codegen.modules import import_module, write_module
from codegen.pages import derivation_page, diagram_of
from codegen.plots import SUFFIXES as PICTURES
from codegen.plots import draw_loss_curve, require_matplotlib
from codegen.source import module_source
from codegen.sources import network_over_examples, note_asked_for, verified
from codegen.training import Diverged, Interrupted, train
from codegen.training_settings import check_settings
from codegen.wording import duration, number_of
from symbolic.backpropagation import derive
from symbolic.derivation import Derivation
from symbolic.errors import FileError, LoweringError, MissingExtra
from symbolic.files import check_target, write_atomically
from symbolic.general import GeneralNetwork
from symbolic.network import Network
from symbolic.notationfiles import find_notation, notation_to_toml
from symbolic.notations import NOTATIONS, in_one_line
from symbolic.sampling import stand_in_sizes

DEMO_NETWORK = "64 -> 32 relu -> 10 softmax; cross_entropy"
# Small batches: their noise finds weights that generalise. On the held-out fifth of seed 0, ten seeds of
# start values and order reach 97.5 % to 98.6 %.
DEMO_TRAINING: dict[str, Any] = {"epochs": 30, "batch_size": 4, "learning_rate": 0.2, "optimizer": "sgd"}


def generated_module(arguments: argparse.Namespace) -> int:
    """`deltaform generate`: the NumPy module, to a file or to standard output."""
    if arguments.output is not None:
        check_target(arguments.output, (".py",), arguments.force)
    derivation = derive(Network.parse(arguments.network))
    if arguments.output is None:
        put(module_source(derivation, dtype=arguments.dtype))
    else:
        write_module(derivation, arguments.output, dtype=arguments.dtype, force=arguments.force)
        say(f"wrote {arguments.output}")
    return FINE


def training_run(arguments: argparse.Namespace) -> int:
    """`deltaform train`: every file it is to write is checked before it begins."""
    network = Network.parse(arguments.network)
    resume = None if arguments.resume is None else load_checkpoint(arguments.resume)
    # A run may be saved over the file that it was resumed from: it continues what is there.
    same = None not in (arguments.save, arguments.resume) and _same_file(arguments.save, arguments.resume)
    replace_run = arguments.force or same
    if arguments.save is not None:
        check_target(arguments.save, RUNS, replace_run)
        if _same_file(arguments.save, arguments.data):
            raise FileError(f"--save {arguments.save} would replace the examples to train on; choose another name")
    if arguments.plot is not None:
        check_target(arguments.plot, PICTURES, arguments.force)
        require_matplotlib()
    given = {
        "sampling": arguments.sampling,
        "batch size": arguments.batch_size,
        "optimizer": arguments.optimizer,
        "dtype": arguments.dtype,
    }
    check_settings(given, arguments.target, resume)
    seed = resume.settings.seed if resume is not None and arguments.seed is None else arguments.seed
    data = load(arguments.data, network, 0 if seed is None else seed)
    say(str(data))

    def keep(history: History) -> None:
        if arguments.save is not None:
            save_checkpoint(history, arguments.save, replace_run)
            say(f"wrote {arguments.save}")

    def draw(history: History) -> None:
        if arguments.plot is not None:
            draw_loss_curve(history, arguments.plot, arguments.force)
            say(f"wrote {arguments.plot}")

    try:
        history = train(
            network,
            *data.train_and_held_out,
            epochs=arguments.epochs,
            iterations=arguments.iterations,
            sampling=arguments.sampling,
            batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            optimizer=arguments.optimizer,
            seed=seed,
            dtype=arguments.dtype,
            target=arguments.target,
            resume=resume,
            progress=True,
        )
    except Diverged as stopped:
        keep(stopped.history)
        if arguments.save is None:
            raise Diverged(f"{stopped}; with --save the last good weights are kept", stopped.history) from stopped
        raise Diverged(f"{stopped}; {arguments.save} has the last good weights", stopped.history) from stopped
    except Interrupted as stopped:
        say(f"interrupted after step {len(stopped.history.step_losses)}")
        keep(stopped.history)
        draw(stopped.history)
        return INTERRUPTED
    keep(history)
    draw(history)
    _print_outcome(history, data)
    return FINE


def verification(arguments: argparse.Namespace) -> int:
    """`deltaform verify`: the steps as a table, then the generated code; the exit status is the verdict."""
    note = note_asked_for(arguments, ("examples",))
    if note is not None or arguments.depth is not None:
        steps = verified(note or derive(GeneralNetwork.of(network_over_examples(arguments))))
        print(steps)
        return FINE if steps.ok else NO
    network = network_over_examples(arguments)
    derivation = derive(network)
    # The code first: where scipy is missing for it, that is said before minutes of verifying.
    code, missing = None, ""
    try:
        code = check_code(network, derivation)
    except LoweringError as error:
        missing = f"the generated code is not checked, for there is none: {error}"
    steps = verified(derivation)
    print(steps)
    if code is None:
        say(missing)
        return FINE if steps.ok else NO
    sizes = ", ".join(f"{size} = {number}" for size, number in stand_in_sizes(derivation.program).items())
    print(f"\ngenerated code, each gradient against the derivative of its own loss:\n{code}")
    print(f"at stand-in sizes {sizes}; the equations are the same at every size")
    return FINE if steps.ok and code.ok else NO


def notations(arguments: argparse.Namespace) -> int:
    """`deltaform notations`: a line for each, or one of them as the TOML file that --notation reads."""
    if arguments.notation is None:
        for notation in NOTATIONS.values():
            print(in_one_line(notation))
    else:
        put(notation_to_toml(find_notation(arguments.notation)))
    return FINE


def demonstration(arguments: argparse.Namespace) -> int:
    """`deltaform demo`: the whole way once, from an architecture to a trained network."""
    folder = Path(arguments.out)
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder} is a file; name a folder with --out")
    _require_for_demo()
    folder.mkdir(parents=True, exist_ok=True)
    names = ("derivation.tex", "derivation.html", "verification.txt", "digits_mlp.py", "loss.png", "weights.npz")
    page, screen, table, module, curve, run = (folder / name for name in names)
    network = Network.parse(DEMO_NETWORK)
    data = load("digits", network)
    say(f"network: {network}")

    started = time.perf_counter()
    derivation = derive(network)
    steps = sum(1 for _ in derivation.walk())
    took = duration(time.perf_counter() - started)
    say(f"derived {', '.join(derivation.gradients)} in {number_of(steps, 'step')}, {took}")
    started = time.perf_counter()
    report = verified(derivation)
    write_atomically(table, f"{report}\n".encode())
    say(f"verified: {report.summary}, {duration(time.perf_counter() - started)}")
    if not report.ok:
        print(report)
        return NO
    for path in (page, screen):
        derivation.write(path, force=True, report=report)
    write_module(derivation, module, force=True)
    code = check_code(network, derivation)
    say(f"generated code: {code.summary}")
    if not code.ok:
        print(code)
        return NO

    say(f"training with {module.name} itself (`deltaform train` would choose the fastest code) on {data}")
    history = train(network, *data.train_and_held_out, **DEMO_TRAINING, progress=True, functions=import_module(module))
    draw_loss_curve(history, curve, force=True)
    save_checkpoint(history, run, force=True)
    _print_outcome(history, data)
    print("files:")
    for path, what in (
        (page, "the derivation, as LaTeX"),
        (screen, "the same to unfold, in a browser"),
        (table, "each of its steps, checked by numbers"),
        (module, "the network, its loss and its gradients in NumPy"),
        (curve, "the loss curve"),
        (run, "the trained weights"),
    ):
        print(f"  {path}  {what}")
    return FINE


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "derive": derivation_page,
    "diagram": diagram_of,
    "generate": generated_module,
    "train": training_run,
    "verify": verification,
    "notations": notations,
    "demo": demonstration,
}


def check_code(network: Network, derivation: Derivation, seed: int = 0) -> GradientReport:
    """Gradients of the generated code against the complex step, at random numbers and small, unequal sizes.

    The equations do not change with the sizes, and a network of 784 inputs would take minutes. The numbers are the
    first draw, of ten, that leaves no gradient zero throughout: where all relu are dead there is little to check.

    Raises:
        LoweringError: there is no code, because of an undefined function.
    """
    program = replace(derivation.program, sizes=stand_in_sizes(derivation.program))
    functions = lambdify(replace(derivation, program=program))
    random = np.random.default_rng(seed)
    x, y = (next(leaf.key for leaf in program.leaves if leaf.role == role) for role in ("input", "target"))
    for _ in range(10):
        values = {leaf.key: random.normal(size=shape_of(program, leaf)) for leaf in program.leaves}
        if network.loss.target_interval is not None:
            values[y] = random.uniform(*network.loss.target_interval, size=values[y].shape)
        if network.loss.target_sums_to_one:
            values[y] /= values[y].sum(axis=-1, keepdims=True)
        params = {leaf.key: values[leaf.key] for leaf in program.parameters}
        _, gradients = functions.loss_and_gradients(params, values[x], values[y])
        if all(gradient.any() for gradient in gradients.values()):
            break
    loss = functions.unchecked["loss"]
    return check_gradients(lambda moved: loss(moved, values[x], values[y]), gradients, params, method="complex")


def _print_outcome(history: History, data: Dataset) -> None:
    last = history.epochs[-1]
    # With a digit where the run ended amid an epoch.
    epochs = round(last.steps / history.settings.steps_per_epoch, 1)
    done = number_of(epochs, "epoch"), number_of(last.steps, "step")
    print(f"{history.settings.network}: {', '.join(done)}, {duration(history.seconds)}")
    assert last.held_out_loss is not None  # every data set has a part held out
    print(f"training loss {loss_text(last.train_loss)}, held-out loss {loss_text(last.held_out_loss)}")
    if history.why:
        say(f"how the steps were done: {history.why}")
    if last.accuracy is not None:
        print(f"test accuracy {last.accuracy:.2%} on {number_of(len(data.held_out), 'held-out example')}")


def _require_for_demo() -> None:
    """Raise MissingExtra when something that the demo needs is not installed; it names all of that."""
    missing = []
    for module, name in (("sklearn", "scikit-learn"), ("matplotlib", "matplotlib")):
        try:
            importlib.import_module(module)
        except ImportError:
            missing.append(name)
    if missing:
        raise MissingExtra(
            f"the demo needs {' and '.join(missing)}, not installed here; install: pip install 'deltaform[demo]'"
        )


def _same_file(one: str, other: str) -> bool:
    first, second = Path(one), Path(other)
    if first.exists() and second.exists():
        return first.samefile(second)
    return first.resolve() == second.resolve()
