"""Damaged LaTeX: commands whose backslash was read as an escape, or written twice, where one reading is possible.

A JSON or Python string with `\\frac` in it and one backslash too few holds a form feed and `rac`; with one too many it
holds `\\\\frac`. What is damaged beyond that keeps a mark that no expression may contain, and so is compared by its
spelling.
"""

from __future__ import annotations

import re

_ESCAPES = {"\x07": "a", "\x08": "b", "\t": "t", "\n": "n", "\x0b": "v", "\x0c": "f", "\r": "r"}
_COMMANDS = frozenset(
    """
    alpha angle approx arccos arcsin arctan ast beta bar begin big bigl bigr bigcup bigcap binom bmod boldsymbol boxed
    bullet frac forall fbox neq not nabla notin neg right rightarrow rho rangle rfloor rceil rvert text textbf textit
    textrm textnormal times theta tan tanh tau tfrac tbinom triangle tilde therefore vec vert vee varphi varepsilon
    varnothing dfrac cfrac sqrt mathrm mathbf mathbb mathcal left pi gamma delta lambda mu sigma omega phi psi Delta
    Omega Sigma cdot cdots div pm mp le leq leqslant ge geq geqslant ne in infty cup cap circ degree sin cos cot sec csc
    log ln exp lim sum prod int quad qquad overline mid to lfloor lceil langle ldots dots operatorname equiv pmod mod
    mbox choose subset subseteq setminus emptyset hline end
    """.split()
)
_MARK = "\\damaged "
"""Stands for a control character that nothing explains."""
_ESCAPED = re.compile(r"([\x07\x08\t\n\x0b\x0c\r])([A-Za-z]+)")
_DOUBLED = re.compile(r"\\\\([A-Za-z]+)")
_BEHEADED = re.compile(
    r"(?<![A-Za-z\\])(?:(rac|frac|dfrac|tfrac|ext|extbf|oxed|inom)(?=\{)|(imes|heta|arphi)(?![A-Za-z]))"
)
_HEADS = {"rac": "f", "ext": "t", "extbf": "t", "oxed": "b", "inom": "b", "imes": "t", "heta": "t", "arphi": "v"}
_WHOLE = {
    "rac{": ("\\frac{", "\\dfrac{", "\\tfrac{", "\\cfrac{"), "ext{": ("\\text{",), "extbf{": ("\\textbf{",),
    "oxed{": ("\\boxed{",), "inom{": ("\\binom{", "\\dbinom{", "\\tbinom{"), "imes": ("\\times",),
    "heta": ("\\theta", "\\vartheta"), "arphi": ("\\varphi",),
}  # fmt: skip
"""What is left of a command without its head, and the commands of which it is a whole part."""
_UNICODE = re.compile(r"\\{1,2}u([0-9A-Fa-f]{4})|(?<![A-Za-z\\])u(00[A-Fa-f][0-9A-Fa-f]|22[0-9A-Fa-f]{2})(?![A-Za-z])")


def repair(answer: str) -> str:
    """The answer with its commands restored."""
    if "u" in answer:
        answer = _UNICODE.sub(_character, answer)
    if not answer.isprintable():
        answer = _ESCAPED.sub(_restored, answer)
    if "\\\\" in answer:
        if "\\\\begin" in answer:  # everything is written twice
            answer = answer.replace("\\\\", "\\")
        elif "\\begin" not in answer:
            answer = _DOUBLED.sub(_single, answer)
    if not any(
        piece in answer and answer.count(piece) != sum(map(answer.count, commands))
        for piece, commands in _WHOLE.items()
    ):
        return answer
    return _BEHEADED.sub(lambda match: "\\" + _HEADS.get(match[0], "") + match[0], answer)


def _character(match: re.Match[str]) -> str:
    code = int(match[1] or match[2], 16)
    return match[0] if code < 0x20 or 0xD800 <= code < 0xE000 else chr(code)


def _restored(match: re.Match[str]) -> str:
    control, rest = match[1], match[2]
    command = _ESCAPES[control] + rest
    if command in _COMMANDS and len(rest) > 1:
        return f"\\{command}"
    return f" {rest}" if control.isspace() and control not in "\x0b\x0c" else _MARK + rest


def _single(match: re.Match[str]) -> str:
    return match[0][1:] if match[1] in _COMMANDS else match[0]
