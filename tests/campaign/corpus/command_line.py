"""Mistakes on the command line itself."""

from tests.campaign.cases import Case

CASES = [
    Case("unknown-verb", ["evalute"], r"^error: evalute: no such verb; did you mean evaluate\?"),
    Case("unknown-model", ["model=cnn6"], r"^error: .*cnn6.*(cnn4|cnn5)"),
    Case("misspelt-key", ["trainig.epochs=3"], r"^error: .*did you mean training"),
]
