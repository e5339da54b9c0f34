"""Range checks that several sections share."""

from math import inf


def at_least(section: str, minimum: float, **values: float) -> None:
    """Refuse numbers below a minimum, infinity, and NaN, which compares with nothing."""
    for name, value in values.items():
        if not minimum <= value < inf:
            raise ValueError(
                f"{section}.{name} is {value}, but must be at least {minimum} and finite: "
                f"give {section}.{name}={minimum} or more."
            )


def positive(section: str, **values: float) -> None:
    """Refuse zero, negative numbers, infinity and NaN."""
    for name, value in values.items():
        if not 0 < value < inf:
            raise ValueError(
                f"{section}.{name} is {value}, but must be greater than 0 and finite: "
                f"give a positive {section}.{name}."
            )
