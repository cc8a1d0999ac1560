"""Answers as people write them, kind by kind: `correct` rows are `answer ~ gold`, and so are `wrong` ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seed_grpo import grade_answer
from seed_grpo.meaning.equivalence import shared_keyer

CORRECT: dict[str, str] = {
    "a name with a degree or percent sign": r"""
x = 12^\circ ~ 12
\alpha = 15^{\circ} ~ 15^\circ
72^\circ ~ \beta=72^\circ
p = 25\% ~ 25
r = 7.5\% ~ 7.5\%
y = 3\text{ cm} ~ 3
120 ~ \angle A = 120^\circ
""",
    "units inside lists and tuples": r"""
45^\circ, 135^\circ ~ 45, 135
1\text{ cm}, 2\text{ cm} ~ 1,2
20\%, 80\% ~ 20, 80
(3\text{ ft}, 4\text{ ft}) ~ (3,4)
7, 9 ~ \$7, \$9
\{10^\circ, 20^\circ\} ~ 10, 20
""",
    "a choice with its text": r"""
\textbf{(B)}\ 7 ~ B
\textbf{(D) } \frac{3}{4} ~ D
\text{(A)}\ 17 ~ 17
(E) 9 ~ E
B. \sqrt{3} ~ B
Option C ~ C
(b) ~ B
E ~ \textbf{(E)}\ 100
\textbf{(E)}\ 100 ~ \textbf{(E)}\ 100
""",
    "several named values": r"""
5, -1 ~ x_1=5, x_2=-1
(3,4) ~ x=3, y=4
x=3, y=4 ~ (3,4)
a=1, b=2, c=3 ~ (a,b,c)=(1,2,3)
m=2, b=7 ~ 2, 7
\begin{cases}x=3\\y=-4\end{cases} ~ (3,-4)
(1,2,3) ~ x=1,y=2,z=3
n=3, k=4 ~ (n,k)=(3,4)
""",
    "a left side that is no single letter": r"""
\angle ABC = 30^\circ ~ 30
BC = 7 ~ 7
\text{Perimeter} = 20 ~ 20
\cos A = \frac{1}{2} ~ 0.5
|w| = 13 ~ 13
P(A) = 0.25 ~ 1/4
\frac{AB}{CD} = \frac23 ~ 2/3
\log_2 x = 5 ~ 5
9 ~ AC = 9
""",
    "chains and rounding": r"""
2 \cdot 5 = 10 ~ 10
V = \frac43\pi r^3 = 36\pi ~ 36\pi
\frac{\sqrt2}{2} \approx 0.707 ~ \frac{1}{\sqrt2}
x \approx 3.2 ~ 3.2
x = 2\sqrt3 \approx 3.46 ~ 2\sqrt3
7! = 5040 ~ 5040
\approx 12 ~ 12
x = y = z = 4 ~ x=4, y=4, z=4
""",
    "sets of numbers": r"""
\{x \mid 0 \le x < 5\} ~ [0,5)
\{t : t > 2\} ~ (2,\infty)
x<-2 \text{ or } x>2 ~ (-\infty,-2)\cup(2,\infty)
|x-1|<3 ~ (-2,4)
|x| \ge 2 ~ x\le-2 \text{ or } x\ge 2
x \ne -4 ~ (-\infty,-4)\cup(-4,\infty)
\mathbb{R}\setminus\{0\} ~ (-\infty,0)\cup(0,\infty)
(-\infty,\infty) ~ \mathbb{R}
x>1 \text{ and } x<4 ~ (1,4)
(0,2)\cup(1,3) ~ (0,3)
\{x \in \mathbb{R} : x \neq 3\} ~ x \ne 3
2x+1 > 5, x < 7 ~ 2<x<7
""",
    "roots of letters": r"""
\frac{a}{\sqrt a} ~ \sqrt a
y^{5/2} ~ y^2\sqrt y
\sqrt{\frac{a}{b}} ~ \frac{\sqrt{ab}}{b}
\frac{1}{\sqrt{x+2}+\sqrt{x}} ~ \frac{\sqrt{x+2}-\sqrt{x}}{2}
\sqrt{xy} ~ \sqrt x\sqrt y
\sqrt{4t} ~ 2\sqrt t
\sqrt{x-1}\sqrt{x+1} ~ \sqrt{x^2-1}
\sqrt{x^3} ~ x\sqrt x
""",
    "tails that say for which values": r"""
g(x)=2x+1 \text{ for all real } x ~ g(x)=2x+1
f(x)=ax, a\in\mathbb{R} ~ f(x)=ax
\frac{\pi}{4}+k\pi, k\in\mathbb{Z} ~ \frac{\pi}{4}+k\pi
2n+1 \text{ for } n \in \mathbb{Z} ~ 2n+1
f(x)=x^2 \quad \forall x \in \mathbb{R} ~ f(x)=x^2
x = 2k\pi \text{ where } k \text{ is an integer} ~ x=2k\pi, k\in\mathbb{Z}
""",
    "the letter of a function": r"""
f(t)=3t-1 ~ f(x)=3x-1
g(u)=\sqrt{u} ~ g(x)=\sqrt x
f(y)=ay ~ f(x)=ax
h(k)=k! ~ h(n)=n!
f(z)=5+z ~ f(x)=x+5
""",
    "junk around it": r"""
42, ~ 42
3.75 \\ ~ 3.75
17\ ~ 17
17; ~ 17
*96* ~ 96
"12" ~ 12
__8__ ~ 8
\frac12, ~ 0.5
""",
    "plain notation": r"""
x <= 3 ~ x \le 3
y != 2 ~ y \ne 2
3^(x-1) ~ 3^{x-1}
10**3 ~ 1000
0.1666... ~ 1/6
0.121212... ~ 4/33
2.999... ~ 3
+/- 3 ~ 3, -3
a_(n+1) ~ a_{n+1}
""",
    "indices": r"""
x^2_1 ~ x_1^2
T_{\mathrm{max}} ~ T_{max}
\frac{v^2_0}{2g} ~ \frac{v_0^2}{2g}
m_{\text{e}} ~ m_e
{x}_{2} ~ x_2
\rho^3_1 ~ \rho_1^3
""",
    "matrices": r"""
\begin{bmatrix}3\\[2mm]4\end{bmatrix} ~ \begin{bmatrix}3\\4\end{bmatrix}
3\begin{pmatrix}1\\2\end{pmatrix} ~ \begin{pmatrix}3\\6\end{pmatrix}
\begin{pmatrix}1&2\cr3&4\end{pmatrix} ~ \begin{pmatrix}1&2\\3&4\end{pmatrix}
\begin{pmatrix}1\\2\end{pmatrix}+\begin{pmatrix}3\\4\end{pmatrix} ~ \begin{pmatrix}4\\6\end{pmatrix}
\frac{1}{5}\left[\begin{array}{c}5\\10\end{array}\right] ~ \begin{pmatrix}1\\2\end{pmatrix}
\begin{pmatrix}1\\0\end{pmatrix}+t\begin{pmatrix}2\\1\end{pmatrix} ~ \begin{pmatrix}1+2t\\t\end{pmatrix}
-\begin{pmatrix}1\\-1\end{pmatrix} ~ \begin{pmatrix}-1\\1\end{pmatrix}
""",
    "numerals with words, ordinals, clock times": r"""
3 million ~ 3000000
2.5\text{ billion} ~ 2500000000
7^{\text{th}} ~ 7
21st ~ 21
3^{rd} ~ 3
10:15\text{ a.m.} ~ 10:15 AM
8:00 pm ~ 8:00\text{ p.m.}
\$4 million ~ 4000000
5 \text{ dozen} ~ 60
""",
    "plus-minus in tuples": r"""
(\pm3,0) ~ (3,0),(-3,0)
(0,\pm\sqrt5) ~ (0,\sqrt5),(0,-\sqrt5)
(\pm2,\pm3) ~ (2,3),(2,-3),(-2,3),(-2,-3)
(\pm1,\mp1) ~ (1,-1),(-1,1)
(1\pm\sqrt2,4) ~ (1+\sqrt2,4),(1-\sqrt2,4)
""",
    "functions": r"""
\gcd(8,12) ~ 4
\operatorname{lcm}(4,6) ~ 12
\min(3,5) ~ 3
17\bmod 5 ~ 2
17 \mod 5 ~ 2
{5\choose 2} ~ 10
\sin(x)^2 ~ \sin^2 x
\operatorname{artanh}\frac12 ~ \frac12\ln 3
n\equiv 9 \pmod 4 ~ n\equiv 1\pmod{4}
""",
    "damaged LaTeX": "\n".join(
        [
            "\\\\sqrt{5} ~ \\sqrt5",
            "\x0crac{5}{6} ~ \\frac56",
            "2 \times 3 ~ 6",
            "60\\u00b0 ~ 60^\\circ",
            "45u00B0 ~ 45",
            "rac{7}{8} ~ 7/8",
            "\\\\left(1, 2\\\\right) ~ (1,2)",
            "5 \text{ cm} ~ 5\\text{ cm}",
            "\x08oxed{9} ~ 9",
            "\\\\begin{pmatrix}1\\\\\\\\2\\\\end{pmatrix} ~ \\begin{pmatrix}1\\\\2\\end{pmatrix}",
            "{3 \\over 4} ~ 0.75",
        ]
    ),
}
WRONG: dict[str, str] = {
    "a name with a degree or percent sign": r"""
x = 12^\circ ~ 13
x = 45^\circ ~ \frac{\pi}{4}
\alpha = 15^\circ ~ \beta = 15^\circ
p = 25\% ~ 0.025
x = 3\text{ cm} ~ 3\text{ m}
""",
    "units inside lists and tuples": r"""
45^\circ, 135^\circ ~ 45, 136
(3\text{ ft}, 4\text{ ft}) ~ (4,3)
1\text{ cm}, 2\text{ cm} ~ 1\text{ m}, 2\text{ m}
10\text{ m}, 5\text{ s} ~ 10\text{ s}, 5\text{ m}
20\%, 80\% ~ 20
""",
    "a choice with its text": r"""
\textbf{(B)}\ 7 ~ C
\textbf{(B)}\ 7 ~ 8
\textbf{(B)}\ 7 ~ \textbf{(C)}\ 7
Option C ~ D
(b) ~ b+1
B ~ \textbf{(E)}\ 100
""",
    "several named values": r"""
5, -2 ~ x_1=5, x_2=-1
(4,3) ~ x=3, y=4
x=4, y=3 ~ (x,y)=(3,4)
x=3, z=4 ~ x=3, y=4
3 ~ x=3, y=4
(4,3) ~ (n,k)=(3,4)
""",
    "a left side that is no single letter": r"""
\angle ABC = 31^\circ ~ 30
BC = 7 ~ CD = 7
\sin A = \frac{1}{2} ~ \cos A = \frac12
P(A) = 0.25 ~ P(B) = 0.25
C ~ AC = 9
7 ~ x + y = 7
""",
    "chains and rounding": r"""
2 \cdot 5 = 11 ~ 11
5 = 6 ~ 6
\frac12 \approx 7 ~ 7
\frac12 \approx 7 ~ \frac12
V = 35 = 36 ~ 36
x = 2\sqrt3 \approx 5 ~ 5
""",
    "sets of numbers": r"""
\{x \mid 0 \le x < 5\} ~ (0,5)
x<-2 \text{ or } x>2 ~ (-2,2)
|x|<3 ~ (-\infty,-3)\cup(3,\infty)
x \ne -4 ~ x \ne 4
\mathbb{R} ~ (0,\infty)
x>1 \text{ or } x<4 ~ (1,4)
(0,2)\cup(2,3) ~ (0,3)
""",
    "roots of letters": r"""
\sqrt{x^2} ~ x
\sqrt{(a-b)^2} ~ a-b
\sqrt{1-x} ~ \sqrt{x-1}
\frac{1}{\sqrt{n}} ~ \sqrt{n}
x\sqrt{y} ~ y\sqrt{x}
|x|\sqrt{y} ~ x\sqrt{y}
""",
    "tails that say for which values": r"""
n\pi, n\in\mathbb{Z} ~ \pi
n\pi, n\in\mathbb{Z} ~ 0
2n\pi, n\in\mathbb{Z} ~ n\pi, n\in\mathbb{Z}
n\pi, n\in\mathbb{Z} ~ n\pi, n\in\mathbb{N}
f(x)=x \text{ for all } x ~ f(x)=-x
x ~ f(x)=x^2 \text{ for all } x
""",
    "the letter of a function": r"""
f(t)=3t-1 ~ f(x)=3x+1
f(t)=3x-1 ~ f(x)=3x-1
g(t)=t^2 ~ f(x)=x^2
f(y)=ay ~ f(x)=yx
f(a)=ax ~ f(x)=bx
""",
    "junk around it": r"""
42, ~ 43
4,2 ~ 42
17\ ~ 1.7
*96* ~ 69
"12" ~ 1
""",
    "plain notation": r"""
x <= 3 ~ x < 3
5!=120 ~ x \ne 5
3^(x-1) ~ 3^x-1
0.12... ~ 0.12
0.33... ~ 33
3.14159... ~ \pi
""",
    "indices": r"""
x^2_1 ~ x_2^1
x_1^2 ~ x_1
T_{\mathrm{max}} ~ T_{min}
v_0^2 ~ v_2^0
m_{\text{e}} ~ m_p
""",
    "matrices": r"""
3\begin{pmatrix}1\\2\end{pmatrix} ~ \begin{pmatrix}3\\5\end{pmatrix}
\begin{pmatrix}1\\2\end{pmatrix} ~ \begin{pmatrix}1&2\end{pmatrix}
\begin{pmatrix}1\\2\end{pmatrix}+\begin{pmatrix}3\\4\end{pmatrix} ~ \begin{pmatrix}1\\2\end{pmatrix}
\begin{pmatrix}1\\2\end{pmatrix}-\begin{pmatrix}3\\4\end{pmatrix} ~ \begin{pmatrix}4\\6\end{pmatrix}
\begin{vmatrix}1&2\\3&4\end{vmatrix} ~ \begin{pmatrix}1&2\\3&4\end{pmatrix}
""",
    "numerals with words, ordinals, clock times": r"""
3 million ~ 3
3 ~ 3 million
5 dozen ~ 5
10:15\text{ a.m.} ~ 10:15\text{ p.m.}
21st ~ 2
10:15 ~ 10:51
""",
    "plus-minus in tuples": r"""
(\pm3,0) ~ (3,0)
(3,0) ~ (\pm3,0)
(\pm1,\mp1) ~ (1,1),(-1,-1)
(\pm2,\pm3) ~ (2,3),(-2,-3)
(0,\pm3) ~ (3,0),(-3,0)
""",
    "functions": r"""
\gcd(8,12) ~ 24
\max(3,5) ~ 3
17\bmod 5 ~ 3
{5\choose 2} ~ {5\choose 1}
n\equiv 2 \pmod 4 ~ n\equiv 1\pmod{4}
n\equiv 1 \pmod 5 ~ n\equiv 1\pmod{4}
1 ~ n\equiv 1\pmod{4}
\sin(x)^2 ~ \sin(x^2)
""",
    "damaged LaTeX": "\n".join(
        [
            "\x0crac{5}{6} ~ \x0crac{6}{5}",
            "rac{2}{3} ~ rac{3}{2}",
            "\x0cdoo{2}{3} ~ \x0cdoo{3}{2}",
            "45u00B0 ~ 54",
            "\\\\sqrt{5} ~ 5",
        ]
    ),
    "words behind a value": r"""
5 ~ 5 \text{ or more}
5 \text{ at least} ~ 5
n ~ n \text{ is prime}
7 \text{ does not exist} ~ 7
3 \text{ hundredths} ~ 3
3 thousand ~ 3
x ~ x \text{ is odd}
5\text{ is the wrong answer} ~ 5
""",
    "equations of numbers": r"""
12=12 ~ 3\cdot 4 = 12
1=1 ~ \log_5 5 = 1
0=0 ~ \sin\pi = 0
4+4=8 ~ 2\cdot 4 = 8
9=3^2 ~ \sqrt{81}=9
3 ~ \log_2 8 = 3
(x+1)^2=(x+1)^2 ~ x^2+2x+1=(x+1)^2
x=x ~ y=y
""",
    "the value of another letter": r"""
\frac{y}{5} ~ y=5x
10-x ~ x+y+1=11+z
A ~ AB=AC
3b ~ \frac{a}{b}=3
c ~ a^2+b^2=c^2
\frac{y-1}{2} ~ y=2x+1
B ~ A=B
A ~ A=B
""",
    "a letter and a digit": r"""
x=3 ~ x2=6
a=1 ~ a1=1
b ~ b7
x>0 ~ x1>x2
2a ~ a2
""",
}
SAME_AS_BEFORE = r"""
5\text{ apples} ~ 5
18 dollars ~ 18
12 red balls ~ 12
60 \text{ miles per hour} ~ 60
n2^{n-1} ~ n\cdot 2^{n-1}
\frac{m}{2} ~ \frac{1}{2}m
2x ~ y=2x
3x-y+2=0 ~ y=3x+2
x=\frac{y-2}{3} ~ y=3x+2
10-x ~ y=10-x
"""


def rows(table: str) -> list[tuple[str, str]]:
    return [(row.split(" ~ ")[0], row.split(" ~ ")[1]) for row in table.strip("\n").split("\n")]


@pytest.mark.parametrize("kind", list(CORRECT))
def test_is_correct(kind: str) -> None:
    pairs = rows(CORRECT[kind])
    assert len(pairs) >= 5
    assert [pair for pair in pairs if not grade_answer(*pair)] == []


@pytest.mark.parametrize("kind", list(WRONG))
def test_is_wrong(kind: str) -> None:
    pairs = rows(WRONG[kind])
    assert len(pairs) >= 5
    assert [pair for pair in pairs if grade_answer(*pair)] == []
    keys = shared_keyer().keys([answer for pair in pairs for answer in pair], "symbolic")
    assert [pair for pair, a, b in zip(pairs, keys[::2], keys[1::2], strict=True) if a == b] == []


def test_what_was_right_stays_right() -> None:
    assert [pair for pair in rows(SAME_AS_BEFORE) if not grade_answer(*pair)] == []


def test_every_recorded_fault_is_mended(shared_data: Path) -> None:
    """The file of minimal inputs, where it is present: each is graded as it should be, and wrong ones share no key."""
    path = shared_data / "answer_faults.jsonl"
    if not path.is_file():
        pytest.skip(f"{path.name} is not among the benchmark files")
    with open(path, encoding="utf-8") as file:
        cases = [row for row in map(json.loads, file) if "gold" in row]
    assert len(cases) > 80
    assert [case for case in cases if grade_answer(case["answer"], case["gold"]) is not case["correct"]] == []
    for case in cases:
        answer, gold = shared_keyer().keys([case["answer"], case["gold"]], "symbolic")
        assert case["correct"] or answer != gold, case
