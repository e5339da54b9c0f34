"""Range checks that several sections share."""


def at_least(section: str, minimum: float, **values: float) -> None:
    """Refuse numbers below a minimum, and NaN, which is below and above nothing."""
    for name, value in values.items():
        if not value >= minimum:
            raise ValueError(
                f"{section}.{name} is {value}, but must be at least {minimum}: "
                f"give {section}.{name}={minimum} or more."
            )


def positive(section: str, **values: float) -> None:
    """Refuse zero, negative numbers and NaN."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(
                f"{section}.{name} is {value}, but must be greater than 0: "
                f"give a positive {section}.{name}."
            )
