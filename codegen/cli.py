"""The command `deltaform`: its arguments, its messages and its exit status.

Products go to standard output or to -o, talk to standard error. Exit status: 0 fine, 1 the answer is no (a
check failed), 2 wrong use, 130 interrupted, 141 the reader of a pipe went away. What a command does is in
codegen.commands, imported only when one runs, so that --help need not wait for SymPy.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

FINE, NO, WRONG_USE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141

ABOUT = """\
Derives every gradient of a neural network step by step, checks each step, writes the derivation as LaTeX, PDF,
HTML, Markdown or text, generates the NumPy code that computes it, and trains with that code.

NET is a network, in quotes:  INPUTS -> UNITS [ACTIVATION] -> ... ; LOSS
  "784 -> 128 relu -> 10 softmax; cross_entropy"
  "n_0 -> n_1 g(z) -> n_2; half_squared_error"    open sizes, and an activation known only by its name
"""

EXAMPLES = """\
examples:
  deltaform derive   "784 -> 128 relu -> 10 softmax; cross_entropy" -o page.pdf
  deltaform derive   "784 -> 128 relu -> 10 softmax; cross_entropy" --open
  deltaform derive   "3 -> 4 sigmoid -> 2; half_squared_error" --format txt --detail result
  deltaform generate "784 -> 128 relu -> 10 softmax; cross_entropy" -o digits_mlp.py
  deltaform train    "64 -> 32 relu -> 10 softmax; cross_entropy" --data digits --plot loss.png
  deltaform diagram  "784 -> 128 relu -> 10 softmax; cross_entropy" -o graph.svg
  deltaform derive   --like vec -o note.pdf
  deltaform derive   "3 -> 4 tanh -> 2 softmax; cross_entropy" --depth general --notation nielsen
  deltaform verify   "3 -> 4 sigmoid -> 2 sigmoid; half_squared_error"
  deltaform notations
  deltaform demo

exit status: 0 fine, 1 a check failed, 2 wrong use, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, by default those of the process; returns the exit status."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED


def _run(arguments: argparse.Namespace) -> int:
    from codegen.commands import COMMANDS
    from symbolic.errors import DeltaformError, DeltaformWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", DeltaformWarning)
        warnings.showwarning = _show_warning
        try:
            status = COMMANDS[arguments.command](arguments)
            if sys.stdout is not None:
                sys.stdout.flush()
            return status
        except DeltaformError as error:
            say(str(error))
            return WRONG_USE
        except BrokenPipeError:
            # Python flushes standard output once more at exit, which would fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        except OSError as error:
            say(f"{error.filename or 'input or output'}: {error.strerror or error}")
            return WRONG_USE


def say(message: str) -> None:
    """One message to whoever runs the command, on standard error."""
    print(f"deltaform: {message}", file=sys.stderr, flush=True)


def put(product: str | bytes) -> None:
    """A product to standard output, in UTF-8 whatever the locale says.

    Raises:
        FileError: standard output is closed.
    """
    if sys.stdout is None:
        from symbolic.errors import FileError

        raise FileError("standard output is closed; name a file with -o")
    sys.stdout.flush()
    sys.stdout.buffer.write(product if isinstance(product, bytes) else product.encode())


def to_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def _show_warning(message: Warning | str, *where: Any, **more: Any) -> None:
    say(f"warning: {message}")


class _Version(argparse.Action):
    """--version, which like the commands imports only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> NoReturn:
        from codegen.source import VERSION

        print(f"{parser.prog} {VERSION}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        say(f"{message}; see {self.prog} --help")
        raise SystemExit(WRONG_USE)


def _parser() -> _Parser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="deltaform", description=ABOUT, epilog=EXAMPLES, formatter_class=layout)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, what: str, example: str) -> argparse.ArgumentParser:
        about = what[0].upper() + what[1:] + "."
        epilog = f"example:\n  deltaform {name} {example}"
        return commands.add_parser(name, help=what, description=about, epilog=epilog, formatter_class=layout)

    network: dict[str, Any] = {
        "metavar": "NET",
        "help": 'in quotes, such as "784 -> 128 relu -> 10 softmax; cross_entropy"',
    }
    force: dict[str, Any] = {"action": "store_true", "help": "replace files that exist"}

    optional: dict[str, Any] = {
        "nargs": "?",
        "help": f"{network['help']}; left out with --like, and if you like with --depth",
    }
    like: dict[str, Any] = {
        "metavar": "NOTE",
        "help": "the derivation of one of five published notes, line by line in its notation: vec, stacked, index, "
        "cs229 or post",
    }
    meaning = "the loss of one example, or its mean or sum over N examples"
    over_examples: dict[str, Any] = {
        "choices": ("one", "mean", "sum"),
        "help": f"{meaning} (default: mean)",
    }

    derive = command(
        "derive",
        "write the derivation of every gradient as a page: LaTeX, PDF, HTML, Markdown or text",
        '"3 -> 4 tanh -> 2; half_squared_error" --form component --detail rule -o page.html\n'
        "to look at it now, in a browser:\n"
        '  deltaform derive "3 -> 4 tanh -> 2; half_squared_error" --open',
    )
    derive.add_argument("network", **network | optional)
    derive.add_argument("--like", **like)
    derive.add_argument(
        "--depth",
        choices=("general",),
        help="any number of layers: hidden layers as NET has them, any sizes, and the induction from the last layer "
        "back (without NET: hidden g(z), output softmax, loss cross_entropy)",
    )
    derive.add_argument(
        "--notation",
        metavar="NAME|FILE.toml",
        help="how everything is written, and whether the cost is to be minimised or maximised: a name that `deltaform "
        "notations` lists, or a file such as `deltaform notations NAME` prints (default: cs229, the loss as it is)",
    )
    derive.add_argument(
        "--form",
        choices=("matrix", "component"),
        help="matrices, or sums over indices (default: as the notation has it)",
    )
    derive.add_argument(
        "--detail",
        choices=("result", "layer", "rule"),
        default="layer",
        help="results only, the steps of each layer, or every rule (default: layer)",
    )
    as_notation = {"help": f"{meaning} (default: as the notation has it)"}
    derive.add_argument("--examples", **over_examples | as_notation)
    derive.add_argument(
        "--no-verify", action="store_true", help="do not check the steps; the page then says nothing of it"
    )
    derive.add_argument(
        "--format",
        choices=("tex", "pdf", "html", "md", "txt"),
        help="LaTeX; PDF, made by pdflatex; one HTML file that unfolds, without network; Markdown as on GitHub; text "
        "in Unicode (default: as the suffix of FILE says, or tex; html with --open)",
    )
    derive.add_argument(
        "--katex", action="store_true", help="HTML whose formulas are set by KaTeX inside the page, not as MathML"
    )
    derive.add_argument("-o", dest="output", metavar="FILE", help="write here, not to standard output")
    derive.add_argument("--open", action="store_true", help="show the page, in a browser or what opens such files")
    derive.add_argument("--force", **force)

    diagram = command(
        "diagram",
        "draw the computation graph with the derivative at every node, or the network, as DOT, TikZ or SVG",
        '"784 -> 128 relu -> 10 softmax; cross_entropy" --kind network -o network.svg',
    )
    diagram.add_argument(
        "network", **network | {"nargs": "?", "help": f"{network['help']}; may be left out with --depth"}
    )
    diagram.add_argument("--depth", choices=("general",), help="any number of layers, as for derive")
    diagram.add_argument(
        "--kind",
        choices=("graph", "network"),
        default="graph",
        help="what is computed from what, or layers of units beside each other (default: graph)",
    )
    diagram.add_argument("--notation", metavar="NAME|FILE.toml", help="as for derive (default: cs229)")
    diagram.add_argument("--examples", **over_examples | as_notation)
    diagram.add_argument(
        "--format",
        choices=("dot", "tikz", "svg"),
        help="Graphviz, a tikzpicture for LaTeX, or SVG (default: as the suffix of FILE says, or dot)",
    )
    diagram.add_argument("-o", dest="output", metavar="FILE", help="write here, not to standard output")
    diagram.add_argument("--force", **force)

    generate = command(
        "generate",
        "write a NumPy module that computes the network, its loss and its gradients",
        '"64 -> 32 relu -> 10 softmax; cross_entropy" -o digits_mlp.py',
    )
    generate.add_argument("network", **network)
    generate.add_argument("-o", dest="output", metavar="FILE.py", help="write here, not to standard output")
    generate.add_argument("--dtype", choices=("float32", "float64"), help="all that it takes (default: both)")
    generate.add_argument("--force", **force)

    train = command(
        "train",
        "train the network and measure it on a fifth of the examples, held out",
        '"64 -> 32 relu -> 10 softmax; cross_entropy" --data digits --save weights.npz\n'
        "stochastic gradient descent, one example drawn at random a step:\n  deltaform train "
        '"64 -> 32 relu -> 10 softmax; cross_entropy" --data digits --sampling uniform --iterations 20000',
    )
    train.add_argument("network", **network)
    train.add_argument(
        "--data",
        required=True,
        metavar="digits|FILE.npz|FILE.csv",
        help="scikit-learn's digits; arrays X and Y, or labels y; numbers, the target in the last column(s)",
    )
    train.add_argument(
        "--epochs", type=_whole, help="passes over the examples in all, a resumed run's included (default: 20)"
    )
    train.add_argument("--iterations", type=_whole, help="in place of --epochs: steps in all, a resumed run's included")
    train.add_argument(
        "--sampling",
        help="shuffled: each epoch takes every example once, in a new random order; uniform: each step draws its "
        "examples from all of them, with replacement, and as many draws as there are examples count as an epoch "
        "(default: shuffled)",
    )
    train.add_argument(
        "--batch-size",
        type=_whole,
        help="examples a step (default: 32 for shuffled, 1 for uniform, or all if fewer)",
    )
    train.add_argument(
        "--learning-rate", type=_number, help="(default: 0.1 for sgd, 0.02 for momentum, 0.005 for adam)"
    )
    train.add_argument(
        "--target",
        help="which code does the steps: numpy, scalar (one example a step), numba (an extra; what it compiles lies in "
        "~/.cache/deltaform) or textbook (default: what is fastest for these shapes, numba aside; for uniform sampling "
        "textbook, which is to the last bit the plain algorithm; for a resumed run the target it had)",
    )
    train.add_argument("--optimizer", help="sgd, momentum or adam (default: sgd)")
    train.add_argument("--seed", type=_whole, help="of start values, sampling and held-out fifth (default: 0)")
    train.add_argument("--dtype", choices=("float32", "float64"), help="of all arithmetic (default: float64)")
    train.add_argument("--plot", metavar="loss.png", help="draw the loss curve (.png, .pdf or .svg)")
    train.add_argument("--save", metavar="weights.npz", help="save the run when it ends or is interrupted")
    train.add_argument("--resume", metavar="weights.npz", help="go on with a saved run and its settings")
    train.add_argument("--force", **force)

    verify = command(
        "verify",
        "check each step of the derivation by numbers, then the generated code (status 1 if one is wrong)",
        '"3 -> 4 sigmoid -> 2 sigmoid; half_squared_error"',
    )
    verify.add_argument("network", **network | optional)
    verify.add_argument("--like", **like)
    verify.add_argument("--depth", choices=("general",), help="any number of layers, as for derive")
    verify.add_argument("--examples", **over_examples)

    notations = command(
        "notations",
        "list the notations that a page may be written in, or print one as a TOML file to change",
        "nielsen > my.toml",
    )
    notations.add_argument(
        "notation", nargs="?", metavar="NAME|FILE.toml", help="print this one, with every field explained"
    )

    demo = command(
        "demo",
        "derive, verify, write and generate a network, and train it on handwritten digits",
        "--out out",
    )
    demo.add_argument("--out", default="out", metavar="DIR", help="folder for its files (default: out)")
    return parser


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None


if __name__ == "__main__":
    sys.exit(main())
