"""The characters of an answer: Unicode as LaTeX, nothing invisible, white space as single spaces."""

from __future__ import annotations

import re
import unicodedata

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
        "omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split(),
        strict=True,
    )
)
_CHARACTERS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "∙": "\\cdot ",
    "÷": "/", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "⩽": "\\le ", "⩾": "\\ge ", "≠": "\\ne ", "≈": "\\approx ",
    "°": "^\\circ ", "º": "^\\circ ", "√": "\\sqrt ", "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "±": "\\pm ",
    "∓": "\\mp ", "′": "'", "’": "'", "‘": "'", "″": "''", "∅": "\\emptyset ", "→": "\\to ", "⟨": "\\langle ",
    "⟩": "\\rangle ", "⌊": "\\lfloor ", "⌋": "\\rfloor ", "⌈": "\\lceil ", "⌉": "\\rceil ", "∠": "\\angle ", "，": ",",
    "、": ",", "。": ".", "µ": "\\mu ", "€": "\\text{euro}", "£": "\\text{pound}", "¢": "\\text{cent}",
    "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}",
    "⅕": "\\frac{1}{5}", "⅛": "\\frac{1}{8}", "∀": "\\forall ", "∃": "\\exists ",
    "ℝ": "\\mathbb{R} ", "ℤ": "\\mathbb{Z} ", "ℕ": "\\mathbb{N} ",
    "ℚ": "\\mathbb{Q} ", "ℂ": "\\mathbb{C} ", "∉": "\\notin ", "⊆": "\\subseteq ", "⊂": "\\subset ", "≡": "\\equiv ",
    "∼": "\\sim ", "℃": "^\\circ \\text{C}", "℉": "^\\circ \\text{F}", "△": "\\triangle ", "•": "\\cdot ",
    "∣": "|", "…": "\\dots ", "∖": "\\setminus ", "⇒": "\\Rightarrow ",
    "∑": "\\sum ", "∫": "\\int ", "∏": "\\prod ", "“": '"', "”": '"',
    **{letter: f"\\{name} " for letter, name in _GREEK.items()},
}  # fmt: skip
_SCRIPTS = re.compile("[" + "".join(_SUPERSCRIPTS) + "]+|[" + "".join(_SUBSCRIPTS) + "]+")


def clean(answer: str) -> str:
    """Without invisible characters, with one character or command for each meaning, white space as single spaces."""
    if not answer.isascii():
        answer = _SCRIPTS.sub(_script, answer)
        answer = "".join(_plain(character) for character in answer)
    return " ".join(answer.replace("\x00", "").split())


def _script(match: re.Match[str]) -> str:
    text = match.group()
    table, mark = (_SUPERSCRIPTS, "^") if text[0] in _SUPERSCRIPTS else (_SUBSCRIPTS, "_")
    return f"{mark}{{{''.join(table[character] for character in text)}}}"


def _plain(character: str) -> str:
    if character < "\x80":
        return character
    if character in _CHARACTERS:
        return _CHARACTERS[character]
    if "！" <= character <= "～":  # full-width forms of ASCII
        return chr(ord(character) - 0xFEE0)
    if character.isspace():
        return " "
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    return "" if unicodedata.category(character) in ("Cf", "Cc", "Cs", "Co", "Cn") else character
