"""The challenge's rules for submissions, by task and year.

Sources, as they are cited in this package:

- [V1] https://github.com/toni-heittola/dcase2021_task1_submission_validator (``main.py``, ``validators.py``): the
  public validator of task 1 of 2021.
- [P1] https://dcase.community/challenge2021/task-acoustic-scene-classification#submission
- [Y1] https://github.com/valeoai/SP4ASC/blob/main/sp4asc/default.yaml: the metadata template of task 1A of 2021, as a
  participant published it; ``sp4asc/testing.py`` fills it in.
- [V4] https://github.com/turpaultn/dcase20_task4/blob/public_branch/validate_submissions.py: the public validator of
  task 4 of 2020. There is none for 2021, for which the same metadata and labels are assumed.
- [B4] https://github.com/DCASE-REPO/DESED_task/tree/master/recipes: the baselines of task 4 of 2021 and 2023.
- [C4] https://dcase.community/challenge2023/: this is part A of task 4. The names of its score files
  are those that the validator in the organizers' package example of 2024 checks, ``LABEL_run1.output``.
- [S] https://dcase.community/challenge2021/submission: at most four systems a task, one zip archive with a technical
  report.
"""

import re
from dataclasses import dataclass, replace

from dcase_sweep.data.events import DESED_CLASSES
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import printable

#: The ten scenes of TAU Urban Acoustic Scenes 2020 Mobile in the order of the header [V1].
SCENES = (
    "airport",
    "bus",
    "metro",
    "metro_station",
    "park",
    "public_square",
    "shopping_mall",
    "street_pedestrian",
    "street_traffic",
    "tram",
)
#: Suffixes of the files of a system [V1, V4].
METADATA = ".meta.yaml"
SCENE_OUTPUT, EVENT_OUTPUT = ".output.csv", ".output.tsv"
REPORT = ".technical_report.pdf"


@dataclass(frozen=True, slots=True)
class SubmissionRules:
    """The rules of a year for submissions to a task.

    Attributes:
        task: ``1a`` or ``4``.
        year: year of the challenge.
        kind: ``scenes`` or ``events``.
        word: the part of a label between the institution and the number.
        folder: folder of the systems in the archive.
        classes: the class labels.
        trainings: number of trainings of each system.
        clips: number of recordings in the evaluation set; None if the rules do not define it.
        size_limit: bytes of the non-zero parameters; None without a limit.
        most_systems: largest number of systems in a submission [S].
        has_energy: whether the energy of training and prediction must be stated.
    """

    task: str
    year: int
    kind: str
    word: str
    folder: str
    classes: tuple[str, ...]
    trainings: int = 1
    clips: int | None = None
    size_limit: int | None = None
    most_systems: int = 4
    has_energy: bool = False

    @property
    def title(self) -> str:
        """The task and the year, for messages: ``task 1a of 2021``."""
        return f"task {self.task} of {self.year}"


#: The label is the third folder of a path, and 7,920 files are numbered from 0 [V1]. The limit is 128 KB of
#: 1024 bytes, as in `complexity.rules`.
TASK_1A = SubmissionRules("1a", 2021, "scenes", "task1a", "task1/task1a", SCENES, clips=7920, size_limit=128 * 1024)
#: Each system has its own folder [V4]. Labels contain SED [V4], because sound separation was a task too.
TASK_4 = SubmissionRules("4", 2021, "events", "task4_SED", "task4", DESED_CLASSES)
#: Scores instead of events, of three trainings, and their energy [B4, dcase2023_task4_baseline/README.md,
#: "Multi-runs evaluation" and "Energy Consumption"]; its part A [C4].
TASK_4_2023 = replace(TASK_4, year=2023, word="task4a", folder="task4a", trainings=3, has_energy=True)
RULES = (TASK_1A, TASK_4, TASK_4_2023)


def find_rules(kind: str, year: int) -> SubmissionRules:
    """Return the rules for systems of a kind, ``scenes`` or ``events``.

    Raises:
        UserError: if the rules of that year are not known.
    """
    known = [rules for rules in RULES if rules.kind == kind]
    for rules in known:
        if rules.year == year:
            return rules
    years = " or ".join(str(rules.year) for rules in known)
    raise UserError(f"--year {year}: the rules of task {known[0].task} are not known for it; expected {years}")


@dataclass(frozen=True, slots=True)
class Label:
    """The name of a system: ``Kim_SNU_task1a_1`` [S, Y1].

    Attributes:
        author: last name of the corresponding author.
        institution: abbreviation of the institution.
        word: part of the label that names the task.
        number: number of the system, from 1.
    """

    author: str
    institution: str
    word: str
    number: int

    def __str__(self) -> str:
        return f"{self.stem}_{self.number}"

    @property
    def stem(self) -> str:
        """The common part of the labels of a submission."""
        return f"{self.author}_{self.institution}_{self.word}"


#: Author, institution, task and number, in ASCII, because labels are names of folders in an archive.
_LABEL = re.compile(r"([A-Za-z][A-Za-z0-9-]*)_([A-Za-z0-9][A-Za-z0-9-]*)_(task[A-Za-z0-9]+(?:_SED)?)_(\d{1,3})")


def parse_label(text: str, rules: SubmissionRules) -> Label:
    """Parse the label of a system.

    Raises:
        UserError: for a label that the rules do not allow.
    """
    expected = f"expected AUTHOR_INSTITUTION_{rules.word}_NUMBER, as Kim_SNU_{rules.word}_1"
    found = _LABEL.fullmatch(text)
    if found is None or found[3] != rules.word:
        raise UserError(f"label {printable(text, 80)}: {expected}")
    if not 1 <= int(found[4]) <= rules.most_systems:
        raise UserError(
            f"label {printable(text, 80)}: its number is {int(found[4])}; expected 1 to {rules.most_systems}"
        )
    return Label(found[1], found[2], found[3], int(found[4]))


def rules_of_label(text: str) -> SubmissionRules | None:
    """Return the rules for the task of a label; None if there are none."""
    found = _LABEL.fullmatch(text)
    return next((rules for rules in RULES if found is not None and rules.word == found[3]), None)
