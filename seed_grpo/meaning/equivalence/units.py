"""Units of measurement as canonical names. No conversion: 100 cm and 1 m are told apart, like 60 minutes and 1 hour."""

from __future__ import annotations

import re

_NAMES = {
    "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "millimetre": "mm", "kilometer": "km",
    "kilometre": "km", "meter": "m", "metre": "m", "nanometer": "nm", "micron": "um",
    "micrometer": "um", "angstrom": "Å", "inch": "in",
    "inche": "in", "foot": "ft", "feet": "ft", "yard": "yd", "mile": "mi", "gram": "g", "kilogram": "kg",
    "milligram": "mg", "pound": "lb", "lbs": "lb", "ounce": "oz", "ton": "ton", "liter": "L", "litre": "L",
    "milliliter": "mL", "ml": "mL", "second": "s", "sec": "s", "minute": "min", "mins": "min", "hour": "h", "hr": "h",
    "hrs": "h", "day": "day", "week": "week", "month": "month", "year": "yr", "dollar": "$", "usd": "$", "cent": "¢",
    "euro": "€", "degree": "°", "deg": "°", "percent": "%", "percentage": "%", "radian": "rad", "joule": "J",
    "newton": "N", "watt": "W", "kilowatt": "kW", "volt": "V", "ampere": "A", "amp": "A", "ohm": "Ω", "kelvin": "K",
    "celsius": "C", "fahrenheit": "F", "pascal": "Pa", "hertz": "Hz", "mole": "mol", "arcsecond": "''",
    "arcsec": "''", "arcminute": "'", "arcmin": "'", "parsec": "pc", "tesla": "T", "gauss": "G", "coulomb": "C",
    "mph": "mi*h^-1", "kph": "km*h^-1", "electronvolt": "eV", "sq": "square", "cu": "cubic", "squared": "squared",
}  # fmt: skip
_SHORT = frozenset(
    "cm km mm nm ft yd kg lb oz mL ml hr hrs min mins sec mph kph sq mol eV keV MeV GeV kHz MHz Hz kPa kJ kW MW kpc "
    "Mpc AU erg rad lbs usd USD cents deg per arcsec arcmin Jy dB cc amu ppm Pa pm am PM AM rpm C F K".split()
)
_NOT_UNITS = frozenset("if is the for then where when all with".split())
_PART = re.compile(r"[A-Za-z]+|[°%$'¢€Å]+|\^-?[0-9]+|/|-?[0-9]+|[*. -]")
_POWER = re.compile(r"\^ *(-?) *")
_NOT_PLURAL = ("ss", "us", "is")


def is_unit_word(word: str) -> bool:
    """Whether bare letters behind a number are a unit rather than a product: known, or long enough for a word."""
    return word in _SHORT or (len(word) >= 4 and word not in _NOT_UNITS)


def unit_name(tokens: list[str]) -> str | None:
    """The canonical name of a unit: `cm^2`, `m*s^-1`; None for what is no unit.

    Args:
        tokens: words, signs such as ° and %, and the tokens `^`, `{`, `}`, `/`, `*`, `-` and digits between them.
    """
    powers: dict[str, int] = {}
    last: str | None = None
    sign, power_next = 1, 1
    text = _POWER.sub(r"^\1", " ".join(tokens).replace("{", "").replace("}", ""))
    position = 0
    for part in _PART.findall(text):
        position += len(part)
        if part in "*. -":
            continue
        if part[0] == "^":
            if last is None:
                return None
            powers[last] = powers[last] * int(part[1:3])
        elif part == "/" or part == "per":
            sign = -1
        elif part[0].isdigit() or part[0] == "-":
            return None
        else:
            name = _canonical(part)
            if name in ("square", "cubic"):
                power_next = 2 if name == "square" else 3
            elif name == "squared" and last:
                powers[last] *= 2
            else:
                last = name
                powers[name] = powers.get(name, 0) + sign * power_next
                sign = power_next = 1
    if position != len(text) or last is None:
        return None
    return "*".join(name if power == 1 else f"{name}^{power}" for name, power in sorted(powers.items()) if power)


def _canonical(word: str) -> str:
    if word in _NAMES:
        return _NAMES[word]
    lower = word.lower() if len(word) > 3 else word
    singular = lower[:-1] if len(lower) > 3 and lower.endswith("s") and not lower.endswith(_NOT_PLURAL) else lower
    return _NAMES.get(lower, _NAMES.get(singular, singular))
