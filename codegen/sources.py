"""What a command is asked to derive: a network, one of any depth, or a note; and its verification."""

from __future__ import annotations

import argparse

from codegen.cli import say
from codegen.progress import counted
from symbolic.derivation import Derivation
from symbolic.errors import UsageError
from symbolic.general import GeneralNetwork
from symbolic.induction import GeneralDerivation
from symbolic.network import Network
from symbolic.notation import Notation
from symbolic.notes.exposition import Exposition
from symbolic.notes.table import note_named
from symbolic.verification import Report

# What --depth general derives if nobody gives a network.
ANY_NETWORK = "n_0 -> n_1 g(z) -> n_2 softmax; cross_entropy"


def note_asked_for(arguments: argparse.Namespace, others: tuple[str, ...]) -> Exposition | None:
    """The note that --like asks for; it brings its own network and its own notation.

    others: options that would contradict it, besides the network and --depth.
    """
    if arguments.like is None:
        return None
    for option in ("network", "depth", *others):
        if getattr(arguments, option) is not None:
            given = "NET" if option == "network" else f"--{option}"
            raise UsageError(
                f"--like {arguments.like} derives what the note derives, in its notation; leave {given} out, or derive "
                f"a network of your own with --notation {arguments.like}"
            )
    return note_named(arguments.like)


def network_over_examples(arguments: argparse.Namespace) -> Network:
    """The network, for one example or for the mean or sum over many, as --examples says."""
    network, over = _network(arguments), arguments.examples
    if over is None:
        return network
    return network.replace(reduction="sum" if over == "sum" else "mean", examples=None if over == "one" else "N")


def _network(arguments: argparse.Namespace) -> Network:
    if arguments.network is None and arguments.depth is None:
        raise UsageError(
            "there is no network; give one in quotes, such as '784 -> 128 relu -> 10 softmax; cross_entropy', or a "
            "note with --like"
        )
    return Network.parse(ANY_NETWORK if arguments.network is None else arguments.network)


def network_in(notation: Notation, arguments: argparse.Namespace) -> Network | GeneralNetwork:
    """The network as the notation states its task; --examples wins, and a loss that is turned round is told.

    Where no notation is asked for, the loss is left as it is.
    """
    given = _network(arguments)
    if arguments.examples is not None:
        notation = notation.replace(over=arguments.examples)
    if arguments.notation is None:
        notation = notation.replace(sense=given.loss.sense)
    network = notation.convention(given)
    if network.loss != given.loss:
        same = network.loss.spelling == given.loss.spelling
        turned = "taken to be so" if same else f"turned round, to {network.loss.spelling}"
        say(f"notation {notation.name} has a cost to be {notation.sense}d: loss {given.loss.spelling} is {turned}")
    return network if arguments.depth is None else GeneralNetwork.of(network)


def verified(source: Derivation | GeneralDerivation | Exposition) -> Report:
    """The verification's report, with progress on standard error where it takes long."""
    with counted("verifying", source.rounds, "result") as tick:
        return source.verify(progress=lambda done, of: tick())
