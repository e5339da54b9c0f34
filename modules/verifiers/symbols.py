"""Unify the spellings of formulas, notes, units, dates and initials.

CO₂ is CO2, F♯ is F#, 5 km is 5km, and U.S. is US. Ambiguous ones stay: log₂8 is not log28, and 10²
is not 102.
"""

import re

_UNITS = (
    *("nm", "µm", "μm", "um", "mm", "cm", "dm", "m", "km", "in", "ft", "yd", "mi"),
    *("mm²", "cm²", "m²", "km²", "cm³", "m³", "ml", "cl", "dl", "l", "gal"),
    *("µg", "μg", "mg", "g", "kg", "t", "lb", "lbs", "oz", "mol"),
    *("ns", "µs", "μs", "ms", "s", "sec", "min", "h", "hr", "hrs", "am", "pm", "bc", "ad"),
    *("hz", "khz", "mhz", "ghz", "db", "bpm", "fps", "rpm", "mph", "kph", "kmh", "km/h"),
    *("m/s", "m/s²", "m/s^2", "n", "kn", "pa", "hpa", "kpa", "mpa", "bar", "j", "kj", "wh", "kwh"),
    *("v", "mv", "kv", "w", "mw", "kw", "ev", "kb", "mb", "gb", "tb", "kbps", "mbps", "px", "dpi"),
)
_UNIT = "|".join(map(re.escape, _UNITS))
_NUMBER = r"(?<![\w.,:/^])([-+$]?[0-9](?:[0-9.,:]*[0-9])?)"
_BESIDE_UNIT = re.compile(rf"{_NUMBER} ({_UNIT})(?![\w/^²³+*=-])")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DATE = re.compile(rf"\b({_MONTH} [0-9]{{1,2}}), (?=[0-9]{{4}}\b)")
_CURRENCY = re.compile(r"([$€£¥]) (?=[0-9])")

_LOWERED = re.compile(r"(?<=[^\W\d_]|[)\]])[₀-₉]+(?![0-9₀-₉])")
_CHARGE = re.compile(r"(?<=[^\W_])[²³⁴]?[⁺⁻](?![⁰¹²³⁴-⁹])")
_RAISED = re.compile("[⁺⁻]?[⁰¹²³⁴-⁹]+")
_AS_TYPED = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻♯", "01234567890123456789+-#")
_FLAT = re.compile(r"(?<![^\W\d_])([a-g])♭")

_INITIALS = re.compile(r"(?<!\S)([^\W\d_]) (?=[^\W\d_](?!\S))")


def symbols(text: str) -> str:
    """Unify a text in lower case with single spaces; numbers and units are joined."""
    if not text.isascii():
        text = _FLAT.sub(r"\1b", text.replace("♯", "#"))
        for pattern in (_LOWERED, _CHARGE):
            text = pattern.sub(lambda found: found[0].translate(_AS_TYPED), text)
        text = _RAISED.sub(lambda found: f"^{found[0].translate(_AS_TYPED)}", text)
    if " " in text:
        text = _CURRENCY.sub(r"\1", _DATE.sub(r"\1 ", text))
        text = _BESIDE_UNIT.sub(r"\1\2", text)
    return text


def initials(words: str) -> str:
    """Join lone letters of normalized words: U.S. has become "u s"."""
    return symbols(_INITIALS.sub(r"\1", words))
