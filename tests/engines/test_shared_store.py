"""A feature store on a disk that two machines share is built once, also if the machine that builds it dies."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.engines.hosts import can_isolate, on_host

ROOT = Path(__file__).resolve().parents[2]
CLIPS = 24
#: Opens the store, a clip at a time, and prints what it has done.
SCRIPT = """
import sys, time
from pathlib import Path
from dcase_sweep.data.store import open_store

class Loudness:
    sample_rate, seconds, padding, shape = 8000, 0.1, "repeat", (1, 10)
    def __call__(self, waveforms):
        return waveforms.reshape(len(waveforms), 1, 10, 80).square().mean(dim=3)

def progress(done, total):
    print("done", done, flush=True)
    time.sleep(0.1)

root = Path(sys.argv[1])
names = sorted(path.name for path in (root / "audio").iterdir())
print("opens", flush=True)
store = open_store(root / "audio", names, Loudness(), store_root=root / "store", configuration={"what": "loudness"},
                   on_progress=progress, on_note=lambda text: print(text, flush=True))
print("computed", store.computed, float(store.features.sum()), flush=True)
"""

pytestmark = pytest.mark.skipif(not can_isolate(), reason="needs the right to create namespaces of hosts and processes")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    (tmp_path / "audio").mkdir()
    for number in range(CLIPS):
        soundfile.write(tmp_path / "audio" / f"{number:02}.wav", rng.uniform(-0.5, 0.5, 800), 8000, subtype="PCM_24")
    (tmp_path / "build.py").write_text(SCRIPT)
    return tmp_path


class Machine:
    """The script on a machine of its own, with its output in a file."""

    def __init__(self, name: str, root: Path) -> None:
        self._output = root / f"{name}-{time.monotonic_ns()}.txt"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [*on_host(name), sys.executable, str(root / "build.py"), str(root)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={
                    "PYTHONPATH": str(ROOT),
                    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                    "HOME": str(root),
                },
            )

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 120
        while text not in self.read():
            assert time.monotonic() < deadline, self.read()
            time.sleep(0.02)

    def read(self) -> str:
        return self._output.read_text()

    def conclude(self) -> tuple[int, float]:
        """The number of clips that it has computed, and the sum of all features."""
        assert self.process.wait(120) == 0, self.read()
        computed, total = self.read().splitlines()[-1].removeprefix("computed ").split()
        return int(computed), float(total)


@pytest.mark.minutes
def test_two_machines_build_a_store_once(root: Path) -> None:
    machines = [Machine(name, root) for name in ("north", "south")]

    found = [machine.conclude() for machine in machines]

    assert sorted(computed for computed, _ in found) == [0, CLIPS]
    assert found[0][1] == found[1][1] > 0


def test_the_other_machine_goes_on_where_one_has_died(root: Path) -> None:
    north = Machine("north", root)
    north.wait_for("done 3\n")
    south = Machine("south", root)
    south.wait_for("opens\n")

    north.process.kill()  # the first process of its machine: all others end with it
    north.process.wait()
    done = north.read().count("done ")
    computed, total = south.conclude()

    assert CLIPS - done - 1 <= computed <= CLIPS - done
    assert Machine("north", root).conclude() == (0, total)
