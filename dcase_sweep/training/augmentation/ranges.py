"""Validation of the arguments of augmentations."""


def check_range(name: str, value: float, low: float, high: float | None = None) -> None:
    """Check that a number is within its range.

    Raises:
        ValueError: if not, with the name of the argument, what was found and what is expected.
    """
    if not (value >= low and (high is None or value <= high)):  # also false for NaN
        raise ValueError(f"{name}={value}: expected {f'at least {low}' if high is None else f'from {low} to {high}'}")


def check_positive(name: str, value: float) -> None:
    """Check that a number is positive.

    Raises:
        ValueError: if not, likewise.
    """
    if not value > 0:
        raise ValueError(f"{name}={value}: expected more than 0")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Check that a text is one of the choices.

    Raises:
        ValueError: if not, likewise.
    """
    if value not in choices:
        raise ValueError(f"{name}={value}: expected one of {', '.join(choices)}")
