"""Units of measurement as canonical names. No conversion: 100 cm and 1 m are told apart, like 60 minutes and 1 hour."""

from __future__ import annotations

import re
from functools import lru_cache

from seed_grpo.meaning.equivalence.nouns import ADJECTIVES, is_counted, singular

_NAMES = {
    "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "millimetre": "mm", "kilometer": "km",
    "kilometre": "km", "meter": "m", "metre": "m", "nanometer": "nm", "micron": "um",
    "micrometer": "um", "angstrom": "Å", "inch": "in",
    "inche": "in", "foot": "ft", "feet": "ft", "yard": "yd", "mile": "mi", "gram": "g", "kilogram": "kg",
    "milligram": "mg", "pound": "lb", "lbs": "lb", "ounce": "oz", "ton": "ton", "liter": "L", "litre": "L",
    "milliliter": "mL", "ml": "mL", "second": "s", "sec": "s", "minute": "min", "mins": "min", "hour": "h", "hr": "h",
    "hrs": "h", "day": "day", "week": "week", "month": "month", "year": "yr", "dollar": "$", "usd": "$", "cent": "¢",
    "euro": "€",
    "pence": "penny", "pennies": "penny", "rouble": "ruble", "kopek": "kopeck",
    "degree": "°", "deg": "°", "percent": "%", "percentage": "%", "radian": "rad", "joule": "J",
    "newton": "N", "watt": "W", "kilowatt": "kW", "volt": "V", "ampere": "A", "amp": "A", "ohm": "Ω", "kelvin": "K",
    "celsius": "C", "fahrenheit": "F", "pascal": "Pa", "hertz": "Hz", "mole": "mol", "arcsecond": "''",
    "arcsec": "''", "arcminute": "'", "arcmin": "'", "parsec": "pc", "tesla": "T", "gauss": "G", "coulomb": "C",
    "mph": "mi*h^-1", "kph": "km*h^-1", "kmh": "km*h^-1", "kmph": "km*h^-1", "a.m": "am", "p.m": "pm",
    "AM": "am", "PM": "pm",
    "acre": "acre", "hectare": "ha", "verst": "verst", "quart": "qt", "pint": "pint", "gallon": "gal",
    "tablespoon": "tbsp",
    "teaspoon": "tsp", "kilo": "kg", "calorie": "cal", "kilocalorie": "kcal", "decade": "decade", "century": "century",
    "lightyear": "ly", "light-year": "ly", "decibel": "dB", "bushel": "bushel", "furlong": "furlong", "knot": "knot",
    "electronvolt": "eV", "sq": "square", "cu": "cubic", "squared": "squared",
}  # fmt: skip
_SHORT = frozenset(
    "cm km mm nm ft yd kg lb oz mL ml hr hrs min mins sec mph kph sq mol eV keV MeV GeV kHz MHz Hz kPa kJ kW MW kpc "
    "Mpc AU erg rad lbs usd USD cents deg per arcsec arcmin Jy dB cc amu ppm Pa pm am PM AM rpm C F K".split()
)
_SYMBOLS = frozenset(
    "m s g h d t l L J N W V A K C F T H Å Hz Pa mi in rad sr cd lm lx Wb Bq Gy kat S Ω ohm um mm dm nm pm fm km ha "
    "gal qt pt pc tbsp tsp mA kA mV kV MV GW TW GHz THz MPa GPa kN MN mW mJ MJ GJ ms us ns ps mg ug Mg kmol mmol "
    "mM ft yd oz lb lbs gm gms cal kcal Cal bar atm torr mmHg psi hp kWh Wh kg cm cc mph kmh kmph rpm bpm fps "
    "dB eV".split()
)
SCALES = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
    "thousands": 1000, "millions": 10**6, "billions": 10**9,
}  # fmt: skip
"""Words behind a number that multiply it."""
_NOT_UNITS = frozenset("if is the for then where when all with".split())
_PART = re.compile(r"[A-Za-z]+|[°%$'¢€Å]+|\^-?[0-9]+|/|-?[0-9]+|[*. -]")
_POWER = re.compile(r"\^ *(-?) *")
_NOT_PLURAL = ("ss", "us", "is")
_LISTED = frozenset(_NAMES.values()) | frozenset(("light-year", "rod", "league", "verst", "furlong", "acre", "hectare"))


@lru_cache(maxsize=2048)
def is_unit_word(word: str) -> bool:
    """Whether bare letters behind a number are a unit rather than a product: known, or long enough for a word."""
    if len(word) < 4:
        return word in _SHORT or (len(word) == 3 and (word in ADJECTIVES or is_counted(word)))
    return word not in _NOT_UNITS


def unit_name(tokens: list[str]) -> str | None:
    """The canonical name of a unit, a currency or a counted noun: `cm^2`, `m*s^-1`; None for what is none of them.

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
        elif part.lower() in ADJECTIVES:
            continue
        elif not _is_listed(part):
            return None
        else:
            name = _canonical(part)
            if name in ("square", "cubic") and part.lower() != "squares":
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


@lru_cache(maxsize=2048)
def _is_listed(word: str) -> bool:
    if word in _SYMBOLS or word in _SHORT or word in _NAMES or not word.isascii() or not word.isalpha():
        return True
    return len(word) > 2 and (is_counted(word) or _canonical(word) in _LISTED)


@lru_cache(maxsize=2048)
def _canonical(word: str) -> str:
    if word in _NAMES:
        return _NAMES[word]
    lower = word.lower() if len(word) > 3 else word
    stem = lower[:-1] if len(lower) > 3 and lower.endswith("s") and not lower.endswith(_NOT_PLURAL) else lower
    return _NAMES.get(lower) or _NAMES.get(stem) or (singular(lower) if is_counted(lower) else stem)
