"""Notations as TOML: written and read back, and every mistake at its line."""

import os
import re
import tomllib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from symbolic import NOTATIONS
from symbolic.errors import DeltaformError, FileError, NotationError, UsageError
from symbolic.notationchecks import CHOICES
from symbolic.notationfiles import LARGEST, find_notation, notation_from_toml, notation_to_toml, read_notation
from symbolic.tomlkeys import key_places

CS229 = NOTATIONS["cs229"]
PRESETS = pytest.mark.parametrize("preset", NOTATIONS.values(), ids=lambda preset: preset.name)

# ---------------------------------------------------------------------- written and read


@PRESETS
def test_what_is_written_is_read_back(preset, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(notation_to_toml(preset))
    back = read_notation(file)
    assert back.name == "mine" and back.replace(name=preset.name) == preset
    assert notation_to_toml(back.replace(name=preset.name)) == notation_to_toml(preset)


def test_what_is_written_is_read_back_of_changed_ones_too():
    mine = NOTATIONS["stacked"].replace(
        letters={"weight": r"\Theta", "output": ""},
        functions={"sigmoid": r"\operatorname{sig}_1"},
        widths={0: "", 4: "q_1"},
    )
    assert notation_from_toml(notation_to_toml(mine), mine.name) == mine
    assert read_notation.__doc__ and find_notation("vec") is NOTATIONS["vec"]


@PRESETS
def test_the_file_teaches_every_field(preset):
    text = notation_to_toml(preset)
    fields = tomllib.loads(text)
    for name in fields:
        if name != "based_on":
            before = text.split(f"\n[{name}]" if isinstance(fields[name], dict) else f"\n{name} = ")[0]
            comments = re.findall(r"\n\n# ([a-z_, ]+):", before)
            about = before.rsplit("\n\n", 1)[1]
            assert name in comments[-1].split(", ") or f"`{name}`" in about, name
    for name, choices in CHOICES.items():
        line = next(line for line in text.splitlines() if line.startswith(f"{name} = "))
        assert all(str(choice) in line for choice in choices)
    assert max(map(len, text.splitlines())) <= 110 and text.isascii()


def test_a_file_says_only_what_differs(tmp_path):
    file = tmp_path / "mine.toml"
    text = "\ufeffbased_on = 'vec' # as there\r\nletters.loss = '\\ell'\r\n\r\n[widths]\r\n2 = 'd'\r\n"
    file.write_bytes(text.encode())
    assert read_notation(str(file)) == NOTATIONS["vec"].replace(name="mine", letters={"loss": r"\ell"}, widths={2: "d"})
    assert notation_from_toml("", "cs229") == CS229
    assert notation_from_toml("name = 'own'", "mine").name == "own"
    assert notation_from_toml("letters = {weight = 'M'}\nindices.'p' = \"i\"", "x") == CS229.replace(
        name="x", letters={"weight": "M"}, indices={"p": "i"}
    )


def test_find_notation_takes_a_name_or_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.toml", "mine", "vec"):
        (tmp_path / name).write_text("depth = 'L'")
        (tmp_path / "folder").mkdir(exist_ok=True)
    assert find_notation("mine.toml") == find_notation("mine") == CS229.replace(name="mine", depth="L")
    assert find_notation("vec") is NOTATIONS["vec"] and find_notation("./vec").depth == "L"
    for wrong in ("folder", "vce", "", "x" * 5000, "a\0b"):
        with pytest.raises(UsageError, match=r"is no notation and no file; .*cs229, .*or name a file, such as my.toml"):
            find_notation(wrong)
    with pytest.raises(FileError, match=r"other.toml does not exist"):
        find_notation("other.toml")


# ---------------------------------------------------------------------- mistakes in the text

WRONG = [
    # text, line, column, what is said
    ('letters.loss = "\\mathcal{L}"', 1, 17, "write LaTeX in single quotes"),
    ('depth = "\\u0041\\x"', 1, 16, "write LaTeX in single quotes"),
    ('depth = "\\uD800"', 1, 10, "write LaTeX in single quotes"),
    ('\ndepth = "\\theta"', 2, 1, "a backslash was lost"),
    ("depth = L", 1, 9, "text stands in quotes"),
    ("batch = True", 1, 9, "true or false"),
    ("depth = 'L' form = 'matrix'", 1, 13, "a line of its own"),
    ("# depth\ndepth", 2, 6, "a key without a value"),
    ("= 3", 1, 1, "no KEY = VALUE"),
    ("[letters\nloss = 'L'", 1, 9, "without its closing bracket"),
    ("depth = 'L", 1, 11, "a string without its end"),
    ("depth = 'L\nform = 'matrix'", 1, 11, "a string without its end"),
    ('depth = "L\n"', 1, 11, "a string without its end"),
    ('depth = """L\n\n', 1, 13, "a string without its end"),
    ("form = ['matrix'", 1, 17, "a bracket that is not closed"),
    ("depth = '\x01'", 1, 10, "may not stand here: '\\x01'"),
    ("\x00", 1, 1, "no KEY = VALUE"),
    ("# \x7f", 1, 3, "may not stand here"),
    ("depth = 1" + "0" * 5000, 1, 9, "too many digits"),
    ("\n\ndepth = " + "[" * 20_000, 3, 25, "too many brackets in brackets"),
    ("\ndepth = 'L'\n# depth = 3\ndepth = 'M'", 4, 1, "depth stands twice, first in line 2"),
    ("[letters]\nloss = 'L'\n\n[letters]", 4, 2, "letters stands twice, first in line 1"),
    ("letters = {loss = 'L', loss = 'C'}", 1, 24, "letters.loss stands twice, first in line 1"),
    ("depth = 'L'\ndepth.x = 1", 2, 7, "depth stands twice, first in line 1"),
    ("# \u00e9\ndpeth = 'L'", 2, 1, "no field 'dpeth'; did you mean depth?"),
    ("[lettres]\nloss = 'L'", 1, 2, "did you mean letters?"),
    ("loss = 'L'", 1, 1, "it is an entry of letters: letters.loss"),
    ("[letters]\nloss = 'L'\ndepth = 'L'", 3, 1, "it stands above every [table]"),
    ("self = 1", 1, 1, "no field 'self'"),
    ("\nbased_on = 'vce'", 2, 1, "did you mean vec?"),
    ("based_on = ['vec']", 1, 1, "based_on must be the name of a notation"),
    ("letters = 3", 1, 1, "letters must be a table"),
    ("[[letters]]\nloss = 'L'", 1, 3, "letters must be a table"),
    ("[depth]\nx = 1", 1, 2, "depth: {'x': 1} is no symbol"),
    ("form = [\n  'matrix', # ]\n]\n", 1, 1, "form must be one of"),
    ("form = 'matrix'\nfirst = 2", 2, 1, "first must be one of 0, 1, not 2"),
    ("first = true", 1, 1, "first must be one of 0, 1, not True"),
    ("first = 1979-05-27 07:32:00\n", 1, 1, "first must be one of"),
    ("form = nan", 1, 1, "not nan"),
    ("depth = '\uff37'", 1, 1, "is no symbol"),
    ('# letters.loss\nform = "letters.loss = 3"\nletters."loss" = \'$\'', 2, 1, "form must be one of"),
    ('marks = """\n[marks]\ndepth = 3"""\n  letters . "l\\u006fss" = \'$\'', 4, 13, "letters.loss: '$' is no symbol"),
    ('example = """({example}"""\n\n  letters . "l\\u006fss" = \'$\'', 3, 13, "letters.loss: '$' is no symbol"),
    ("x = 1\nletters = {bias = 'b', loss = '$'}", 1, 1, "no field 'x'"),
    ("letters = {bias = 'c', # no comment here", 1, 24, "no KEY = VALUE"),
    ("letters = {bias = '}', loss = '$'}", 1, 12, "letters.bias: '}' is no symbol"),
    ("[widths]\n0 = 'd'\n'1' = 'd'", 3, 1, "widths.0 and widths.1 are both d"),
    ("widths.\"00\" = 'd'", 1, 8, "widths has '00'"),
    ("[indices]\nj = 'i'\ns = 'i'", 3, 1, "indices.j and indices.s are both i"),
    ("[indices]\n\nj = 'x'", 3, 1, "letters.input and indices.j are both x"),
    ("form = 'matrix'\r\n\r\nbias_row = true\r\n", 3, 1, "bias_row needs weight_rows"),
    ("name = ''", 1, 1, "the name of a notation must be"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column", "message"), WRONG, ids=range(len(WRONG)))
def test_a_mistake_is_shown_at_its_place(text, line, column, message):
    with pytest.raises(NotationError) as caught:
        notation_from_toml(text, "mine")
    first, shown, caret = str(caught.value).split("\n")
    assert first.startswith(f"notation 'mine', line {line}, column {column}: "), first
    assert message in first and len(first) < 900 and "Traceback" not in first
    # The caret stands under what the column says, in the line that is shown.
    original = text.replace("\r\n", "\n").split("\n")[line - 1]
    expected = original[column - 1 : column]
    under = shown[caret.index("^") : caret.index("^") + 1]
    assert under == (expected if expected.isascii() and expected.isprintable() else " ") and len(shown) < 90


def test_what_no_key_of_the_file_has_said_needs_no_line():
    assert str(NotationError("x").fields) == "()"
    # The depth is that of the base, post; the letter is the file's.
    with pytest.raises(NotationError, match=r"line 2, column 9: indices.j and depth are both L"):
        notation_from_toml("based_on = 'post'\nindices.j = 'L'", "mine")


texts = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from([
            "[letters]\n", "depth", " = ", "'L'", '"', "'", "\n", "\\", "{", "}", "[", "]", ",", ".", "#", "'''", '"""',
            "1", "loss", "widths", "true", "letters.bias = 'c'\n", "form = 'component'\n", "\r\n", "\x00", "\ufeff",
            "1979-05-27",
        ]),
        max_size=14,
    ).map("".join),
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(text=texts)
def test_any_text_is_a_notation_or_a_message_with_a_line(text):
    try:
        notation_from_toml(text, "mine")
    except DeltaformError as error:
        assert isinstance(error, NotationError) and re.match(r"notation 'mine', line \d+, column \d+: ", str(error))


@settings(max_examples=400, deadline=None)
@given(preset=st.sampled_from(list(NOTATIONS.values())), data=st.data())
def test_a_spoilt_file_is_a_notation_or_a_message_with_a_line(preset, data):
    text = notation_to_toml(preset)
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 12))
    put = data.draw(st.sampled_from(["", "'", '"', "\\", "{", "]", "=", "\n", "x", "7", "#", "_", "}", ".", "\0", "é"]))
    try:
        notation_from_toml(text[:at] + put + text[at + cut :], preset.name)
    except NotationError as error:
        line = re.search(r", line (\d+), column \d+: ", str(error))
        # At the place, or further on where something is not closed; a letter may be the file's other one.
        assert line and 1 <= int(line.group(1)) <= text.count("\n") + 2


# ---------------------------------------------------------------------- files


def test_bad_files_are_named(tmp_path):
    def refused(name, content, message):
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(DeltaformError, match=message) as caught:
            read_notation(file)
        assert str(caught.value).startswith(str(file)) and len(str(caught.value)) < 500

    refused("none.toml", None, r"does not exist; `deltaform notations cs229 > none.toml` writes one")
    refused("latin.toml", b"depth = 'L'\n# d\xe9pth\n", r"line 2: it is not UTF-8; .*\n    # d\\xe9pth")
    refused("utf16.toml", "depth = 'L'\n".encode("utf-16"), "line 1: it is not UTF-8")
    refused("large.toml", b"#" * 70_000, f"is larger than {LARGEST} bytes")
    refused("wrong.toml", b"\n\ndepth = ''\n", r"line 3, column 1: depth: '' is no symbol.*\n    depth = ''\n    \^")
    refused("bom.toml", b"\xef\xbb\xbfdepth = ''", r"line 1, column 1: depth: ")
    refused("boms.toml", b"\xef\xbb\xbf\xef\xbb\xbfdepth = 'L'", r"line 1, column 1: ")
    (tmp_path / "folder.toml").mkdir()
    refused("folder.toml", None, "is a folder; name a file in it")
    os.mkfifo(tmp_path / "pipe.toml")
    refused("pipe.toml", None, "is no ordinary file")


@pytest.mark.parametrize("path", [None, 3, b"x.toml", "", "a\0b.toml", "x" * 5000 + ".toml", "/dev/zero"])
def test_what_names_no_file_is_refused(path):
    with pytest.raises(FileError) as caught:
        read_notation(path)
    assert len(str(caught.value)) < 300


def test_a_text_that_is_none_is_refused():
    with pytest.raises(UsageError, match="must be a string, not bytes"):
        notation_from_toml(b"", "mine")
    with pytest.raises(NotationError, match=f"at most {LARGEST} are read"):
        notation_from_toml("#" * 70_000, "mine")


# ---------------------------------------------------------------------- where keys stand


def paths(table, above=()):
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from paths(value, (*above, key))


# Each line is hard in its own way: keys in strings and comments, quotes in quotes, tables in arrays.
HARD = "\n".join([
    "# [no.table] no = 1",
    r'a = "# [x]\" y = 1"    # z = 2',
    r"'b c' = 'it \' # no end = 3",
    r'"d\u0065" . "e\"f" = """',
    r'g = 1 # "" \""""',
    "[h . 'i.j']",
    """k = [1, "l = 2]", [{ m = 1 }, '''n = "'''], # o = 3 ]""",
    "  1.5e3, 1979-05-27T07:32:00Z] # p",
    "q = { r = 1, s = { t = '}', u.v = \"{\" }, w = [ { x = 1 } ] }",
    "y = ''''z = 1",
    "aa = '2''''' # bb",
    "cc = 1979-05-27 07:32:00 # dd",
    "[[ee]]",
    "ff = +inf",
    "[ ee . gg ] # hh",
    "ii = 0xdead_beef",
    'jj=""',
    "kk = {}",
    "ll = []",
    "",
])  # fmt: skip


def test_the_scan_finds_the_keys_that_tomllib_finds():
    found = list(key_places(HARD))
    expected = {path for path in paths(tomllib.loads(HARD)) if path[0] != "ee"}
    expected |= {("ee",), ("ee", "ff"), ("ee", "gg"), *(("ee", "gg", key) for key in ("ii", "jj", "kk", "ll"))}
    assert {path for path, _ in found if "[]" not in path} == expected
    for path, offset in found:
        assert HARD[offset:].lstrip("'\"").startswith(path[-1][:1])


@PRESETS
def test_the_scan_finds_every_key_of_a_written_file(preset):
    text = notation_to_toml(preset)
    assert {path for path, _ in key_places(text)} == set(paths(tomllib.loads(text)))


@settings(max_examples=300, deadline=None)
@given(text=texts)
@example(text='"\\0"')
@example(text='a = 1\n"\\ud800" = 2')
def test_the_scan_ends_on_any_text(text):
    places = list(key_places(text))
    assert [offset for _, offset in places] == sorted(offset for _, offset in places)
