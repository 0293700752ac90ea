"""A Hydra application that descends a parabola, and continues from its last epoch when it is run again in its folder.

It notes each epoch that it begins in ``epochs.txt``, with the process and the time, so that a test can count them.
"""

import json
import os
import socket
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dcase_sweep.sweep import report


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float:
    """Return the square of what is left after some steps downhill."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    state = folder / "state.json"
    epoch, place = json.loads(state.read_text()) if state.is_file() else (0, config.start)
    while epoch < config.epochs:
        note(folder / "epochs.txt", epoch)
        time.sleep(config.seconds_per_epoch)
        place -= config.step * 2 * place
        report(place**2, epoch)
        epoch += 1
        written = folder / f"state-{os.getpid()}.json"
        written.write_text(json.dumps([epoch, place]))
        written.replace(state)
    return float(place**2)


def note(path: Path, epoch: int) -> None:
    """Append a line in one call, so that it is written whole or not at all."""
    line = f"{epoch} {os.getpid()} {socket.gethostname()} {time.time():.3f}\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, line.encode())
    os.close(descriptor)


if __name__ == "__main__":
    main()
