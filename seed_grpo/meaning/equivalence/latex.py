"""LaTeX answers to tokens of one spelling. Nothing is parsed or evaluated; every rule is linear in the length.

`canonical_tokens` is the only reader of what models write: spacing, font and size commands, synonyms, `\\frac12`,
`sqrt(2)`, `10,\\!080`, `{,}`, Unicode, plain words. What comes after it (units, shapes, expressions) sees one spelling
of each thing. `join` turns tokens into the canonical text, `split_tokens` turns that text back into the same tokens.
"""

from __future__ import annotations

import re

from seed_grpo.meaning.equivalence.arguments import (
    DIGITS,
    brace_arguments,
    infix_fractions,
    matching,
    merge_numbers,
    order_indices,
)
from seed_grpo.meaning.equivalence.functions import COMMANDS, WORDS
from seed_grpo.meaning.equivalence.notation import plain_notation
from seed_grpo.meaning.equivalence.units import is_unit_word

_SAME = {
    "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cfrac": "\\frac", "\\leq": "\\le", "\\geq": "\\ge", "\\neq": "\\ne",
    "\\leqslant": "\\le", "\\geqslant": "\\ge", "\\lt": "<", "\\gt": ">", "\\cdot": "*", "\\times": "*", "\\ast": "*",
    "\\div": "/", "\\varnothing": "\\emptyset", "\\degree": "°", "\\lbrace": "\\{", "\\rbrace": "\\}", "\\lvert": "|",
    "\\rvert": "|", "\\vert": "|", "\\mid": "|", "\\colon": ":", "\\ldots": "\\dots", "\\cdots": "\\dots",
    "\\lbrack": "[", "\\rbrack": "]", "\\infin": "\\infty", "\\tbinom": "\\binom", "\\dbinom": "\\binom",
    "\\to": "\\rightarrow", "\\%": "%", "\\#": "#", "\\&": "&", "\\_": "_", ";": ",",
    "\\varepsilon": "\\epsilon", "\\varphi": "\\phi", "\\vartheta": "\\theta",
    "\\prime": "'", "\\cr": "\\\\", "\\tabularnewline": "\\\\", "\\mod": "\\bmod",
    "\\backslash": "\\setminus", "\\smallsetminus": "\\setminus",
    "\\imath": "i", "\\jmath": "j", "\\iff": "\\Leftrightarrow", "\\bar": "\\overline",
    **{f"\\{name}": command for name, command in COMMANDS.items()},
    "\\widehat": "\\hat", "\\widetilde": "\\tilde", "\\overrightarrow": "\\vec", "\\approxeq": "\\approx",
}  # fmt: skip
_SILENT = frozenset(
    "\\left \\right \\middle \\bigl \\bigr \\Bigl \\Bigr \\biggl \\biggr \\Biggl \\Biggr \\big \\Big \\bigg \\Bigg "
    "\\displaystyle \\textstyle \\scriptstyle \\limits \\nolimits \\quad \\qquad \\thinspace \\medspace \\thickspace "
    "\\negthinspace \\enspace \\hfill \\null \\boxed \\fbox \\mathstrut \\strut \\ensuremath \\rm \\bf \\it \\sf "
    "\\mathchoice \\normalsize \\large \\Large \\small \\tiny \\noindent \\newline \\mathopen \\mathclose \\mathrel "
    "\\mathbin \\mathord \\space \\, \\; \\: \\! \\> \\/ ~".split()
) | {"\\ ", "\\\n", "\\\t"}
_DELIMITER_SIZES = frozenset(
    "\\left \\right \\middle \\bigl \\bigr \\Bigl \\Bigr \\biggl \\biggr \\Biggl \\Biggr \\big \\Big".split()
)
_AT_AN_END = ("\\,", "\\;", "\\:", "\\!", "\\quad", "\\qquad", "\\displaystyle", "~")
_TEXT_COMMANDS = frozenset("\\text \\textrm \\textnormal \\mathrm \\mbox \\hbox \\operatorname \\textup".split())
_FONT_COMMANDS = frozenset(
    "\\textbf \\textit \\textsf \\texttt \\emph \\underline \\mathbf \\mathit \\mathsf \\mathtt \\boldsymbol \\bm "
    "\\bold \\pmb \\mathnormal".split()
)
_WORDS_FOR_COMMANDS = {
    **WORDS,
    "sqrt": "\\sqrt", "pi": "\\pi", "infty": "\\infty",
    "infinity": "\\infty", "oo": "\\infty", "theta": "\\theta", "alpha": "\\alpha", "beta": "\\beta",
    "lambda": "\\lambda", "union": "\\cup", "and": "\\land", "or": "\\lor", "mod": "\\bmod",
}  # fmt: skip
_UNITS_BEHIND_NUMBERS = frozenset(("min", "deg"))
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|[A-Za-z]+|.", re.DOTALL)
_CANONICAL_TOKEN = re.compile(r"\\text\{[^{}]*\}|\\[A-Za-z]+ ?|\\.|[0-9]+(?:\.[0-9]+)?|.", re.DOTALL)
# What stands between groups of three digits and separates nothing else; a comma by itself only before 0 (30,000).
_DIGIT_SEPARATOR = re.compile(
    r"(?<=[0-9])(?: ?, ?\\!|\{ ?, ?\}|\\,|\\!|\\;|\\:|\\ )[ {}]*(?=[0-9]{3}(?![0-9]))|(?<=[0-9]),(?=0[0-9]{2}(?![0-9]))"
)
_E_NOTATION = re.compile(r"(?<![A-Za-z0-9.])([0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE]([+-]?[0-9]+)(?![A-Za-z0-9.^_{(!])")
_UNIT_TEXT = re.compile(r"[A-Za-z°%$](?:[A-Za-z°%$ ./*-]|\^-?[0-9]|\^\{-?[0-9]\})*")
_MAX_WORDS = 80
_TEXT_TOKEN = "\\text{"


def trim(text: str) -> str:
    """Without spacing and size commands at either end."""
    if "\\" not in text and "~" not in text:
        return text.strip()
    while True:
        before = text
        for command in _AT_AN_END:
            text = text.removesuffix(command)
            if text.startswith(command) and not text[len(command) : len(command) + 1].isalpha():
                text = text[len(command) :]
        text = text.strip()
        if text == before:
            return text


def canonical_tokens(text: str) -> list[str]:
    """The tokens of an answer (already clean), in one spelling.

    Numbers are single tokens without superfluous zeros; text is one token `\\text{…}`; a space token stands only
    between two numbers.
    """
    text = _E_NOTATION.sub(r"\1\\times 10^{\2}", _DIGIT_SEPARATOR.sub("", plain_notation(text)))
    tokens = _one_name_each(_read_words(_read_texts(_TOKEN.findall(text))))
    return merge_numbers(order_indices(brace_arguments(infix_fractions(_joined(tokens)))))


def join(tokens: list[str]) -> str:
    """The canonical text of tokens."""
    pieces: list[str] = []
    for token in tokens:
        if pieces and token[:1].isalpha() and pieces[-1][0] == "\\" and pieces[-1][-1].isalpha():
            pieces.append(" ")
        pieces.append(token)
    return "".join(pieces)


def split_tokens(canonical: str) -> list[str]:
    """The tokens of a canonical text: `join` undone."""
    return [token.rstrip(" ") or token for token in _CANONICAL_TOKEN.findall(canonical)]


def is_text(token: str) -> bool:
    """Whether a token is a piece of text, `\\text{…}`."""
    return token.startswith(_TEXT_TOKEN)


def text_content(token: str) -> str:
    """The content of a text token."""
    return token[len(_TEXT_TOKEN) : -1]


def is_command_word(word: str) -> bool:
    """Whether a bare word is the name of a function or a number (`arcsin`, `infinity`)."""
    return _WORDS_FOR_COMMANDS.get(word, "\\l")[:2] != "\\l"


def _read_texts(raw: list[str]) -> list[str]:
    """Text and font commands resolved: words as text tokens, everything else as if the command were not there."""
    if _TEXT_COMMANDS.isdisjoint(raw) and _FONT_COMMANDS.isdisjoint(raw):
        return raw
    partner = matching(raw)
    out: list[str] = []
    closing: set[int] = set()  # braces of commands that were taken away
    index = 0
    while index < len(raw):
        token = raw[index]
        index += 1
        if index - 1 in closing:
            out.append(" ")
        elif token in _TEXT_COMMANDS or token in _FONT_COMMANDS:
            start = index + 1 if index < len(raw) and raw[index].isspace() else index
            if token == "\\operatorname" and raw[start : start + 1] == ["*"]:
                start += 1
            end = partner.get(start)
            if end is None:
                continue
            content = raw[start + 1 : min(end, start + 2 + _MAX_WORDS)]
            words = _as_words(content, token, behind_number=_ends_with_digit(out))
            if words is None:
                closing.add(end)
                index = start + 1
                out.append(" ")
            else:
                out += [" ", words, " "] if words else [" "]
                index = end + 1
        else:
            out.append(token)
    return out


def _ends_with_digit(out: list[str]) -> bool:
    for token in reversed(out):
        if not token.isspace() and token not in _SILENT:
            return token[-1] in DIGITS
    return False


def _as_words(content: list[str], command: str, behind_number: bool) -> str | None:
    """The token for the content of a text command; None where the content is mathematics to be read as such."""
    if len(content) > _MAX_WORDS:
        return None
    if command in _FONT_COMMANDS:
        letters = "".join(content).strip()
        return None if len(letters) < 4 or not letters.isalpha() else f"{_TEXT_TOKEN}{letters}}}"
    plain = "".join(" " if token in _SILENT else token for token in content)
    plain = plain.replace("^\\circ", "°").replace("^{\\circ}", "°").replace("\\%", "%").replace("\\$", "$")
    plain = " ".join(plain.split()).strip(" .,")
    if plain.lower() in ("and", "or"):
        return "\\land" if plain.lower() == "and" else "\\lor"
    if plain in COMMANDS and not (behind_number and plain in _UNITS_BEHIND_NUMBERS):
        return COMMANDS[plain]
    if command in ("\\mathrm", "\\operatorname") and plain in ("e", "i", "d"):
        return plain
    if _UNIT_TEXT.fullmatch(plain):
        return _TEXT_TOKEN + plain.replace("{", "").replace("}", "") + "}"
    if not any(character.isalpha() for character in plain) or any(c in "\\{}^_=<>()[]0123456789" for c in plain):
        return None  # mathematics inside a text command, such as \text{(A)}, \text{5 cm}
    return f"{_TEXT_TOKEN}{plain}}}"


def _read_words(tokens: list[str]) -> list[str]:
    """Runs of bare letters: function names as commands, units behind a number as text, the rest letter by letter."""
    out: list[str] = []
    if len([token for token in tokens if len(token) > 1 and token.isalpha()]) > 1:
        tokens = _sentences(tokens)
    unit_tail = _unit_tails(tokens)
    for index, token in enumerate(tokens):
        if not (token[0].isalpha() and token.isascii()):
            out.append(token)
        elif token in _WORDS_FOR_COMMANDS and not (unit_tail[index] and token == "min"):
            out.append(_WORDS_FOR_COMMANDS[token])
        elif unit_tail[index] and _follows_value(out):
            out.append(f"{_TEXT_TOKEN}{token}}}")
        elif len(token) > 1:
            out += _letters(token)
        else:
            out.append(token)
    return out


_FUNCTION_WORDS = frozenset(
    "for all any every each some is are the where when at of with that be to from by as this if then there not has "
    "have on must only no does do can cannot which such than".split()
)


def _sentences(tokens: list[str]) -> list[str]:
    """Runs of bare words that make a phrase, `for all real numbers`, as text."""
    out: list[str] = []
    index = 0
    while index < len(tokens):
        end, words = index, []
        while end < len(tokens) and tokens[end].isalpha() and tokens[end].isascii() and len(tokens[end]) > 1:
            if tokens[end] in ("and", "or") or is_command_word(tokens[end]):
                break
            words.append(tokens[end])
            end += 1
            if end + 1 < len(tokens) and tokens[end].isspace() and tokens[end + 1][0].isalpha():
                end += 1
        said = sum(word.lower() in _FUNCTION_WORDS for word in words)
        if len(words) > 1 and said and (said > 1 or any(len(word) > 3 for word in words)):
            out += [f"{_TEXT_TOKEN}{' '.join(words[:_MAX_WORDS])}}}", " "]
        else:  # nor is any part of it a phrase: it would have fewer words
            end = max(end, index + 1)
            out += tokens[index:end]
        index = end
    return out


def _letters(run: str) -> list[str]:
    """A run of letters, one by one; a function's name that it ends with stays whole (`xsin`, `2pi`)."""
    for name in ("sqrt", "sin", "cos", "tan", "log", "ln", "pi"):
        if run.endswith(name) and len(run) <= len(name) + 1:
            return [*run[: -len(name)], _WORDS_FOR_COMMANDS[name]]
    return list(run)


def _unit_tails(tokens: list[str]) -> list[bool]:
    """For each token, whether it is a word of a unit and nothing but a unit comes behind it."""
    tail = [False] * len(tokens)
    fine = True
    for index in range(len(tokens) - 1, -1, -1):
        token = tokens[index]
        if token[0].isalpha():
            # "3 mg" and "3mg" are as often a product; a unit without \text has to be one that is hard to mistake.
            fine = fine and is_unit_word(token) and (len(token) > 1 or tokens[index - 1 : index] in (["/"], ["\\circ"]))
            tail[index] = fine
        elif not (token.isspace() or token in "^{}/-.0123456789" or is_text(token) or token in ("\\circ", "%")):
            fine = False
    return tail


def _follows_value(out: list[str]) -> bool:
    """Whether what stands before can have a unit."""
    for token in reversed(out):
        if not token.isspace():
            return token[-1] in "0123456789)}]%|/°" or is_text(token) or token in ("\\pi", "\\circ")
    return False


def _one_name_each(tokens: list[str]) -> list[str]:
    """One name for each command; no spacing but between numbers; `^\\circ` as °, `^\\prime` as '."""
    out: list[str] = []
    spaced = False
    null_delimiter = False
    for token in tokens:
        if token.isspace() or token in _SILENT:
            spaced = True
            null_delimiter = token in _DELIMITER_SIZES or (null_delimiter and token.isspace())
            continue
        if null_delimiter and token == ".":
            null_delimiter = False
            continue
        null_delimiter = False
        token = _SAME.get(token, token)
        if token == "\\circ" and out and out[-1] in ("^", "{") and "".join(out[-2:]).endswith(("^{", "^")):
            token = "°"
        if spaced and out and out[-1][-1] in "0123456789." and token[0] in "0123456789.":
            out.append(" ")
        spaced = False
        if token == "*" and out[-1:] == ["*"]:
            out[-1] = "^"
        else:
            out.append(token)
    return _marks(out)


_INEQUALITIES = frozenset("< > \\le \\ge \\ne \\in \\notin".split())


def _joined(tokens: list[str]) -> list[str]:
    """ "and" and "or" as commas, unless they join inequalities: there they say what is meant."""
    if "\\land" not in tokens and "\\lor" not in tokens:
        return tokens
    if _INEQUALITIES.isdisjoint(tokens):
        return ["," if token in ("\\land", "\\lor") else token for token in tokens]
    out: list[str] = []
    for token in tokens:
        if token in ("\\land", "\\lor") and out[-1:] == [","]:
            out.pop()
        out.append(token)
    return out


def _marks(tokens: list[str]) -> list[str]:
    """`^°`, `^{°}`, `^'`, `^{''}` without the power that only draws them."""
    if "°" not in tokens and "'" not in tokens:
        return tokens
    out: list[str] = []
    index = 0
    while index < len(tokens):
        if tokens[index] == "^":
            end = index + 1
            braced = tokens[end : end + 1] == ["{"]
            end += braced
            start = end
            while end < len(tokens) and tokens[end] in ("°", "'"):
                end += 1
            if end > start and (not braced or tokens[end : end + 1] == ["}"]):
                out += tokens[start:end]
                index = end + braced
                continue
        out.append(tokens[index])
        index += 1
    return out
