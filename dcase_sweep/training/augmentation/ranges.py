"""Refusals of values that an augmentation cannot have."""


def check_range(name: str, value: float, low: float, high: float | None = None) -> None:
    """Refuse a number out of its range.

    Raises:
        ValueError: with the name of the argument, what was found and what is expected.
    """
    if not (value >= low and (high is None or value <= high)):  # so that NaN is refused too
        raise ValueError(f"{name}={value}: expected {f'at least {low}' if high is None else f'from {low} to {high}'}")


def check_positive(name: str, value: float) -> None:
    """Refuse 0 and less.

    Raises:
        ValueError: likewise.
    """
    if not value > 0:
        raise ValueError(f"{name}={value}: expected more than 0")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a text that is none of the choices.

    Raises:
        ValueError: likewise.
    """
    if value not in choices:
        raise ValueError(f"{name}={value}: expected one of {', '.join(choices)}")
