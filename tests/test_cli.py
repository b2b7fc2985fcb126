"""The command: what it prints where, what it writes, and its exit status. Numbers in ids are rows of bad
inputs."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import codegen.commands
from codegen.checkpoints import load_checkpoint
from codegen.cli import main
from codegen.optimizers import OPTIMIZERS
from codegen.source import VERSION
from codegen.training import EPOCHS, SAMPLINGS
from codegen.wording import duration, number_of
from symbolic import NOTATIONS
from symbolic.verification import Report

ROOT = Path(__file__).parent.parent
NETWORK = "3 -> 4 tanh -> 2 softmax; cross_entropy"
COMMAND = [sys.executable, "-W", "error", "-m", "codegen.cli"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty present folder with examples in data.npz."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    X = random.normal(size=(40, 3))
    np.savez("data.npz", X=X, y=(X[:, 0] > 0).astype(int))
    return tmp_path


def test_help_teaches(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("derive", "generate", "train", "verify", "notations", "demo"):
        assert re.search(rf"^ +deltaform {command}", text, re.MULTILINE)
        assert main([command, "--help"]) == 0
        assert f"example:\n  deltaform {command} " in capsys.readouterr().out
    assert main(["train", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, optimizer in OPTIMIZERS.items():
        assert f"{optimizer.learning_rate:g} for {name}" in text
    for name, sampling in SAMPLINGS.items():
        assert f"{name}: {sampling.law}" in text and f"{sampling.batch_size} for {name}" in text
    assert f"passes over the examples in all, a resumed run's included (default: {EPOCHS})" in text
    assert "--data digits --sampling uniform --iterations 20000" in text


def test_examples_of_the_help_run(folder, capsys):
    """Each example line of each command's help; that of train is short of its epochs, and the demo has its
    own test."""
    for command in ("derive", "diagram", "generate", "verify"):
        main([command, "--help"])
        line = capsys.readouterr().out.split("example:\n  deltaform ")[1].splitlines()[0]
        arguments = re.findall(r'"[^"]*"|\S+', line)
        assert main([argument.strip('"') for argument in arguments]) == 0
    assert {path.name for path in folder.iterdir()} == {"data.npz", "page.html", "network.svg", "digits_mlp.py"}


def test_derive_prints_the_page(capsys):
    assert main(["derive", NETWORK, "--form", "component", "--detail", "result"]) == 0
    first = capsys.readouterr()
    assert first.out.startswith("\\documentclass") and first.out.endswith("\\end{document}\n") and first.err == ""
    pages = {first.out}
    for options in (["--form", "matrix"], ["--detail", "rule"], ["--examples", "one"], ["--examples", "sum"]):
        assert main(["derive", NETWORK, *options]) == 0
        pages.add(capsys.readouterr().out)
    assert len(pages) == 5


def test_derive_writes_the_page(folder, capsys):
    assert main(["derive", NETWORK, "-o", "page.tex"]) == 0
    seen = capsys.readouterr()
    assert seen.out == "" and "deltaform: wrote page.tex; for a PDF: pdflatex page.tex" in seen.err
    assert main(["derive", NETWORK]) == 0
    assert capsys.readouterr().out == (folder / "page.tex").read_text()


def test_derive_at_any_depth(capsys):
    assert main(["derive", "3 -> 4 tanh -> 2 softmax; cross_entropy", "--depth", "general"]) == 0
    page = capsys.readouterr().out
    assert r"\section*{Induction}" in page and "All of them hold." in page
    assert r"\delta^{[\ell]} &= (W^{[\ell+1]\top} \delta^{[\ell+1]}) \circ (1 - (a^{[\ell]})^{\circ 2})" in page
    assert r"\delta^{[L]} &= a^{[L]} - y" in page
    assert main(["derive", "--depth", "general", "--notation", "nielsen", "--no-verify"]) == 0
    assert r"\delta^l &= ((w^{l+1})^T \delta^{l+1}) \odot g'(z^l)" in capsys.readouterr().out


def test_verify_at_any_depth_and_of_a_note(capsys):
    assert main(["verify", "--depth", "general", "--examples", "one"]) == 0
    assert re.search(r"1, depth 5 .* true", capsys.readouterr().out)
    assert main(["verify", "--like", "vec"]) == 0
    assert "the last two layers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["derive"], "there is no network"),
        (["verify"], "there is no network"),
        (["derive", "3 -> 4 tanh -> 3 relu -> 2; squared_error", "--depth", "general"], "layer 2: activation relu"),
        (["derive", "--like", "nobody"], "note 'nobody' is not known"),
    ],
)
def test_what_depth_and_like_refuse(capsys, arguments, message):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_notations_are_listed_and_printed_as_files_that_derive_reads(folder, capsys):
    assert main(["notations"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(NOTATIONS)
    for name in ("vec", "index"):
        assert main(["notations", name]) == 0
        (folder / "my.toml").write_text(capsys.readouterr().out)
        assert main(["notations", "my.toml"]) == 0
        assert capsys.readouterr().out.replace("notation my,", f"notation {name},") == (folder / "my.toml").read_text()
        pages = set()
        for notation in (name, "my.toml", str(folder / "my.toml")):
            assert main(["derive", NETWORK, "--notation", notation]) == 0
            pages.add(capsys.readouterr().out)
        assert len(pages) == 1


def test_derive_states_the_network_as_the_notation_has_it(folder, capsys):
    network = "3 -> 2 sigmoid; log_likelihood"

    def page(*options):
        assert main(["derive", network, "--detail", "result", "--no-verify", *options]) == 0
        seen = capsys.readouterr()
        return seen.out, seen.err

    plain, told = page()
    assert "to be maximised" in plain and told == ""  # nobody asked for a notation: the loss is as it is
    minimised, told = page("--notation", "cs229")
    assert "to be minimised" in minimised and told == (
        "deltaform: notation cs229 has a cost to be minimised: loss log_likelihood is turned round, to "
        "binary_cross_entropy\n"
    )
    index, told = page("--notation", "index")
    assert r"C &= \sum_{p=1}^{P} c^p" in index and "to be maximised" in index and told == ""
    # What is said on the command line wins: form and examples are only the notation's default.
    assert r"\sum_{n_1=1}" in index and r"\sum_{n_1=1}" not in page("--notation", "index", "--form", "matrix")[0]
    assert r"\frac{1}{P}" in page("--notation", "index", "--examples", "mean")[0]
    assert r"\sum_{p=1}" not in page("--notation", "index", "--examples", "one")[0]
    network = "3 -> 2; c(y,h)"
    assert page("--notation", "index")[1].endswith("has a cost to be maximised: loss c(y,h) is taken to be so\n")
    network = "3 -> 2 softmax -> 2 softmax; cross_entropy"
    assert page("--notation", "index")[1].count("warning: ") == page()[1].count("warning: ")  # not said twice


def test_a_mistake_in_a_notation_is_shown_at_its_line(folder, capsys):
    (folder / "my.toml").write_text("based_on = 'vec'\n\n[letters]\nloss = 'L'  # mine\nwieght = 'w'\n")
    for command in (["derive", NETWORK, "--notation", "my.toml"], ["notations", "my.toml"]):
        assert main(command) == 2
        seen = capsys.readouterr()
        assert seen.out == "" and seen.err.startswith(
            "deltaform: my.toml, line 5, column 1: letters has 'wieght', which is no role; did you mean weight? "
        )
        assert seen.err.endswith("\n    wieght = 'w'\n    ^\n")


def test_generate_prints_and_writes_the_same(folder, capsys):
    assert main(["generate", NETWORK]) == 0
    printed = capsys.readouterr().out
    assert main(["generate", NETWORK, "-o", "network.py"]) == 0
    assert (folder / "network.py").read_text() == printed
    assert "deltaform: wrote network.py" in capsys.readouterr().err
    assert main(["generate", NETWORK, "-o", "network.py", "--dtype", "float32"]) == 2
    assert "network.py exists already" in capsys.readouterr().err
    assert main(["generate", NETWORK, "-o", "network.py", "--dtype", "float32", "--force"]) == 0
    assert (folder / "network.py").read_text() != printed


def test_train_saves_draws_and_resumes(folder, capsys):
    pytest.importorskip("matplotlib")
    base = ["train", NETWORK, "--data", "data.npz", "--batch-size", "8", "--optimizer", "adam", "--seed", "3"]
    assert main([*base, "--epochs", "3", "--save", "run.npz", "--plot", "loss.png"]) == 0
    seen = capsys.readouterr()
    assert re.search(r"test accuracy \d+\.\d\d% on 8 held-out examples\n", seen.out) and seen.out.startswith(
        f"{NETWORK}: 3 epochs, 12 steps"
    )
    assert "data.npz: 32 examples to train on, 8 held out" in seen.err and seen.err.count("epoch ") == 3
    assert "wrote run.npz" in seen.err and (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert (
        main(
            [
                "train",
                NETWORK,
                "--data",
                "data.npz",
                "--epochs",
                "5",
                "--resume",
                "run.npz",
                "--save",
                "run.npz",
            ]
        )
        == 0
    )
    assert main([*base, "--epochs", "5", "--save", "whole.npz"]) == 0
    resumed, whole = load_checkpoint("run.npz"), load_checkpoint("whole.npz")
    assert resumed.step_losses == whole.step_losses and resumed.settings.seed == 3
    assert [epoch.accuracy for epoch in resumed.epochs] == [epoch.accuracy for epoch in whole.epochs]


def test_train_by_iterations_with_uniform_sampling(folder, capsys):
    pytest.importorskip("matplotlib")
    base = ["train", NETWORK, "--data", "data.npz"]
    uniform = [*base, "--sampling", "uniform", "--seed", "3"]
    assert main([*uniform, "--iterations", "50", "--save", "run.npz", "--plot", "loss.png"]) == 0
    seen = capsys.readouterr()
    assert seen.out.startswith(f"{NETWORK}: 1.6 epochs, 50 steps, ")
    assert re.findall(r"^step.*?:", seen.err, re.MULTILINE) == ["step 32/50:", "step 50/50:"]
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    resume = [*base, "--resume", "run.npz", "--save", "run.npz"]
    for wrong, message in (
        (["--sampling", "shuffled"], "has sampling uniform, not shuffled"),
        (["--iterations", "50"], "iterations is 50, but the resumed run has done 50 already"),
        (["--epochs", "1"], "epochs is 1, but the resumed run has done 1 already"),
    ):
        assert main([*resume, *wrong]) == 2 and message in capsys.readouterr().err
    assert main([*resume, "--iterations", "96"]) == 0
    assert capsys.readouterr().out.startswith(f"{NETWORK}: 3 epochs, 96 steps, ")
    assert main([*uniform, "--epochs", "3", "--save", "whole.npz"]) == 0
    resumed, whole = load_checkpoint("run.npz"), load_checkpoint("whole.npz")
    assert resumed.step_losses == whole.step_losses and resumed.settings == whole.settings
    assert whole.settings.batch_size == 1
    for key, value in whole.params.items():
        np.testing.assert_array_equal(resumed.params[key], value)


def test_verify_says_yes(capsys):
    assert main(["verify", "3 -> 4 sigmoid -> 2 sigmoid; half_squared_error"]) == 0
    text = capsys.readouterr().out
    assert "all true" in text and "all gradients agree (complex, tolerance 1e-10)" in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"deltaform {VERSION}\n"


def test_verify_says_at_which_sizes_and_over_how_many_examples(capsys):
    seen = set()
    for over in ("one", "mean", "sum"):
        assert main(["verify", "784 -> 128 relu -> 10 softmax; cross_entropy", "--examples", over]) == 0
        text = capsys.readouterr().out
        sizes = re.search(r"^at stand-in sizes (.*); the equations are the same at every size$", text, re.MULTILINE)
        assert re.fullmatch(r"(N = \d, )?n_0 = \d, n_1 = \d, n_2 = \d", sizes.group(1))
        assert ("N = " in sizes.group(1)) == (over != "one")
        # Something is checked: no gradient is zero throughout.
        rows = re.findall(r"^[Wb][12] .* (\S+) +(\S+) +agrees$", text, re.MULTILINE)
        assert len(rows) == 4 and all(float(given) != 0 for given, _ in rows)
        seen.add(text)
    assert len(seen) == 3


def test_verify_asks_for_scipy_before_it_verifies(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    assert main(["verify", "3 -> 2 gelu; half_squared_error"]) == 2
    seen = capsys.readouterr()
    assert seen.out == "" and re.fullmatch(r"deltaform: .* pip install 'deltaform\[erf\]'\n", seen.err)


def test_verify_checks_the_steps_where_there_is_no_code(capsys):
    assert main(["verify", "n_0 -> n_1 g(z) -> n_2; half_squared_error"]) == 0
    seen = capsys.readouterr()
    assert "all true" in seen.out and "deltaform: the generated code is not checked, for there is none" in seen.err


def test_verify_says_no_to_a_wrong_step(capsys, monkeypatch):
    class Wrong(Report):
        ok = False

    monkeypatch.setattr("symbolic.derivation.Derivation.verify", lambda derivation, progress: Wrong((), "none", 3, 0))
    assert main(["verify", NETWORK]) == 1
    assert "all gradients agree" in capsys.readouterr().out


def test_verify_says_no_to_wrong_code(capsys, monkeypatch):
    class Wrong:
        def __init__(self, functions):
            self.unchecked = functions.unchecked
            self.right = functions.loss_and_gradients

        def loss_and_gradients(self, *arguments):
            loss, gradients = self.right(*arguments)
            return loss, gradients | {"W1": gradients["W1"] * 1.0005}

    right = codegen.commands.lambdify
    monkeypatch.setattr("codegen.commands.lambdify", lambda derivation: Wrong(right(derivation)))
    assert main(["verify", NETWORK]) == 1
    text = capsys.readouterr().out
    assert "1 of 4 gradients differs (" in text and re.search(r"W1 .*DIFFERS", text)


def test_a_warning_is_one_line(capsys):
    assert main(["derive", "3 -> 2 softmax -> 2 softmax; cross_entropy"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines and all(line.startswith("deltaform: warning: ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "the following arguments are required: COMMAND; see deltaform --help", id="no-command"),
        pytest.param(["drive"], "invalid choice: 'drive'", id="command"),
        pytest.param(["derive", "3 -> ; x"], r"\^", id="31-caret"),
        pytest.param(["derive", "3 -> 2 rellu; half_squared_error"], "did you mean relu", id="18"),
        pytest.param(["derive", "3 -> 2; half_squared_eror"], "did you mean half_squared_error", id="19"),
        pytest.param(
            ["derive", NETWORK, "--notation", "nilsen"], "did you mean nielsen.*or name a file", id="notation"
        ),
        pytest.param(["derive", NETWORK, "--notation", ""], "'' is no notation and no file", id="no-notation"),
        pytest.param(["derive", NETWORK, "--notation", "no.toml"], "no.toml does not exist", id="no-toml"),
        pytest.param(["notations", "vce"], "did you mean vec", id="notations"),
        pytest.param(["derive", '3 -> __import__("os"); half_squared_error'], "deltaform: ", id="1"),
        pytest.param(["derive", "3 -> 0; half_squared_error"], "deltaform: ", id="13"),
        pytest.param(["derive", "1000000000 -> 1000; half_squared_error"], "GB", id="15"),
        pytest.param(["generate", "3 -> 2 g(z); half_squared_error"], "g", id="no-code"),
        pytest.param(["derive", NETWORK, "-o", "missing/page.tex"], "missing does not exist; create it", id="56"),
        pytest.param(["derive", NETWORK, "-o", "there.tex"], "there.tex exists already; give --force", id="57-tex"),
        pytest.param(["generate", NETWORK, "-o", "there.py"], "there.py exists already", id="57-py"),
        pytest.param(["derive", NETWORK, "-o", "."], "is a folder; name a file in it", id="58"),
        pytest.param(["generate", NETWORK, "-o", "numpy.py"], "'numpy' is the name of a module", id="59-shadow"),
        pytest.param(["generate", NETWORK, "-o", "1st-try.py"], "'1st-try' cannot be imported", id="59"),
        pytest.param(["derive", NETWORK, "-o", "page.doc"], r"unknown suffix '\.doc'; it must be \.tex", id="61"),
        pytest.param(["derive", NETWORK, "-o", "x" * 300 + ".tex"], "File name too long", id="name-too-long"),
    ],
)
def test_wrong_use(folder, capsys, arguments, message):
    for name in ("there.tex", "there.py"):
        (folder / name).write_text("kept")
    assert main(arguments) == 2
    seen = capsys.readouterr()
    assert seen.out == "" and seen.err.startswith("deltaform: ") and re.search(message, seen.err)
    assert "Traceback" not in seen.err
    assert (folder / "there.tex").read_text() == (folder / "there.py").read_text() == "kept"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--learning-rate", "0"], "learning rate must be a number above 0", id="48-zero"),
        pytest.param(["--learning-rate", "nan"], "learning rate must be a number above 0", id="48-nan"),
        pytest.param(["--learning-rate", "fast"], "--learning-rate: must be a number, not 'fast'", id="48-string"),
        pytest.param(["--batch-size", "0"], "batch size must be a whole number from 1", id="49-zero"),
        pytest.param(
            ["--batch-size", "33"],
            "batch size is 33, more than the 32 examples to train on; choose 1 to 32",
            id="49-large",
        ),
        pytest.param(["--epochs", "0"], "epochs must be a whole number from 1", id="50"),
        pytest.param(["--epochs", "two"], "--epochs: must be a whole number, not 'two'", id="50-string"),
        pytest.param(["--iterations", "0"], "iterations must be a whole number from 1, not 0", id="50-iterations"),
        pytest.param(
            ["--iterations", "1e4"], "--iterations: must be a whole number, not '1e4'", id="50-iterations-text"
        ),
        pytest.param(
            ["--iterations", "9", "--epochs", "2"], "epochs is 2 and iterations is 9, .* leave out", id="50-both"
        ),
        pytest.param(["--sampling", "random"], "sampling 'random' is unknown; .*shuffled", id="sampling"),
        pytest.param(["--seed", "-1"], "seed must be a whole number from 0", id="52"),
        pytest.param(["--seed", "0.5"], "--seed: must be a whole number, not '0.5'", id="52-float"),
        pytest.param(["--optimizer", "adan"], "did you mean adam", id="optimizer"),
        pytest.param(["--data", "data.txt"], r"unknown suffix '\.txt'", id="61-data"),
        pytest.param(["--data", "nowhere.csv"], "nowhere.csv does not exist", id="no-data"),
        pytest.param(["--data", "digits"], "X has 64 columns, but the network has 3 inputs", id="33"),
        pytest.param(["--save", "there.npz"], "there.npz exists already", id="57-save"),
        pytest.param(["--plot", "there.png"], "there.png exists already", id="57-plot"),
        pytest.param(["--save", "no/run.npz"], "the folder no does not exist", id="56-save"),
        pytest.param(["--plot", "loss.bmp"], r"unknown suffix '\.bmp'", id="61-plot"),
        pytest.param(["--save", "data.npz", "--force"], "would replace the examples to train on", id="57-data"),
        pytest.param(["--save", "./data.npz", "--force"], "would replace the examples to train on", id="57-same"),
        pytest.param(["--resume", "data.npz"], "data.npz is no saved run", id="62"),
        pytest.param(["--resume", "nowhere.npz"], "nowhere.npz does not exist", id="resume-nothing"),
    ],
)
def test_train_refuses_before_it_begins(folder, capsys, options, message):
    for name in ("there.npz", "there.png"):
        (folder / name).write_text("kept")
    before = sorted(os.listdir())
    assert main(["train", NETWORK, "--data", "data.npz", *options]) == 2
    seen = capsys.readouterr()
    assert seen.out == "" and re.search(message, seen.err) and "epoch  1" not in seen.err
    assert seen.err.splitlines()[-1].startswith("deltaform: ")
    assert sorted(os.listdir()) == before and (folder / "there.npz").read_text() == "kept"


def test_53_resume_of_another_network(folder, capsys):
    assert main(["train", NETWORK, "--data", "data.npz", "--epochs", "1", "--save", "run.npz"]) == 0
    other = NETWORK.replace("tanh", "relu")
    assert main(["train", other, "--data", "data.npz", "--resume", "run.npz"]) == 2
    assert "it trains 3 -> 4 tanh" in capsys.readouterr().err


def test_51_saves_the_last_good_weights(folder, capsys):
    base = ["train", "3 -> 1; half_squared_error", "--data", "data.npz", "--learning-rate", "1e10"]
    assert main([*base, "--epochs", "50", "--save", "run.npz"]) == 2
    seen = capsys.readouterr()
    assert re.search(r"deltaform: step \d+ \(epoch \d+\): .*; run.npz has the last good weights\n", seen.err)
    assert "wrote run.npz" in seen.err and max(map(len, seen.err.splitlines())) < 200
    assert all(np.isfinite(value).all() for value in load_checkpoint("run.npz").params.values())
    assert main([*base, "--epochs", "50"]) == 2
    assert capsys.readouterr().err.endswith("; with --save the last good weights are kept\n")


def process(arguments, folder, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param(["--epochs", "10000000"], "epoch ", id="epochs"),
        pytest.param(["--sampling", "uniform", "--iterations", "100000000"], "step ", id="iterations"),
    ],
)
def test_55_interrupt_finishes_the_step_saves_and_draws(folder, options, told):
    pytest.importorskip("matplotlib")
    arguments = ["train", NETWORK, "--data", "data.npz", *options, "--save", "run.npz"]
    arguments += ["--plot", "loss.png"]
    with process(arguments, folder) as running:
        for line in running.stderr:
            if line.startswith(told):
                break
        running.send_signal(signal.SIGINT)
        _, talk = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "deltaform: interrupted after step " in talk and "deltaform: wrote run.npz" in talk
    assert "Traceback" not in talk
    assert "wrote loss.png" in talk and (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    history = load_checkpoint(folder / "run.npz")
    assert f"interrupted after step {len(history.step_losses)}\n" in talk


def test_67_a_closed_pipe_is_no_traceback(folder):
    read, write = os.pipe()
    os.close(read)
    with process(["derive", NETWORK], folder, stdout=write) as running:
        os.close(write)
        _, talk = running.communicate(timeout=20)
    assert (running.returncode, talk) == (141, "")


def test_help_does_not_wait_for_sympy(folder):
    started = time.perf_counter()
    code = (
        "import sys; from codegen.cli import main; main(['--help']); "
        "sys.exit(any(name in sys.modules for name in ('sympy', 'numpy')))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL).returncode == 0
    assert time.perf_counter() - started < 5


def test_the_demo_names_all_that_is_missing_and_makes_nothing(folder, capsys, monkeypatch):
    for name in ("sklearn", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["demo", "--out", "demo"]) == 2
    talk = capsys.readouterr().err
    assert "scikit-learn and matplotlib" in talk and "pip install 'deltaform[demo]'" in talk
    assert not Path("demo").exists()


def test_a_wrong_suffix_is_said_before_a_missing_extra(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    arguments = ["train", NETWORK, "--data", "data.npz", "--plot"]
    assert main([*arguments, "loss.bmp"]) == 2 and "unknown suffix '.bmp'" in capsys.readouterr().err
    assert main([*arguments, "loss.png"]) == 2 and "pip install 'deltaform[plot]'" in capsys.readouterr().err


def test_demo(folder, capsys):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    assert main(["demo", "--out", "a/b"]) == 0
    seen = capsys.readouterr()
    accuracy = re.search(r"^test accuracy ([\d.]+)% on 359 held-out examples$", seen.out, re.MULTILINE)
    assert accuracy and float(accuracy.group(1)) >= 97
    assert "all true" in seen.err and seen.err.count("epoch ") == 30
    files = re.findall(r"^  (a/b/\S+)  ", seen.out, re.MULTILINE)
    assert sorted(files) == sorted(str(path) for path in Path("a/b").iterdir()) and len(files) == 6
    module = Path("a/b/digits_mlp.py").read_text()
    assert "import numpy" in module and "symbolic" not in module
    (folder / "file").write_text("")
    assert main(["demo", "--out", "file"]) == 2


def test_no_page_is_written_for_a_wrong_derivation(tmp_path, capsys, monkeypatch):
    class Wrong(Report):
        ok = False

    monkeypatch.setattr("symbolic.derivation.Derivation.verify", lambda derivation, progress: Wrong((), "none", 3, 0))
    page = tmp_path / "page.tex"
    assert main(["derive", NETWORK, "-o", str(page)]) == 1
    assert not page.exists() and "no page is written" in capsys.readouterr().err
    assert main(["derive", NETWORK, "-o", str(page), "--no-verify"]) == 0
    assert "Verification" not in page.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "numpi"], "target 'numpi' is unknown; did you mean numpy? known: numba, numpy, scalar, textbook"),
        (["--target", "scalar", "--batch-size", "0"], "batch size must be a whole number from 1, not 0"),
        (["--target", "scalar", "--batch-size", "8"], "it takes one example a step, not 8; ask for another: numpy"),
        (["--target", "scalar", "--dtype", "float32"], "are float64, not float32; ask for another: numpy"),
        (["--target", "numba", "--optimizer", "adam"], "sgd, not of adam; ask for another: numpy, textbook"),
        (["--optimizer", "adm"], "optimizer 'adm' is unknown; did you mean adam?"),
        (["--sampling", "unifrom"], "sampling 'unifrom' is unknown; did you mean uniform?"),
    ],
)
def test_train_refuses_settings_before_it_reads_the_examples(folder, capsys, monkeypatch, options, message):
    monkeypatch.setattr(codegen.commands, "load", lambda *given: pytest.fail("read"))
    assert main(["train", NETWORK, "--data", "data.npz", *options]) == 2
    assert message in capsys.readouterr().err


def test_one_of_something_is_said_so_and_a_short_time_is_not_nothing(folder, capsys):
    random = np.random.default_rng(0)
    np.savez("few.npz", X=random.normal(size=(2, 3)), y=np.array([0, 1]))
    assert main(["train", NETWORK, "--data", "few.npz", "--epochs", "1"]) == 0
    seen = capsys.readouterr()
    assert re.match(rf"{re.escape(NETWORK)}: 1 epoch, 1 step, \d+(\.\d+)? ms\n", seen.out)
    assert "few.npz: 1 example to train on, 1 held out" in seen.err and "on 1 held-out example\n" in seen.out


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 ms"),
        (0.00123456, "1.23 ms"),
        (0.0345, "34.5 ms"),
        (0.4567, "457 ms"),
        (0.9996, "1.0 s"),
        (83.21, "83.2 s"),
    ],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "unit", "said"),
    [
        (1, "epoch", "1 epoch"),
        (1.0, "epoch", "1 epoch"),
        (1.6, "epoch", "1.6 epochs"),
        (2.0, "epoch", "2 epochs"),
        (0, "class", "0 classes"),
        (10**7, "step", "10000000 steps"),
    ],
)
def test_numbers_of_things(count, unit, said):
    assert number_of(count, unit) == said
