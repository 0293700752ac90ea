"""The parsing of simple overrides, compared with Hydra's grammar."""

import random
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from dcase_sweep.sweep.quick_overrides import parse_simple

PARSER = OverridesParser.create()
SIMPLE = (
    "seed=3",
    "model.dropout=0.30000000000000004",
    "optimizer.lr=1e-05",
    "optimizer.lr=-1.5E+3",
    "model.depth=null",
    "hardware.compile=TRUE",
    "optimizer=adam",
    "++tracking.run_name='scene_cnn-baseline_cnn-demo #12'",
    "+tracking.tags={dcase_sweep.trial:'1'}".replace("dcase_sweep.", ""),
    "++tracking.varying=['model','seed']",
    "x=[]",
    "x={}",
    "x=[[1,2],[3,-4]]",
    "x=${a.b_1}",
    "model.blocks=[{filters:16,kernel:[7,7],pool:null,dropout:${model.dropout}},{filters:8,kernel:3,dropout:0.0}]",
)
OTHER = (
    *(
        "x=",
        "x=1,2",
        "x=choice(1,2)",
        "~x",
        "~x=1",
        "a/b=c",
        "a@b=c",
        "x=a b",
        "x=[1, 2]",
        "x=a-b",
        "x=1a",
        "x=1.",
        "x=.5",
    ),
    *("x=1_000", "x=inf", "x=-inf", "x=nan", "x='a\\'b'", "x='${a}'", 'x="a"', "x=${a}b", "x={a:1,a:2}"),
    *(
        "x={1:2}",
        "x=[1",
        "x=1]",
        "x={a}",
        "x={a:}",
        "x=[,]",
        "x=[1,]",
        "x=a:b",
        "x=/data",
        "x=0x1",
        "x=01",
        "x=${oc.env:A}",
    ),
    *(
        "=1",
        "+++x=1",
        "x=é",
        "0.x=1",
        "x.0=1",
        "$x=1",
        "x='",
        "x={true:1}",
        "x=${a",
        "x=1e",
        "x==1",
        "x=%",
        "x=''",
        "x=' '",
    ),
)


def by_hydra(line: str) -> Any:
    try:
        return PARSER.parse_override(line)
    except HydraException:
        return None


@pytest.mark.parametrize("line", SIMPLE)
def test_simple_overrides_are_parsed_as_by_hydra(line: str) -> None:
    found = parse_simple(line)

    assert found is not None
    assert found == by_hydra(line)
    assert repr(found.value()) == repr(by_hydra(line).value())


@pytest.mark.parametrize("line", OTHER)
def test_others_are_left_to_hydra_or_parsed_alike(line: str) -> None:
    found = parse_simple(line)

    assert found is None or found == by_hydra(line)


def test_texts_with_any_characters_are_left_to_hydra_or_parsed_alike() -> None:
    rng = random.Random(0)
    for _ in range(400):
        line = list(rng.choice(SIMPLE))
        for _ in range(rng.randint(1, 3)):
            line[rng.randrange(len(line))] = rng.choice("abeE019.,:'\"\\[]{}()$+-_ =~@/%nN")
        found = parse_simple("".join(line))
        assert found is None or repr(found) == repr(by_hydra("".join(line)))
