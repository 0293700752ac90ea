"""A Hydra launcher on Ray: each job is a task of a cluster, in a process of its own.

Ray does not start a killed task again: a search retries its trial, and a grid launches the job once more.
"""

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from dcase_sweep.sweep.launchers import JobLost
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.gpus import SHARE, VISIBLE, GpuShare

#: Environment variables that belong to a machine or to Ray, and are not sent to other machines.
_OWN = ("RAY_", VISIBLE, SHARE, "HOSTNAME", "PWD", "TMPDIR", "XDG_RUNTIME_DIR")
#: Seconds within which interrupted tasks write their last epochs.
_PATIENCE = 10.0


class RayLauncher(Launcher):
    """Runs jobs as tasks of a Ray cluster, as many at a time as its resources allow.

    A task has the environment variables and the working folder of the command, so the nodes must share a disk.

    Args:
        address: ``auto`` = the cluster of ``RAY_ADDRESS``, or of this machine; ``local`` = this machine alone.
        num_cpus, num_gpus, resources: what Ray reserves for a job.
        runtime_env: Ray's runtime environment of a job: ``pip``, ``env_vars`` and so on.
    """

    def __init__(
        self,
        address: str = "auto",
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: Mapping[str, float] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        self.address = address
        self.num_gpus = num_gpus
        # Needed before a new process can import this module; all other variables come later.
        env = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **(runtime_env or {}).get("env_vars", {})}
        self.options = {
            **{"num_cpus": num_cpus, "num_gpus": num_gpus, "resources": resources or {}},
            **{"runtime_env": {**(runtime_env or {}), "env_vars": env}, "max_retries": 0, "max_calls": 1},
        }

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store Hydra's context and the task function."""
        self._sent = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and return their results in the same order.

        Raises:
            UserError: if there is no cluster at the address.
            Interrupted: after Ctrl-C, SIGTERM or another signal that asks for an end; the tasks get it, too.
        """
        import ray

        from dcase_sweep.utils.signals import interruptible

        with interruptible(), _connected(self.address):
            # In an object of Ray, not in its runtime environment, which its dashboard shows: there may be passwords.
            sent = ray.put(cloudpickle.dumps((*self._sent, Singleton.get_state())))
            variables = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
            if 0 < self.num_gpus < 1:  # Ray puts so many tasks on one GPU
                variables[SHARE] = str(GpuShare(0, 1, int(1 / self.num_gpus)))
            place = ray.put(cloudpickle.dumps((variables, os.getcwd(), sys.path)))
            run = ray.remote(**self.options)(_run)
            tasks = [run.remote(place, sent, list(words), initial_job_idx + n) for n, words in enumerate(job_overrides)]
            try:
                return [_wait(task, words) for task, words in zip(tasks, job_overrides, strict=True)]
            except BaseException:
                for task in tasks:
                    ray.cancel(task)
                ray.wait(tasks, num_returns=len(tasks), timeout=_PATIENCE)
                raise


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Connect to the cluster; what is connected already stays so."""
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address, logging_level="WARNING")
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"hydra.launcher.address={address}: no Ray cluster to run on: {reason}; `ray start --head` starts one"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _run(place: bytes, sent: bytes, overrides: list[str], number: int) -> bytes:
    """Run a job on a node, as the command would, and return its result."""
    import ray

    variables, folder, paths = cloudpickle.loads(place)
    os.environ.update(variables)
    sys.path += [path for path in paths if path not in sys.path]
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"{folder}: {error.strerror} on {socket.gethostname()}; expected the command's folder on a shared disk"
        ) from None
    context, task, config, state = cloudpickle.loads(sent)
    Singleton.set_state(state)
    setup_globals()
    composed = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id, composed.hydra.job.num = ray.get_runtime_context().get_task_id(), number
    result = run_job(
        hydra_context=context,
        task_function=task,
        config=composed,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    return cloudpickle.dumps(result)


def _wait(task: Any, overrides: Sequence[str]) -> JobReturn:
    """Wait for a task and return its result, which may be an error."""
    import ray

    result = JobReturn(overrides=overrides, status=JobStatus.FAILED)
    try:
        returned: JobReturn = cloudpickle.loads(ray.get(task))
        return returned
    except ray.exceptions.RayTaskError as error:  # of the code of the task
        result.return_value = error.cause
    except ray.exceptions.RayError as error:
        result.return_value = JobLost(" ".join(str(error).split()))
    return result
