"""Properties of the keys on random LaTeX.

A longer run: SEED_GRPO_FUZZ_EXAMPLES=20000 pytest tests/unit/test_fuzz_keys.py
"""

from __future__ import annotations

import itertools
import os
import random
import time

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from seed_grpo.meaning.equivalence import LEVELS, AnswerKeyer, cluster_keys
from seed_grpo.meaning.equivalence.characters import clean
from seed_grpo.meaning.equivalence.grading import is_correct
from seed_grpo.meaning.equivalence.latex import canonical_tokens, join, split_tokens
from seed_grpo.meaning.equivalence.normalize import normalized_key
from seed_grpo.meaning.equivalence.symbolic import symbolic_key

EXAMPLES = int(os.environ.get("SEED_GRPO_FUZZ_EXAMPLES", "60"))
fuzz = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def meaning(answer: str) -> str:
    """The symbolic key, without a worker process."""
    return symbolic_key(normalized_key(answer))[0]


# ---- a grammar of answers -------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(0, 30).map(str),
    st.integers(1000, 10**7).map(lambda n: f"{n:,}".replace(",", "{,}")),
    st.tuples(st.integers(0, 99), st.integers(0, 99)).map(lambda pair: f"{pair[0]}.{pair[1]:02d}"),
    st.tuples(st.integers(1, 9), st.integers(-30, 30)).map(lambda pair: rf"{pair[0]}\times10^{{{pair[1]}}}"),
)
symbols = st.sampled_from(["x", "y", "n", "a", "b", r"\theta", r"\pi", "x_1", r"r_{0}", "e", "i", r"\rho_0", "R"])
atoms = st.one_of(numbers, symbols)


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda p: f"{p[0]}+{p[1]}"),
        two.map(lambda p: f"{p[0]} - {p[1]}"),
        two.map(lambda p: rf"\left({p[0]}\right)\left({p[1]}\right)"),
        two.map(lambda p: rf"\frac{{{p[0]}}}{{{p[1]}}}"),
        two.map(lambda p: rf"\dfrac{{{p[0]}}}{{{p[1]}}}"),
        two.map(lambda p: rf"\binom{{{p[0]}}}{{{p[1]}}}"),
        two.map(lambda p: rf"({p[0]})^{{{p[1]}}}"),
        two.map(lambda p: rf"{p[0]} \cdot {p[1]}"),
        two.map(lambda p: rf"\log_{{{p[0]}}} ({p[1]})"),
        inner.map(lambda p: rf"\sqrt{{{p}}}"),
        inner.map(lambda p: rf"\sqrt[3]{{{p}}}"),
        inner.map(lambda p: rf"\sin({p})"),
        inner.map(lambda p: rf"\ln\left({p}\right)"),
        inner.map(lambda p: rf"\left|{p}\right|"),
        inner.map(lambda p: rf"\lfloor {p} \rfloor"),
        inner.map(lambda p: f"-{p}"),
        inner.map(lambda p: f"({p})!"),
        inner.map(lambda p: f"({p})^2"),
    )


expressions = st.recursive(atoms, _grow, max_leaves=6)
lists = st.lists(expressions, min_size=2, max_size=4)
answers = st.one_of(
    expressions,
    lists.map(",".join),
    lists.map(lambda parts: rf"\{{{','.join(parts)}\}}"),
    st.tuples(expressions, expressions).map(lambda p: f"({p[0]}, {p[1]})"),
    st.tuples(expressions, expressions).map(lambda p: f"[{p[0]}, {p[1]})"),
    st.tuples(expressions, expressions).map(lambda p: rf"({p[0]}, {p[1]}) \cup [{p[1]}, \infty)"),
    st.tuples(symbols, expressions).map(lambda p: f"{p[0]} = {p[1]}"),
    st.tuples(expressions, st.sampled_from(["<", r"\le", ">", r"\geq", r"\neq"]), expressions).map(" ".join),
    st.tuples(expressions, expressions).map(lambda p: rf"{p[0]} \pm {p[1]}"),
    st.tuples(expressions, expressions).map(lambda p: rf"\begin{{pmatrix}} {p[0]} \\ {p[1]} \end{{pmatrix}}"),
    st.tuples(numbers, st.sampled_from([r"\text{ cm}", r"\%", r"^\circ", " minutes", r"\mathrm{~m}/\mathrm{s}"])).map(
        "".join
    ),
    st.sampled_from([r"\text{east}", r"\text{(A)}", "B", "no solution", "204_5", r"0.\overline{3}", r"1\frac{3}{4}"]),
)
# Pieces of LaTeX in any order: mostly nonsense.
PIECES = r"""
\frac \dfrac \sqrt \left \right ( ) [ ] { } \{ \} | ^ _ + - * / = < > , . ; : ! ' % $ & \\ \, \text{ \mathrm{ \boxed{
\sin \log \ln \pi \infty \pm \cup \in \le \begin{pmatrix} \end{pmatrix} \overline \circ \times \cdot \lfloor
\rfloor \binom \sum \int \lim \cdots e i x y n 0 1 2 3 10 25 0.5 1,000 cm and or ² ½ π √ \x é
"""
soup = st.lists(st.sampled_from([*PIECES.split(), " ", "\x00", "\udc80", "\u202e"]), max_size=25).map("".join)
texts = st.one_of(answers, soup, st.text(max_size=60))


# ---- by construction, and yet --------------------------------------------------------------------------------------


@fuzz
@given(texts)
def test_every_text_has_a_key_at_once(text: str) -> None:
    start = time.process_time()
    key = meaning(text)
    assert time.process_time() - start < 0.4
    assert key == meaning(text)


@fuzz
@given(texts)
def test_canonical_text_is_read_back_as_it_was(text: str) -> None:
    tokens = canonical_tokens(clean(text[:1000]))
    assert split_tokens(join(tokens)) == tokens


@fuzz
@given(st.lists(texts, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_levels_refine_and_order_does_not_matter(group: list[str], chance: random.Random) -> None:
    keyer = _keyer
    shuffled = group.copy()
    chance.shuffle(shuffled)
    ids = {}
    for level in LEVELS:
        keys = dict(zip(group, keyer.keys(group, level), strict=True))
        assert dict(zip(shuffled, keyer.keys(shuffled, level), strict=True)) == keys
        ids[level] = cluster_keys([keys[answer] for answer in group])
    for finer, coarser in itertools.pairwise(LEVELS):
        image: dict[int, int] = {}
        for fine, coarse in zip(ids[finer], ids[coarser], strict=True):
            assert image.setdefault(fine, coarse) == coarse


@fuzz
@given(answers, answers)
def test_grading_depends_on_the_answers_key_alone(answer: str, gold: str) -> None:
    for key in (normalized_key, meaning):
        level = "normalized" if key is normalized_key else "symbolic"
        assert is_correct(key(gold), [key(gold)], level)
        # and it is symmetric, though it need not be: whatever may be left out may be so on either side
        assert is_correct(key(answer), [key(gold)], level) == is_correct(key(gold), [key(answer)], level)


# ---- the way it is written ------------------------------------------------------------------------------------------


def respelled(answer: str, chance: random.Random) -> str:
    """The same answer with other spacing, commands and brackets."""
    changes = [
        lambda a: a.replace(r"\dfrac", r"\frac"),
        lambda a: a.replace(r"\frac", r"\tfrac"),
        lambda a: a.replace(r"\left", "").replace(r"\right", ""),
        lambda a: a.replace("+", " + ").replace("=", " = "),
        lambda a: a.replace(r"\cdot", r"\times"),
        lambda a: a.replace(r"\geq", r"\ge").replace(r"\le", r"\leqslant") if r"\left" not in a else a,
        lambda a: a.replace("{,}", r",\!"),
        lambda a: f"${a}$",
        lambda a: rf"\boxed{{{a}}}",
        lambda a: f" {a}\n",
        lambda a: rf"{{{a}}}",
    ]
    for change in chance.sample(changes, 4):
        answer = change(answer)
    return answer


@fuzz
@given(answers, st.randoms(use_true_random=False))
def test_spelling_does_not_matter(answer: str, chance: random.Random) -> None:
    other = respelled(answer, chance)
    assert normalized_key(other) == normalized_key(answer), other


# ---- what it means --------------------------------------------------------------------------------------------------


def _readable(answer: str) -> bool:
    return not symbolic_key(normalized_key(answer))[1]


@fuzz
@given(expressions, expressions, expressions)
def test_laws_of_arithmetic(a: str, b: str, c: str) -> None:
    assume(all(_readable(part) for part in (a, b, c)))
    pairs = [
        (f"({a})+({b})", f"({b})+({a})"),
        (f"({a})({b})", rf"({b})\cdot({a})"),
        (f"({a})(({b})+({c}))", f"({a})({b})+({a})({c})"),
        (f"({a})-({b})", f"-(({b})-({a}))"),
        (rf"\frac{{2({a})}}{{4}}", f"0.5({a})"),
        (f"(({a})+({b}))^2", f"({a})^2+2({a})({b})+({b})^2"),
    ]
    for left, right in pairs:
        if _readable(left) and _readable(right):
            assert meaning(left) == meaning(right)


@fuzz
@given(expressions, st.sampled_from(["+1", "-1", r"+\frac{1}{1000}", r"+10^{-20}", "+x", r"+\pi"]))
def test_something_more_is_something_else(a: str, more: str) -> None:
    changed = f"({a}){more}"
    assume(_readable(a) and _readable(changed))
    assume("!" not in a and r"\binom" not in a)  # near a pole a number can be too large for 10^−20 to show
    assert meaning(changed) != meaning(a)


@fuzz
@given(lists, st.randoms(use_true_random=False))
def test_order_counts_in_tuples_and_not_in_lists(parts: list[str], chance: random.Random) -> None:
    shuffled = parts.copy()
    chance.shuffle(shuffled)
    assert meaning(",".join(parts)) == meaning(",".join(shuffled))
    assert meaning(rf"\{{{','.join(parts)}\}}") == meaning(rf"\{{{','.join(shuffled)}\}}")
    different = [meaning(part) for part in parts] != [meaning(part) for part in shuffled]
    assert (meaning(f"({','.join(parts)})") != meaning(f"({','.join(shuffled)})")) == different


@fuzz
@given(expressions, expressions)
def test_an_equation_has_two_sides(a: str, b: str) -> None:
    assert meaning(f"{a} = {b}") == meaning(f"{b} = {a}")
    assert meaning(rf"{a} < {b}") == meaning(rf"{b} > {a}")
    assert meaning(rf"{a} \le {b}") == meaning(rf"{b} \ge {a}")


_keyer = AnswerKeyer()


@pytest.fixture(scope="module", autouse=True)
def _close() -> object:
    yield
    _keyer.close()


LONG = {
    "fractions": r"\frac{1}{", "braces": "{", "parentheses": "(", "powers": "x^", "subscripts": "a_", "minus": "-",
    "text": r"\text{a ", "text, closed": r"\text{a}", "commas": "1,", "digits": "1", "dots": ".", "dollars": "$",
    "left": r"\left(", "roots": r"\sqrt", "bars": "|", "letters": "x", "words": "word ", "units": r"1\text{cm}",
    "thousands": "1,000", "spaces": "1 ", "matrices": r"\begin{pmatrix}", "equals": "x=", "pm": r"\pm",
    "boxes": r"\boxed{", "closing": "}", "degrees": r"^\circ", "primes": "'", "percent": "%", "e": "1e5",
    "operator": r"\operatorname{", "é": "é", "sqrt(": "sqrt(", "overline": r"0.\overline{", "big": r"\Bigl",
    "tilde": "~", "digits and e": "11111111e",
}  # fmt: skip


@pytest.mark.parametrize("closing", ["", "}", ")"])
@pytest.mark.parametrize("kind", list(LONG))
def test_time_grows_with_the_length_and_no_faster(kind: str, closing: str) -> None:
    """The longest answers that rules are applied to, made of one piece over and over: no rule is worse than linear."""
    for tries_left in (2, 1, 0):  # a neighbour on the same core makes some measurements wrong, and not always the same
        short, long = times_of(LONG[kind], closing)
        if long < 8 * short + 0.002 or not tries_left:
            break
    assert long < 8 * short + 0.002, f"four times as long took {long / short:.1f} times as long"
    assert long < 0.1


def times_of(piece: str, closing: str) -> list[float]:
    """Seconds of the processor for 500 and for 2,000 characters."""
    times = []
    for length in (500, 2000):
        repeats = length // (len(piece) + len(closing))
        answer = (piece * repeats + closing * repeats)[:length]
        best = float("inf")
        for _ in range(5):
            start = time.process_time()
            normalized_key(answer)
            best = min(best, time.process_time() - start)
        times.append(best)
    return times
