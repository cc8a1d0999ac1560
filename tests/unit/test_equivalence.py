"""What is the same answer and what is not, at each level; and what is correct."""

from __future__ import annotations

import itertools
import os
from fractions import Fraction
from pathlib import Path

import mpmath
import pytest

from seed_grpo import cluster_answers, grade_answer
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.meaning.equivalence import LEVELS, AnswerKeyer, cluster_keys, shared_keyer
from seed_grpo.meaning.equivalence.values import difference
from seed_grpo.sandbox.pool import PATIENCE


def keys(answers: list[str], level: str) -> list[str | None]:
    return shared_keyer().keys(answers, level)


# One answer a row, in several spellings, which the string rules alone bring together.
SAME_NORMALIZED = r"""
1/2 ~ 0.5 ~ \frac12 ~ 2/4 ~ \dfrac{1}{2} ~ \tfrac12 ~ .5 ~ 0.50 ~ \frac{1}{2}. ~ $\frac{1}{2}$ ~ \(\frac12\) ~ ½ ~ {1/2}
4.5e33 ~ 4.5\times10^{33} ~ 4.5 \times 10^{33} ~ 4.5E33 ~ 4.5*10^33 ~ 4.5 \cdot 10^{33} ~ 4.50e+33
1.3\times10^{-27} ~ 1.3e-27 ~ 0.0000000000000000000000000013
10^{-3} ~ 0.001 ~ 1 \times 10^{-3} ~ 10^-3
025 ~ 25 ~ 25.0 ~ 25. ~ +25 ~ \boxed{25} ~ 25\,
-7 ~ −7 ~ -7.00 ~ - 7
10080 ~ 10,080 ~ 10,\!080 ~ 10{,}080 ~ 10\,080 ~ 10 080 ~ 10, \! 080
30,000 ~ 30000 ~ 30{,}000
1\frac{4}{5} ~ 9/5 ~ 1.8 ~ 1 4/5 ~ \frac{18}{10} ~ 1 \frac 45
-1\frac12 ~ -\frac{3}{2} ~ -1.5 ~ \frac{-3}{2} ~ -3/2
0.\overline{3} ~ 1/3 ~ \frac13 ~ .\overline{3} ~ 0.\bar{3} ~ 0.\dot{3} ~ 0.\overline{33}
0.1\overline{6} ~ 1/6
0.10\overline{3} ~ \frac{31}{300}
0.\overline{142857} ~ 1/7
0.\overline{9} ~ 1
0 ~ -0 ~ 0.0 ~ 000
\sqrt2 ~ \sqrt{2} ~ \sqrt 2 ~ sqrt(2) ~ \sqrt{ 2 } ~ √2
\frac{\pi}2 ~ \frac\pi2 ~ \frac{\pi}{2} ~ \dfrac{\pi}{2} ~ \frac{π}{2}
x^{10} ~ x^10 ~ x^{ 10 } ~ x¹⁰
x_1 ~ x_{1} ~ x₁
\left( 3, \frac{\pi}{2} \right) ~ (3,\frac{\pi}{2}) ~ \bigl(3, \frac\pi2\bigr) ~ (3.0, \frac{\pi}{2})
\text{(A)} ~ A ~ (A) ~ \textbf{(A)} ~ \mathrm{A} ~ \text{A} ~ A. ~ \text{(A)}\,
\text{even} ~ even ~ Even ~ \mathrm{even} ~ \textbf{even} ~ $\text{even}$
\text{no solution} ~ No solution ~ \text{No solution.}
10\text{ minutes} ~ 10 minutes ~ 10 \text{ min} ~ 10\,\mathrm{min} ~ 10~\text{minutes} ~ \text{10 minutes}
15\mbox{ cm}^2 ~ 15 cm^2 ~ 15\text{ square cm} ~ 15 \mathrm{~cm}^{2} ~ 15\text{ cm}^2 ~ 15 square centimeters
5\text{ m/s} ~ 5 \mathrm{~m}/\mathrm{s} ~ 5\mathrm{~m}\,\mathrm{s}^{-1} ~ 5\,\mathrm{m\,s^{-1}}
8\pi\text{ cm}^2 ~ 8 \pi \mathrm{~cm}^2
\$18.90 ~ 18.90\text{ dollars} ~ $18.9 ~ \$ 18.90
\$32,\!348 ~ \$32348 ~ 32,348 dollars
90^\circ ~ 90^{\circ} ~ 90\text{ degrees} ~ 90 degrees ~ 90° ~ 90\degree
17.5\% ~ 17.5% ~ 17.5 \% ~ 17.5 percent
204_5 ~ 204_{5} ~ 204_{ 5 }
1,-2 ~ 1, -2 ~ $1$, $-2$ ~ 1 \text{ and } -2 ~ 1 and -2 ~ 1\text{ or }-2
69,84 ~ $69$,$84$ ~ 69, 84
f(x)=2x ~ f(x) = 2 x ~ $f(x)=2x$
k\ge2 ~ k \geqslant 2 ~ k\geq 2 ~ k ≥ 2
\{1,2\} ~ \left\{1, 2\right\} ~ \lbrace 1,2 \rbrace
x \in [-2,7] ~ x\in\left[-2,7\right]
y^{\prime} ~ y' ~ y^{'}
0.003^{\prime \prime} ~ 0.003''
11\sqrt2 ~ 11 \sqrt{2}
m_{\max }=3 ~ m_{\max}=3
"""
# As above, for which an expression has to be evaluated or a shape read.
SAME_SYMBOLIC = r"""
\sqrt{8} ~ 2\sqrt2 ~ 2*sqrt(2) ~ \sqrt2\cdot2 ~ 2^{3/2} ~ \frac{4}{\sqrt{2}}
\sin^2x+\cos^2x ~ 1 ~ \sin^2(x)+\cos^2(x)
\{1,2\} ~ \{2,1\} ~ \{2,1,1\}
1,2 ~ 2,1
(x+1)^2 ~ x^2+2x+1 ~ (1+x)(x+1) ~ 1 + x(x+2)
x^5 - x^4 + x^3 - x^2 + x - 1 ~ (x-1)(x^4+x^2+1)
(a+5)(b+2) ~ ab+2a+5b+10 ~ (b+2)(a+5)
\frac{x^2-1}{x-1} ~ x+1
6r^2-4r-24 ~ 2(3r^2-2r-12)
\log_2 8 ~ 3 ~ \log_{2}(8)
\log_{10} 1000 ~ 3 ~ \lg 1000
\ln 6 ~ \ln 2+\ln 3 ~ \ln(6)
\ln(ab) ~ \ln a+\ln b ~ \ln b + \ln a
\ln(x^2) ~ 2\ln x
\ln\frac{a}{b} ~ \ln a - \ln b
\log 8 ~ 3\log 2
\frac{\log 8}{\log 2} ~ 3 ~ \log_2 8
\log_2 x ~ \frac{\ln x}{\ln 2}
e^{\ln 5} ~ 5
\sqrt{3+2\sqrt2} ~ 1+\sqrt2
\sqrt{5+2\sqrt6} ~ \sqrt2+\sqrt3
\sqrt[3]{2+\sqrt5} ~ \frac{1+\sqrt5}{2}
\frac{1}{\sqrt2} ~ \frac{\sqrt2}{2} ~ 2^{-1/2}
\frac{8}{\sqrt[3]{7}} ~ 8\cdot 7^{-1/3}
\sqrt[3]{-8} ~ -2 ~ (-8)^{1/3}
\sqrt{-4} ~ 2i
(1+i)^2 ~ 2i
\frac{1}{i} ~ -i
6-5i ~ -5i+6
e^{i\pi} ~ -1
\frac{1+i}{\sqrt2} ~ e^{i\pi/4}
1+i\sqrt{3} ~ 2e^{\frac{i\pi}{3}}
\ln 2 + i\frac{\pi}{3} ~ \ln 2 + \frac{i\pi}{3}
2^{100} ~ 1267650600228229401496703205376 ~ 4^{50}
2^{n+1} ~ 2\cdot2^n
(-1)^{n+1} ~ -(-1)^n
\frac{100!}{2^{50}} ~ 100!\cdot 2^{-50}
\binom{10}{3} ~ 120 ~ \frac{10!}{3!7!}
\binom{2n}{n} ~ \frac{(2n)!}{n!^2} ~ \frac{(2n)!}{(n!)^2}
n! ~ n\cdot(n-1)!
\frac{n!}{(n-1)!} ~ n
\frac{2^{n+1}}{2^n} ~ 2
\lceil n/2\rceil ~ -\lfloor -n/2\rfloor
\lfloor\lfloor x\rfloor/2\rfloor+1 ~ \lfloor (\lfloor x\rfloor+2)/2\rfloor
|x-1| ~ |1-x| ~ \sqrt{(x-1)^2} ~ \sqrt{x^2-2x+1}
\sqrt{x^2} ~ |x|
|ab| ~ |a||b|
\lfloor n/2 \rfloor ~ \left\lfloor \frac{n}{2}\right\rfloor ~ \lfloor 0.5n\rfloor
\lfloor n/2 \rfloor + 1 ~ \lfloor (n+2)/2 \rfloor
\sin 30^\circ ~ 1/2 ~ \sin\frac{\pi}{6}
\tan\frac{\pi}{4} ~ 1
\cos 2x ~ 1-2\sin^2 x ~ \cos(2x) ~ \cos^2x-\sin^2x
\cot x ~ \frac{\cos x}{\sin x} ~ \frac{1}{\tan x}
\sin^{-1} x ~ \arcsin x ~ \arcsin(x)
\arcsin{\frac{1}{1.3}} ~ \arcsin{\frac{10}{13}}
\arcsin(1.3\sin(\theta_w)) ~ \arcsin(1.3\sin\theta_w)
\sqrt{4 \pi G \rho_{0} r_{0}^{2}} ~ 2 r_0\sqrt{\pi G\rho_0}
e^{-\frac{t}{RC}} ~ \exp(-\frac{t}{RC}) ~ \frac{1}{e^{\frac{t}{RC}}}
\hbar\omega(v+1 / 2)-\frac{E_0^2e^2}{2m\omega^2} ~ \hbar \omega\left(v+\frac{1}{2}\right)-\frac{E_0^2 e^2}{2m\omega^2}
x_{0} \cos (\omega t)+$ $\dot{x}_{0} \sin (\omega t) / \omega ~ \frac{\dot{x}_0\sin\omega t}{\omega}+x_0\cos\omega t
\left[P_{0}^{2 / 5}-\frac{2}{5} g K^{-3 / 5} z\right]^{5 / 2} ~ (P_0^{0.4}-0.4gzK^{-0.6})^{2.5}
x=5 ~ 5=x
2x=10 ~ x-5=0
y=3x+2 ~ 3x-y+2=0 ~ y=2+3x ~ 3x+2=y
5x - 7y + 11z + 4 = 0 ~ -5x+7y-11z=4
x^2+y^2=4 ~ 2x^2+2y^2-8=0 ~ y^2=4-x^2
f(x)=2x+2 ~ f(x)=2(x+1)
x = \frac{10}{4} = 2.5 ~ x=5/2
x=\pm 3 ~ x=3,x=-3 ~ x=-3, 3 ~ x = 3 \text{ or } x=-3
(n, k)=(3,4) ~ (n,k) = (\sqrt9, 4)
x>3 ~ 3<x ~ 2x>6 ~ x \in (3,\infty) ~ x-3>0 ~ -x<-3
-2\le x\le 7 ~ x \in [-2,7] ~ 7\ge x\ge -2
a+b>c ~ c<a+b ~ 2c < 2a+2b
x\ne 3 ~ 3\neq x
(-\infty, 0) \cup\{1\} ~ \{1\}\cup(-\infty,0)
(0,9) \cup (9,36) ~ (9,36)\cup(0,9)
[\frac{\pi^2}{8}, \frac{5 \pi^2}{4}] ~ [\pi^2/8, 1.25\pi^2]
(\frac12, \sqrt8) ~ (0.5, 2\sqrt2)
1 \pm \sqrt{19} ~ 1+\sqrt{19}, 1-\sqrt{19} ~ 1\mp\sqrt{19}
\{1\pm\sqrt{5},-2\} ~ \{-2, 1-\sqrt5, 1+\sqrt{5}\}
-\frac{1}{2}\pm\frac{\sqrt3}{2}i ~ \frac{-1\pm i\sqrt3}{2}
(1,8,19), (2,7,13) ~ (2,7,13),(1,8,19)
\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix} ~ \begin{bmatrix} -\frac13 \\ \frac{4}{6} \end{bmatrix}
\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix} ~ \left[\begin{array}{cc}1&0\\0&1\end{array}\right]
8\pi\text{ cm}^2 ~ \pi \cdot 8\text{ cm}^2
2\sqrt{3}\text{ cm} ~ \sqrt{12}\text{ cm}
\frac{d M}{d t}=3 ~ \frac{dM}{dt} = 3
\sum_{k=1}^{10}k ~ 55 ~ \sum_{n=1}^{10} n
\sum_{k=1}^{n}k ~ \frac{n(n+1)}{2}
\sum_{n=1}^{\infty}\frac{1}{n^2} ~ \frac{\pi^2}{6}
\prod_{k=1}^{5}k ~ 5!
\int_0^1 x^2\,dx ~ \frac13
\int_0^{\infty}e^{-x}dx ~ 1
\lim_{x\to 0}\frac{\sin x}{x} ~ 1
\lim_{n\to\infty}\left(1+\frac1n\right)^n ~ e
x^2<4 ~ -2<x<2 ~ x\in(-2,2)
\{x \mid x^2-3x+2\ge0\} ~ (-\infty,1]\cup[2,\infty)
\frac{x-1}{x+2}>0 ~ x<-2 \text{ or } x>1
x^2\le 9 \text{ and } x>0 ~ 0<x\le3
\gcd(12,18) ~ 6 ~ \operatorname{gcd}(18, 12) ~ gcd(12,18) ~ \gcd(30, 18, 24)
\operatorname{lcm}(4,6) ~ 12 ~ \text{lcm}(4,6) ~ \mathrm{lcm}(12,4)
\max(1,\sqrt2) ~ \sqrt2 ~ \max\{\sqrt2,1\} ~ -\min(-1,-\sqrt2)
\operatorname{arsinh} 2 ~ \ln(2+\sqrt5) ~ \sinh^{-1} 2 ~ \operatorname{arcsinh}(2)
\operatorname{tg} x ~ \tan x ~ \frac{1}{\operatorname{ctg} x}
\operatorname{sech} x ~ \frac{1}{\cosh x}
"""
# Rows in which no two answers are the same, at any level.
DIFFERENT = r"""
1/2 ~ 50 ~ 50\% ~ 0.05
0.3 ~ 0.\overline{3} ~ 0.33 ~ 3
x=5 ~ y=5 ~ x=6 ~ 5 ~ x=-5
(1,2) ~ \{1,2\} ~ [1,2] ~ (2,1) ~ (1,2] ~ [1,2) ~ 1,2 ~ \langle1,2\rangle ~ \begin{pmatrix}1\\2\end{pmatrix}
204_5 ~ 204_8 ~ 204 ~ 205_5
1.3\times10^{-27} ~ 2.9\times10^{-19} ~ 0 ~ 1.4\times10^{-27}
1/2^{99} ~ 1/2^{98} ~ 0
0.0000001 ~ 0 ~ 0.0000002
2^{100} ~ 2^{100}+1 ~ 2^{100}-1
10^{100} ~ 10^{100}+1
2^{100}\sqrt2 ~ 2^{100}\sqrt2+1
\sqrt{10^{40}+1} ~ 10^{20}
10\text{ minutes} ~ 10\text{ hours} ~ 10 ~ 11\text{ minutes}
15\text{ cm}^2 ~ 15\text{ cm}^3 ~ 15\text{ cm} ~ 15\text{ m}^2
\text{east} ~ \text{west}
\text{(A)} ~ \text{(B)} ~ a
\sqrt{x^2} ~ x ~ -x
\sqrt{1-x} ~ \sqrt{x-1}
\ln(x-1) ~ \ln(1-x)
|x-y| ~ x-y ~ y-x
\lfloor n/2 \rfloor ~ \lceil n/2\rceil ~ n/2 ~ \lfloor n/3\rfloor ~ \lfloor (n+1)/2\rfloor
\lfloor x\rfloor+1 ~ \lceil x\rceil ~ \lfloor x \rfloor ~ x
\lfloor\log_4 n\rfloor+1 ~ \lfloor\log_3 n\rfloor+1 ~ \lfloor\log_2 n\rfloor+1
\lfloor\sqrt{n-1}\rfloor ~ \lfloor\sqrt{n}\rfloor ~ \lfloor\sqrt{n+1}\rfloor
|x+1| ~ x+1 ~ -x-1 ~ |x-1|
|x-10| ~ 10-x ~ x-10
\sqrt{(x+1)^2} ~ x+1
\ln 10 ~ \log 10 ~ \log_2 10
x^2+y^2=4 ~ x^2+y^2=5 ~ x^2-y^2=4 ~ x^2+z^2=4
y=3x+2 ~ y=3x-2 ~ y=2x+3 ~ x=3y+2
y=2x ~ y=-2x ~ y=x/2
x>3 ~ x\ge3 ~ x<3 ~ (3,\infty) ~ y>3
1<x<2 ~ 1\le x<2 ~ 1<x\le 2 ~ \{1,2\} ~ 1<y<2
x\ne3 ~ x=3
1,2 ~ 12 ~ 1,2,2 ~ 1,3
16,3,1,1 ~ 16,3,1,3 ~ 16,3,1
3:2 ~ 2:3 ~ 3/2
\begin{pmatrix} 1\\2 \end{pmatrix} ~ \begin{pmatrix} 2\\1 \end{pmatrix} ~ \begin{pmatrix} 1&2 \end{pmatrix}
\begin{pmatrix} 1&2\\3&4 \end{pmatrix} ~ \begin{vmatrix} 1&2\\3&4 \end{vmatrix}
a+b ~ a-b ~ ab ~ a
E_1 ~ E_2 ~ E
I(0) ~ I(1) ~ 0
f(x)=2x ~ f(x)=3x ~ g(x)=2x
E_1,E_2 ~ E_1,E_3
AB ~ BA
e^{x} ~ e^{-x} ~ ex
\sqrt[3]{2} ~ \sqrt{2}
9^{9^9} ~ 9^{9^8}
1000000! ~ 1000001!
1+2i ~ 1-2i ~ 2+i
2\pi ~ 6.28 ~ 6.283185307179586
\pi ~ 3.14 ~ 22/7
\frac{1}{3} ~ 0.333333 ~ 0.333
dM/dt ~ \frac{dM}{dt}
\frac{ab}{c} ~ \frac{a}{bc}
30^\circ ~ 30 ~ 60^\circ
\$5 ~ 5\text{ cents}
\mathbb{R} ~ \mathbb{Q} ~ R
\infty ~ -\infty
\sum_{n=1}^{10} n ~ \sum_{n=1}^{11} n
\int_0^1 x\,dx ~ \int_0^2 x\,dx ~ \int_0^1 x^2\,dx
\int_0^{2\pi}\sin t\,dt=0 ~ 0=0 ~ \int_0^{\pi}\cos t\,dt=0
x^2<4 ~ x^2\le4 ~ x^2>4 ~ x^2<5
\lim_{x\to0}x ~ \lim_{x\to1}x
\{x \mid x>3\} ~ \{x \mid x>4\}
1{,}080 ~ 1080.5 ~ 10{,}80
\hat{x} ~ x ~ \vec{x}
\gcd(12,18) ~ \gcd(12,19) ~ \operatorname{lcm}(12,18) ~ \max(12,18) ~ \min(12,18)
\max(x-y) ~ x-y
\gcd(n,m) ~ \gcd(n,k)
\operatorname{arsinh} x ~ \operatorname{arcosh} x ~ \operatorname{artanh} x ~ \sinh x
n! ~ n
"""


def rows(table: str) -> list[list[str]]:
    return [line.split(" ~ ") for line in table.strip().splitlines()]


@pytest.mark.parametrize("row", rows(SAME_NORMALIZED), ids=lambda row: row[0])
@pytest.mark.parametrize("level", ["normalized", "symbolic"])
def test_the_same_by_its_spelling(row: list[str], level: str) -> None:
    found = dict(zip(row, keys(row, level), strict=True))
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("row", rows(SAME_SYMBOLIC), ids=lambda row: row[0])
def test_the_same_by_its_meaning(row: list[str]) -> None:
    found = dict(zip(row, keys(row, "symbolic"), strict=True))
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("row", rows(DIFFERENT), ids=lambda row: row[0])
@pytest.mark.parametrize("level", LEVELS)
def test_different(row: list[str], level: str) -> None:
    found = dict(zip(row, keys(row, level), strict=True))
    assert len(set(found.values())) == len(row), found


def test_every_level_refines_the_next() -> None:
    everything = [
        answer for table in (SAME_NORMALIZED, SAME_SYMBOLIC, DIFFERENT) for row in rows(table) for answer in row
    ]
    for finer, coarser in itertools.pairwise(LEVELS):
        coarse_of: dict[str | None, str | None] = {}
        for fine, coarse in zip(keys(everything, finer), keys(everything, coarser), strict=True):
            assert coarse_of.setdefault(fine, coarse) == coarse


def test_exact_is_the_answer_as_written() -> None:
    assert keys(["1/2", " 1/2\n", "0.5", "\\frac12"], "exact") == ["1/2", "1/2", "0.5", "\\frac12"]
    assert cluster_answers(["1/2", "0.5", "1/2 "]) == [0, 1, 0]


def test_a_key_does_not_depend_on_who_else_was_asked() -> None:
    answers = [answer for row in rows(SAME_SYMBOLIC)[:12] for answer in row]
    together = AnswerKeyer()
    one_by_one = AnswerKeyer(workers=1)
    assert (
        together.keys(answers, "symbolic")
        == [one_by_one.keys([answer], "symbolic")[0] for answer in answers[::-1]][::-1]
    )
    together.close()
    one_by_one.close()


# ---- clusters -------------------------------------------------------------------------------------------------------


def test_clusters_are_numbered_as_they_appear() -> None:
    answers = ["0.5", "2", "1/2", "\\sqrt4", "3"]
    assert cluster_answers(answers, level="exact") == [0, 1, 2, 3, 4]
    assert cluster_answers(answers, level="normalized") == [0, 1, 0, 2, 3]
    assert cluster_answers(answers, level="symbolic") == [0, 1, 0, 1, 2]


@pytest.mark.parametrize(
    ("rule", "expected"), [("singleton", [0, 1, 0, 2]), ("shared", [0, 1, 0, 1]), ("drop", [0, -1, 0, -1])]
)
@pytest.mark.parametrize("level", LEVELS)
def test_responses_without_an_answer(rule: str, expected: list[int], level: str) -> None:
    assert cluster_answers(["5", None, "5", None], level=level, no_answer=rule) == expected


def test_no_answer_is_not_an_empty_one() -> None:
    assert cluster_answers(["", None, "no answer", ""], no_answer="shared") == [0, 1, 2, 0]


def test_no_responses() -> None:
    assert cluster_answers([], level="symbolic") == []


@pytest.mark.parametrize(
    "call",
    [
        lambda: cluster_answers(["1"], level="fuzzy"),
        lambda: cluster_answers(["1"], no_answer="ignore"),
        lambda: cluster_answers([5], level="normalized"),  # type: ignore[list-item]
        lambda: cluster_keys(["1"], no_answer="ignore"),
        lambda: grade_answer("1", "1", level="fuzzy"),
    ],
)
def test_bad_usage_is_named(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError):
        call()


# ---- grading --------------------------------------------------------------------------------------------------------

CORRECT = [
    ("25", "025"),
    ("142", 142.0),
    ("-4", -4.0),
    ("142.0", "142"),
    (r"\frac12", "0.5"),
    ("9.6", ["9.6\n"]),
    ("0.02", ["0.01\n", "0.02\n"]),
    (r"4.49 \mathrm{~cm}", ["4.49\n"]),
    (r"\frac{1}{2n+2}", [r"$\frac{1}{2 n+2}$"]),
    ("84, 69", ["$69$,$84$"]),
    ("69 and 84", ["$69$,$84$"]),
    ("5", "x=5"),
    ("x=5", "5"),
    ("x = 5", "x=5"),
    (r"(3,\infty)", "x>3"),
    ("x>3", r"(3,\infty)"),
    (r"[-2,7]", r"x \in [-2,7]"),
    (r"x\ge2", r"[2,\infty)"),
    ("2x", "$f(x)=2 x$"),
    ("3x+2", "y=3x+2"),
    ("(3,4)", "(n,k)=(3,4)"),
    ("1,2", r"\{1,2\}"),
    (r"1\pm\sqrt{19}", r"x=1\pm\sqrt{19}"),
    ("x=1,x=2", "1,2"),
    (r"50\%", "50"),
    ("50", r"50\%"),
    (r"50\%", "0.5"),
    ("0.5", r"50\%"),
    ("10", r"10\text{ minutes}"),
    (r"10\text{ minutes}", "10"),
    ("18", r"\$18"),
    ("$18", "18"),
    ("$1,234", "1234"),
    ("52", "52_8"),
    ("90", r"90^\circ"),
    ("B", r"\text{(B)}"),
    (r"x=5\text{ cm}", "5"),
    (r"\frac{270}{7}", r"\frac{270}7\text{ degrees}"),
    (r"864", r"864 \mbox{ inches}^2"),
]
WRONG = [
    ("26", "025"),
    (None, "5"),
    ("x=5", "y=5"),
    (r"10\text{ minutes}", r"10\text{ hours}"),
    (r"52_7", "52_8"),
    (r"2.88\times10^{-19}", r"1.325\times10^{-27}"),
    ("2", r"\hbar\omega(v+1 / 2)-\frac{E_0^2e^2}{2m\omega^2}"),
    ("(4,3)", "(n,k)=(3,4)"),
    (r"\{1,2\}", "(1,2)"),
    ("50", "0.5"),
    ("5000%", "0.5"),
    ("x<3", r"(3,\infty)"),
    (r"[3,\infty)", "x>3"),
    ("y=5", "x=6"),
    ("", "5"),
    ("3x-2", "y=3x+2"),
    ("1,2,3", r"\{1,2\}"),
]


@pytest.mark.parametrize(("answer", "gold"), CORRECT)
def test_correct(answer: str, gold: object) -> None:
    assert grade_answer(answer, gold)  # type: ignore[arg-type]


@pytest.mark.parametrize(("answer", "gold"), WRONG)
@pytest.mark.parametrize("level", LEVELS)
def test_wrong(answer: str | None, gold: str, level: str) -> None:
    assert not grade_answer(answer, gold, level=level)


@pytest.mark.parametrize(("answer", "gold"), [("25", "025"), ("142", 142.0), ("2n-2", "$2n-2$"), ("9.6", ["9.6\n"])])
def test_golds_are_cleaned_for_the_level_exact_too(answer: str, gold: object) -> None:
    assert grade_answer(answer, gold, level="exact")  # type: ignore[arg-type]
    assert not grade_answer("0" + answer + "0", gold, level="exact")  # type: ignore[arg-type]


@pytest.mark.parametrize("gold", ["", "  ", [], ["5", ""], None, float("nan"), [None]])
def test_a_gold_that_is_none_is_an_error(gold: object) -> None:
    with pytest.raises(SeedGrpoError, match="gold answer"):
        grade_answer("5", gold)  # type: ignore[arg-type]


def test_no_cluster_is_half_rewarded() -> None:
    """Rewards and clusters come from the same keys: within a cluster of any level all answers are graded alike."""
    for gold in ["0.5", r"50\%", "x=1/2", r"\sqrt8", "(1,2)", r"10\text{ min}", "10", r"x>3", r"1\pm\sqrt2", "A"]:
        group = [
            r"\frac12", "0.50", "1/2", r"50\%", "50", "x=0.5", "2x=1", "y=1/2",
            "10 minutes", r"10\text{ hours}", "10.0",
            r"2\sqrt2", r"\sqrt{8}", "x=2\\sqrt2", "(1, 2)", "(1.0,2)", "(2,1)", "[1,2]", r"(3,\infty)", "3<x", "2x>6",
            r"1+\sqrt2, 1-\sqrt2", r"x=1\pm\sqrt2", r"\{1+\sqrt2,1-\sqrt2\}", "(A)", "A", "B", None,
        ]  # fmt: skip
        for level in LEVELS:
            for grade_level in LEVELS[LEVELS.index(level) :]:
                rewards: dict[int, set[bool]] = {}
                for cluster, answer in zip(cluster_answers(group, level=level), group, strict=True):
                    rewards.setdefault(cluster, set()).add(grade_answer(answer, gold, level=grade_level))
                assert all(len(seen) == 1 for seen in rewards.values()), (gold, level, grade_level)


# ---- hostile input --------------------------------------------------------------------------------------------------

HOSTILE = [
    "9^{9^9}", "10^{10^{10}}", "2^{2^{31}}", "9^{9^{9^{9}}}", "1000000!", "((10!)!)", "(10^9)!", "10!!!!!!!",
    r"\binom{10^9}{5\cdot10^8}", r"\binom{n}{10^{9}}", r"\sum_{n=1}^{10^9} n", r"\prod_{n=1}^{10^7} n",
    r"\int x^x\sin(e^{x^2})dx", r"\lim_{x\to0}\frac{\sin x}{x}", r"e^{e^{e^{e^{10}}}}", "x^{x^{x^{x^{x}}}}",
    "2^{-2^{31}}", r"\sqrt[10^9]{2}", "0.1^{10^6}", r"(1+10^{-9})^{10^9}", r"\sin(10^{1000})", r"170!^{170!}",
    r"\frac{1}{" * 200 + "1" + "}" * 200, r"\sqrt{" * 200 + "2" + "}" * 200, "{" * 3000 + "}" * 3000, "{" * 100_000,
    "(" * 900 + "1" + ")" * 900, "[" * 600, r"\{" * 300 + r"\}" * 300, r"\left(" * 400, "|" * 900, "x" * 100_000,
    "1" * 100_000, "1" * 1900, "1," * 900, "1/" * 500 + "1", "-" * 1000 + "1", "^" * 1000, "x^" * 300, "_" * 1000,
    "$" * 1001, "$" * 1000, r"\text{" * 400, r"\text{a}" * 300, r"\frac" * 1500, r"\sqrt" * 350, r"\boxed{" * 300,
    "=".join("abcdefgh" * 30), "<" * 500, ",".join([r"\sqrt{2}"] * 70), "+".join(f"\\sqrt{{{n}}}" for n in range(60)),
    "*".join(["e^{10^3}"] * 40), r"\pm" * 40 + "1", r"1\pm2\pm3\pm4", "a_{b_{c_{d}}}", r"\begin{pmatrix}" * 100,
    r"\begin{pmatrix}" + "&".join("1" * 200) + r"\end{pmatrix}", "a\x00b", "\x00" * 500, "\udcff\udc80", "\u202e5",
    "\u200f1\u200e2", "", " ", "\n", "\\", "\\\\", "{", "}", "$", "%", "^", "_", "&", "~", "#", "\ufeff7",
    "٣", "²", "½",
    "1e999999999", "1e-99999999999999999999", "10^{99999999999999999999}", "0^0", "1/0", r"\frac{0}{0}", r"\ln 0",
    r"\tan(\pi/2)", "i^{i^{i^i}}", r"\log_1 5", "0.\\overline{" + "1" * 500 + "}", "é" * 300, "🎲" * 300, "\t\r\f\v",
    r"\newcommand{\x}{\x\x}\x", r"\input{/etc/passwd}", r"\write18{touch PWNED}", r"\def\a{\a\a}\a", "%n%s" * 50,
]  # fmt: skip
INJECTIONS = [
    "__import__('os').system('touch PWNED')",
    "eval(\"__import__('os').system('touch PWNED')\")",
    'exec(\'open("PWNED","w")\')',
    "().__class__.__base__.__subclasses__()",
    "lambda: open('PWNED','w')",
    "f(open('PWNED','w'))",
    "\\sin{__import__('os').system('touch PWNED')}",
    "{__import__('os').system('touch PWNED')}",
    "\\text{__import__('os').system('touch PWNED')}",
    "1;import os;os.system('touch PWNED')",
    "$(touch PWNED)",
    "`touch PWNED`",
    '"; touch PWNED #',
    "!!python/object/apply:os.system ['touch PWNED']",
    "cos\nsystem\n(S'touch PWNED'\ntR.",
    "x.__class__",
    "%(touch PWNED)s{0.__class__}",
    '"}\n{"key": "q:5", "spelled": false}\n',
]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("answer", HOSTILE + INJECTIONS, ids=lambda answer: ascii(answer[:24]))
def test_hostile_answers_have_keys_at_once(
    answer: str, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.chdir(tmp_path)
    shared_keyer().keys([r"\sqrt2", rf"\sum_{{k=1}}^{{9}}k+{time.time_ns()}"], "symbolic")  # a worker of each kind runs
    start = time.monotonic()
    first, again = shared_keyer().keys([answer, answer], level)
    assert time.monotonic() - start < PATIENCE * 0.5 + 1
    assert isinstance(first, str)
    assert first == again
    assert not grade_answer(answer, "123456.789", level=level)
    assert os.listdir(tmp_path) == []


def test_injections_in_workers_of_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that start in a folder of their own, so that a file made by one would be seen."""
    monkeypatch.chdir(tmp_path)
    keyer = AnswerKeyer()
    for level in LEVELS:
        keyer.keys(INJECTIONS, level)
    keyer.close()
    assert os.listdir(tmp_path) == []


def test_the_guards_come_before_the_clock() -> None:
    """Hostile answers do not time out: they are recognised, so their keys are the same on a slow machine."""
    keyer = AnswerKeyer()
    keyer.keys(HOSTILE, "symbolic")
    counts = keyer.take_counts()
    assert counts["timeouts"] == 0
    assert counts["guarded"] > 40
    assert keyer.take_counts() == {"timeouts": 0, "guarded": 0}
    keyer.close()


def test_a_fall_back_counts_once_and_keeps_its_key() -> None:
    keyer = AnswerKeyer()
    first = keyer.keys(["9^{9^9}", "9^{9^9}", r"\sqrt2"], "symbolic")
    assert keyer.take_counts() == {"timeouts": 0, "guarded": 1}
    assert keyer.keys(["9^{9^9}"], "symbolic") == first[:1]
    assert keyer.take_counts() == {"timeouts": 0, "guarded": 0}
    keyer.close()


def test_a_time_out_falls_back_to_the_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no time at all every expression runs out of it; then the level symbolic is the level normalized."""
    keyer = AnswerKeyer(budget_seconds=1e-6)
    answers = [r"\sqrt8", r"2\sqrt2", r"\sqrt 8", "1/2"]
    assert keyer.keys(answers, "symbolic") == keyer.keys(answers, "normalized")
    assert keyer.take_counts()["timeouts"] == 2
    keyer.close()


def test_sympy_is_loaded_when_it_is_needed_and_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    keyer = AnswerKeyer()
    keyer.keys([r"\sqrt8", "x>3", r"\frac{x}{2}"], "symbolic")
    assert keyer._algebra.process_ids() == []
    total, value = keyer.keys([r"\sum_{k=1}^{10}k", "55"], "symbolic")
    assert total == value
    assert len(keyer._algebra.process_ids()) == 1
    keyer.close()
    monkeypatch.setenv("SEED_GRPO_SYMPY", "0")
    for without in (AnswerKeyer(), AnswerKeyer(algebra=False)):
        total, value = without.keys([r"\sum_{k=1}^{10}k", "55"], "symbolic")
        assert total == r"m:\sum_{k=1}^{10}k" != value
        assert without.take_counts()["guarded"] == 1
        without.close()


ALGEBRA_HOSTILE = [
    r"\int_0^1 x^x\sin(e^{x^2})dx", r"\sum_{n=1}^{10^9}\frac{1}{n}", r"\prod_{n=1}^{10^7} n",
    r"\sum_{n=1}^{10^{10^{10}}} n!",
    r"\lim_{x\to\infty}x^{x^{x^x}}", r"\sum_{k=1}^{n}\binom{10^9}{k}", r"x^{1000}+x^{999}<7",
    r"\sum_{k=1}^{200}k^{k^k}",
    r"\int_0^1\int_0^1\int_0^1 xyz\,dx\,dy\,dz", r"\sum_{a=1}^{99}\sum_{b=1}^{99}\sum_{c=1}^{99}abc", "\\sum" * 100,
    r"\int_0^1\frac{dx}{x^7+x+1}", r"\lim_{x\to0}\frac{\sin(\tan x)-\tan(\sin x)}{x^7}", r"9^{9^9}x^2<4",
    r"\prod_{k=1}^{299}(x+k)",
]  # fmt: skip


@pytest.mark.parametrize("answer", ALGEBRA_HOSTILE)
def test_hostile_algebra_is_bounded(answer: str) -> None:
    import time

    shared_keyer().keys([r"\sqrt2", rf"\sum_{{k=1}}^{{9}}k+{time.time_ns()}"], "symbolic")  # a worker of each kind runs
    start = time.monotonic()
    assert isinstance(shared_keyer().keys([answer], "symbolic")[0], str)
    assert time.monotonic() - start < 2 * PATIENCE * 0.5 + 1  # two sandboxes, and the longest by the clock


def test_long_answers_take_no_room_in_the_cache() -> None:
    keyer = AnswerKeyer()
    keyer.keys(["x" * 100_000 + str(number) for number in range(50)], "symbolic")
    assert len(keyer._cache) == 0
    keyer.close()


def test_nothing_less_nothing_is_nothing() -> None:
    """Exact or not: an inequality whose line goes through zero comes to this."""
    for left, right in itertools.product((Fraction(0), mpmath.mpf(0), mpmath.mpc(0)), repeat=2):
        assert difference(left, right) == 0
