"""The NumPy target for code that repeats itself: buffers are made once, and each statement writes into one.

A module has one function `build`, which makes buffers and views and returns a function that uses them. As in the
readable module, the equation stands above the lines that compute it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from sympy import Expr, fraction

from codegen.arrays import Node
from codegen.passes.buffers import Buffer
from codegen.passes.costs import Costs
from codegen.passes.graph import Graph
from codegen.passes.instructions import Instruction, Listing, Operand
from codegen.targets.expressions import equation_text, expression
from codegen.targets.numpy_source import ERF_IMPORT, INDENT, WIDTH

SHIFT_BOUND = {"float32": 64.0, "float64": 600.0}
TRAINING = """train_step and train_epoch for batches of N examples.

    P: all parameters. G: as much memory for their gradients. empty: makes an array, as np.empty does."""
UPDATING = """
    update: moves P down G, by a learning rate."""
GRADIENTS = """loss_and_gradients for batches of N examples.

    G: memory for all gradients. empty: makes an array, as np.empty does."""
EPOCH = (
    "Writes the loss of each step, before its update, into `losses`. Returns the place of the first step whose",
    "gradient was 0 in every entry, -1 if there was none.",
)
NUMPY_NAMES = {"absolute": "abs"}
# Operations with an `out` that must be named, because by place it is deprecated.
NAMED_OUT = frozenset({"maximum", "minimum"})
UFUNCS = frozenset(
    {
        "add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "negative", "square", "sqrt", "exp",
        "expm1", "log", "log1p", "tanh", "sin", "cos", "tan", "sinh", "cosh", "arcsin", "arccos", "arctan",
        "arcsinh", "arccosh", "arctanh", "absolute", "sign", "erf", "greater", "less", "greater_equal",
        "less_equal", "equal", "not_equal", "logical_and", "logical_or", "logical_not",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """Entries `first` to `last` of a flat vector, as an array of this shape under this name.

    is_turned: it is the transpose of what a user knows by that name.
    """

    name: str
    first: int
    last: int
    shape: tuple[int, ...]
    is_turned: bool = False

    def view(self, flat: NDArray) -> NDArray:
        """In a user's order of axes."""
        array = flat[self.first : self.last].reshape(self.shape)
        return array.T if self.is_turned else array


@dataclass(frozen=True)
class Plan:
    """Everything that a source is written from.

    blocks:     parameters in the flat vector; none where they are handed in at each call.
    gradients:  gradients in theirs.
    arguments:  (key, name in code, whether the axes are exchanged) of inputs and targets.
    shapes:     of one example of each argument, by key.
    wrt:        key of the gradient by the key of what it belongs to.
    factor:     what the learning rate is multiplied by to give `step`; None where no step is folded in.
    update:     text of a function that makes the optimizer's update, which `build` is given; the gradients are then as
                they are, or those of the negative of an objective to be maximised. "" where the step is P - G.
    """

    title: str
    graph: Graph
    listing: Listing
    buffers: dict[str, Buffer]
    costs: Costs
    passes: frozenset[str]
    dtype: str
    count: Expr
    objective: str
    arguments: tuple[tuple[str, str, bool], ...]
    parameters: tuple[str, ...]
    blocks: tuple[Block, ...]
    gradients: tuple[Block, ...]
    step: str
    factor: Expr | None
    uphill: bool
    taken: frozenset[str]
    shapes: dict[str, tuple[int, ...]]
    wrt: dict[str, str]
    update: str = ""

    def views(self, flat: NDArray) -> dict[str, NDArray]:
        """The parameters in a flat vector, by key."""
        found = {block.name: block.view(flat) for block in self.blocks}
        for name, (weights, bias) in self.graph.joint.items():
            both = found.pop(name)
            found[weights], found[bias] = both[:, :-1], both[:, -1]
        return {key: found[key] for key in self.parameters}

    def gradient_views(self, flat: NDArray) -> dict[str, NDArray]:
        """The gradients in a flat vector, by key of what they belong to."""
        views = {block.name: block.view(flat) for block in self.gradients}
        return {key: views[gradient] for key, gradient in self.wrt.items()}

    def argument_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of one example of each argument."""
        return tuple(self.shapes[key] for key, _, _ in self.arguments)


def stepper_source(plan: Plan) -> str:
    """A module whose `build(P, G, N)` returns train_step(X, Y, learning_rate) -> loss before the update."""
    return _Writer(plan).module()


class _Writer:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.taken = (set(plan.taken) - set(plan.parameters)) | {
            "P",
            "G",
            "N",
            "np",
            "dtype",
            "build",
            "empty",
            "update",
            "train_step",
            "learning_rate",
        }
        self.made: dict[Any, str] = {}
        self.setup: list[str] = []
        self.rows: dict[str, str] = {}
        self.late = {key: name for key, name, _ in plan.arguments}
        loaded = {i.result for i in plan.listing.instructions if i.op == "load"}
        self.late = {key: name for key, name in self.late.items() if key not in loaded}
        if not plan.blocks:
            self.late.update((key, key) for key in plan.parameters)
        self.sizes = {str(symbol): str(value) for symbol, value in plan.graph.numbers.items()}
        self.sizes.update({str(symbol): "N" for symbol in plan.count.free_symbols})

    # --- the text as a whole

    def module(self) -> str:
        plan = self.plan
        body = self._body()
        uses_erf = any(i.op == "erf" for i in plan.listing.instructions)
        training = bool(plan.blocks)
        names = ", ".join(name for _, name, _ in plan.arguments)
        if training:
            for key, name, _ in plan.arguments:
                shape = ", ".join(("N", *map(str, plan.shapes[key])))
                self.rows[name] = self._name(f"rows_of_{name}")
                self.setup.append(f"{self.rows[name]} = empty(({shape}{',' * (shape == 'N')}), dtype)")
        what = "training steps" if training else "loss and gradients"
        about = (
            f"{plan.title or 'A program of equations'}: {what} without allocation, generated by deltaform for "
            f"{plan.dtype}. Arrays are (units, examples); above the lines stand the equations that they compute."
        )
        head = '"""' + textwrap.fill(about, WIDTH, break_on_hyphens=False) + '\n"""\n\nimport numpy as np\n'
        lines = [ERF_IMPORT] if uses_erf else []
        given = f"{'P, ' * training}G, N, empty{', update' * bool(plan.update)}"
        lines += ["", "", f"def build({given}):"]
        doc = TRAINING + UPDATING * bool(plan.update) if training else GRADIENTS
        lines.append(f'{INDENT}"""{doc}\n{INDENT}"""')
        lines += [INDENT + line for line in self._views_of_vectors()]
        lines += [INDENT + line for line in self.setup]
        call = f"train_step({names}, learning_rate)" if training else f"loss_and_gradients(params, {names})"
        lines += ["", f"{INDENT}def {call}:"]
        lines += [2 * INDENT + line for line in body]
        if training:
            lines += ["", f"{INDENT}def train_epoch({names}, batches, learning_rate, losses):"]
            lines += [(2 * INDENT + line).rstrip() for line in self._epoch()]
        lines += ["", f"{INDENT}return {'train_step, train_epoch' if training else 'loss_and_gradients'}"]
        return head + "\n".join(lines) + "\n" + plan.update

    def _epoch(self) -> list[str]:
        """The body of train_epoch."""
        lines = ['"""A step on each of `batches`, N numbers of rows each.', "", *EPOCH, '"""', "idle = -1"]
        lines.append("for place, rows in enumerate(batches):")
        for _, name, _ in self.plan.arguments:
            # "clip" lets NumPy write without a copy in between; the caller has checked the numbers.
            lines.append(f'{INDENT}{name}.take(rows, 0, {self.rows[name]}, "clip")')
        given = ", ".join(self.rows[name] for _, name, _ in self.plan.arguments)
        lines.append(f"{INDENT}losses[place] = train_step({given}, learning_rate)")
        # One entry tells nearly always; the rest is read where it is 0.
        lines.append(f"{INDENT}if idle < 0 and not G[-1] and not G.any():")
        return [*lines, f"{2 * INDENT}idle = place", "return idle"]

    def _views_of_vectors(self) -> list[str]:
        lines = ["dtype = G.dtype"]
        for vector, blocks in (("P", self.plan.blocks), ("G", self.plan.gradients)):
            for block in blocks:
                shape = ", ".join(map(str, block.shape))
                lines.append(f"{block.name} = {vector}[{block.first}:{block.last}].reshape({shape})")
        return lines

    def _body(self) -> list[str]:
        plan, lines = self.plan, []
        self._make_buffers()
        if plan.factor is not None:
            lines += self._set_step()
        if not plan.blocks:
            lines += [f'{key} = params["{key}"]' for key in plan.parameters]
        for key, name, turned in plan.arguments:
            if key in self.late and turned:
                self.late[key] = self._name(f"{key}_of_{name}" if key == name else key)
                lines.append(f"{self.late[key]} = {name}.T")
        for instruction in plan.listing.instructions:
            for key in instruction.equations:
                for equation in plan.graph.equations.get(key, ()):
                    lines += textwrap.wrap(
                        equation_text(equation), WIDTH, initial_indent="# ", subsequent_indent="#     ",
                        break_long_words=False, break_on_hyphens=False,
                    )  # fmt: skip
            lines += self._statement(instruction)
        if plan.update:
            if plan.uphill and plan.factor is None:
                lines.append(f"{self._function('negative')}(G, G)")
            return [*lines, "update(learning_rate)", f"return {plan.objective}"]
        if plan.blocks and plan.factor is None:
            rate = "-learning_rate" if plan.uphill else "learning_rate"
            lines.append(f"{self._function('multiply')}(G, {rate}, G)")
        if plan.blocks:
            lines.append(f"{self._function('subtract')}(P, G, P)")
        lines.append(f"return {plan.objective}")
        return lines

    def _set_step(self) -> list[str]:
        assert self.plan.factor is not None
        above, below = fraction(self.plan.factor)
        folds_rate = bool(self.plan.blocks) and not self.plan.update
        rate = "learning_rate" if folds_rate else "1.0"
        text = f"-{rate}" if self.plan.uphill and self.plan.blocks else rate
        for sign, size in ((" * ", above), (" / ", below)):
            if size != 1:
                inner = expression_of_size(size, self.sizes)
                text += sign + (inner if size.is_Atom else f"({inner})")
        self.setup.append(f"{self.plan.step} = np.empty((), dtype)")
        if not folds_rate:
            self.setup.append(f"{self.plan.step}[()] = {text}")
            return []
        return [f"{self.plan.step}[()] = {text}"]

    # --- memory

    def _make_buffers(self) -> None:
        """One line for each buffer, with the names of all results that lie in it."""
        rows: dict[int, tuple[Buffer, list[str]]] = {}
        self.shown: dict[str, str] = {}
        self.bases: dict[str, str] = {}
        spare = 0
        listing = self.plan.listing
        keys = {i.result: i.key for i in listing.instructions}
        for name, buffer in self.plan.buffers.items():
            if buffer.fixed:
                self.shown[name] = buffer.fixed
                continue
            _, names = rows.setdefault(id(buffer), (buffer, []))
            if not name.startswith("part_"):
                self.shown[name] = name
                names.append(name)
        for name, buffer in self.plan.buffers.items():
            if name in self.shown:
                continue
            names = rows[id(buffer)][1]
            key = keys[name]
            if self.plan.buffers.get(key) is not buffer:
                spares = [n for n in names if n.startswith("spare_")]
                if not spares:
                    spare += 1
                    names.append(f"spare_{spare}")
                    spares = names[-1:]
                key = spares[0]
            self.shown[name] = key
        widened = {self.shown.get(o.name) for i in listing.instructions for o in listing.read(i) if o.is_widened}
        for buffer, names in rows.values():
            chain = " = ".join(dict.fromkeys(names))
            if buffer.with_ones is not None:
                base = self._name(f"{next((n for n in names if n in widened), names[0])}_1")
                longer = tuple(n + 1 if axis == buffer.with_ones else n for axis, n in enumerate(buffer.shape))
                before = ":, " * buffer.with_ones
                self.setup.append(f"{base} = empty({self._shape(longer)}, dtype)")
                self.setup.append(f"{base}[{before}-1] = 1")
                self.setup.append(f"{chain} = {base}[{before}:-1]")
                self.bases.update(dict.fromkeys(names, base))
            else:
                kind = "bool" if buffer.is_truth else "dtype"
                self.setup.append(f"{chain} = empty({self._shape(buffer.shape)}, {kind})")

    def _shape(self, shape: Sequence[Expr]) -> str:
        sizes = [expression_of_size(n.xreplace(self._known()), self.sizes) for n in shape]
        return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"

    def _known(self) -> dict[Expr, Any]:
        free = self.plan.count.free_symbols
        return {symbol: value for symbol, value in self.plan.graph.numbers.items() if symbol not in free}

    def _name(self, wanted: str) -> str:
        name = wanted
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _once(self, key: Any, wanted: str, source: str) -> str:
        """The name of something that is made once, before the first call."""
        if key not in self.made:
            self.made[key] = self._name(wanted)
            self.setup.append(f"{self.made[key]} = {source}")
        return self.made[key]

    def _function(self, op: str) -> str:
        name = NUMPY_NAMES.get(op, op)
        return "erf" if op == "erf" else self._once(("function", op), f"np_{name}", f"np.{name}")

    # --- operands

    def _operand(self, operand: Operand, array_like: Sequence[Expr] | None = None) -> str:
        if operand.node is not None:
            return self._constant(operand.node, array_like)
        base = self.late.get(operand.name)
        if base is not None:
            return _seen(base, operand)
        shown = self.shown.get(operand.name, operand.name)
        text, views = shown, operand.views
        if views:
            key = (shown, views)
            if key not in self.made:
                inner = Operand(operand.name, views[:-1])
                whole = self._operand(inner) if len(views) > 1 else shown
                joint = self.plan.graph.joint.get(operand.name)
                short = joint[0] if joint and views[-1][0] == "rows" else whole + _suffix(views[-1])
                with_ones = views[-1][0] == "with_ones"
                if with_ones and self.bases[shown] == short:
                    return short
                self._once(key, short, self.bases[shown] if with_ones else _seen(whole, Operand(whole, views[-1:])))
            text = self.made[key]
        return text

    def _flat(self, operand: Operand, whole: Sequence[Expr]) -> str:
        """An operand as a vector of all its entries."""
        if operand.node is not None and operand.node.op == "ones":
            size = " * ".join(self._factor(n) for n in whole)
            return self._once(("ones", size), self._ones_name(size), f"np.ones({size}, dtype)")
        if len(operand.shape) == 1:
            return self._operand(operand)
        return self._operand(Operand(operand.name, (*operand.views, ("flat", None)), None, operand.shape))

    def _factor(self, extent: Expr) -> str:
        return expression_of_size(extent.xreplace(self._known()), self.sizes)

    def _ones_name(self, size: str) -> str:
        return "ones_" + size.replace(" * ", "_").replace(" ", "")

    def _constant(self, node: Node, array_like: Sequence[Expr] | None) -> str:
        if node.op == "ones":
            size = self._factor(node.shape[0])
            return self._once(("ones", size), self._ones_name(size), f"np.ones({size}, dtype)")
        text = expression(node, self.sizes)
        if "constant_operand" not in self.plan.passes:
            return text
        short = "c_" + "".join(c if c.isalnum() else "m" if c == "-" else "_" for c in text)[:20]
        if array_like is None:
            return self._once(("constant", text), short, f"np.array({text}, dtype)")
        shape = self._shape(array_like)
        named = "_".join(self._factor(n) for n in array_like)
        return self._once(("constants", text, shape), f"{short}_{named}", f"np.full({shape}, {text}, dtype)")

    # --- statements

    def _statement(self, instruction: Instruction) -> list[str]:
        op, operands = instruction.op, instruction.operands
        if instruction.scalar is not None:
            return [f"{instruction.result} = {self._scalar(instruction.scalar)}"]
        out = self.shown[instruction.result]
        if op == "load":
            name, turned = next((name, turned) for key, name, turned in self.plan.arguments if key == out)
            return [f"{self._function('copyto')}({out}, {name}{'.T' if turned else ''})"]
        if op in UFUNCS:
            size = self.plan.graph.size(instruction.shape)
            like = instruction.shape if self.plan.costs.constant_pays(op, size) else None
            texts = [self._operand(operand, like) for operand in operands]
            place = f"out={out}" if op in NAMED_OUT else out
            return [f"{self._function(op)}({', '.join([*texts, place])})"]
        texts = [self._operand(operand) for operand in operands]
        if op == "matmul" and all(len(operand.shape) <= 2 for operand in operands):
            return [f"{texts[0]}.dot({texts[1]}, {out})"]
        if op == "matmul":
            return [f"{self._function('matmul')}({texts[0]}, {texts[1]}, out={out})"]
        if op in ("sum", "max"):
            name = {"sum": "add", "max": "maximum"}[op]
            axes = instruction.detail[0] if len(instruction.detail) == 1 else instruction.detail
            return [f"{self._function(name)}.reduce({texts[0]}, axis={axes}, out={out})"]
        if op in ("copy", "cast"):
            return [f"{self._function('copyto')}({out}, {texts[0]})"]
        if op == "where":
            mask, yes, no = texts
            copy = self._function("copyto")
            return [f"{copy}({out}, {no})"] * (out != no) + [f"{copy}({out}, {yes}, where={mask})"]
        if op == "shifted":
            return self._shifted(out, operands[0], instruction)
        names = {str(n): str(text) for n, text in enumerate(texts)}
        made = Node(
            op, tuple(Node("tensor", (), str(n), operand.shape) for n, operand in enumerate(operands)),
            instruction.detail, instruction.shape,
        )  # fmt: skip
        return [f"{self._function('copyto')}({out}, {expression(made, {**self.sizes, **names})})"]

    def _shifted(self, out: str, operand: Operand, instruction: Instruction) -> list[str]:
        """out = u, less the maximum over the first axis unless the squares of all entries show that they are small."""
        source, flat = self._operand(operand), self._flat(operand, operand.shape)
        shift = f"{self._function('subtract')}({source}, {source}.max(axis=0), {out})"
        bound = SHIFT_BOUND[self.plan.dtype]
        if self.plan.buffers.get(operand.name) is self.plan.buffers[instruction.result]:
            out = source
        lines = [
            f"# {out} may be shifted by any number; it need not be where every entry is within {bound:g} of 0",
            f"if not {flat}.dot({flat}) <= {bound * bound:g}:",
            INDENT + shift,
        ]
        if source != out:
            lines += ["else:", f"{INDENT}{self._function('copyto')}({out}, {source})"]
        return lines

    def _scalar(self, scalar: Node) -> str:
        """A scalar as an expression over Python's floats."""
        dots = self.plan.listing.dots

        def rule(node: Node) -> Node | None:
            if node not in dots:
                return None
            operands = dots[node]
            if node.op == "dot":
                left, right = (self._flat(operand, node.args[0].shape) for operand in operands)
                return Node("tensor", (), f"float({left}.dot({right}))", ())
            inner = tuple(Node("tensor", (), self._operand(o), o.shape) for o in operands)
            return Node("tensor", (), f"float({expression(Node(node.op, inner, node.detail, ()), self.sizes)})", ())

        made: dict[Node, Node] = {}
        for node in scalar.walk():
            found = rule(node)
            made[node] = found or Node(node.op, tuple(made[a] for a in node.args), node.detail, node.shape)
        return expression(made[scalar], {**self.sizes, **self.shown})


def _suffix(view: tuple[str, Any]) -> str:
    return {"transpose": "_T", "with_ones": "_1", "rows": "_W", "flat": "_flat", "expand": "_wide"}.get(
        view[0], "_" + view[0]
    )


def _seen(base: str, operand: Operand) -> str:
    """`base` through the views of an operand."""
    text = base
    for op, detail in operand.views:
        if op == "rows":
            text += "[:-1]"
        elif op == "flat":
            text += ".reshape(-1)"
        elif op == "expand":
            places, rank = detail
            text += "[" + ", ".join("None" if n in places else ":" for n in range(rank)) + "]"
        elif op == "transpose" and detail == (1, 0):
            text += ".T"
        else:
            text = expression(Node(op, (Node("tensor", (), text, ()),), detail, ()), {})
    return text


def expression_of_size(extent: Expr, names: dict[str, str]) -> str:
    return str(extent.xreplace({s: type(s)(names.get(str(s), str(s))) for s in extent.free_symbols}))
