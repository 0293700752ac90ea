"""Installation of the servers that the tests start: Debian's packages, and Ray in an environment of its own."""

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

#: A program → the packages of Debian that install it.
PACKAGES = {
    "psql": ("postgresql",),
    "mariadbd": ("mariadb-server",),
    "slurmctld": ("slurm-wlm", "slurmctld", "slurmd", "slurm-client"),
    "munged": ("munge",),
    "ip": ("iproute2",),
}
#: The environment of Ray, which finds everything else where this interpreter does.
RAY = Path(__file__).resolve().parents[2] / "build" / "engines-ray"
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def install_packages() -> int:
    """Install the packages whose programs are missing; returns an exit code."""
    missing = [name for program, names in PACKAGES.items() if not shutil.which(program, path=_PATH) for name in names]
    if not missing:
        print("all servers are installed")
        return 0
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        print(f"as root, on Debian: apt-get install {' '.join(missing)}")
        return 1
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment)  # some lists are enough
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    return subprocess.run(command, env=environment).returncode


def install_ray() -> int:
    """Install Ray in an environment that shares all other packages with this one; returns an exit code."""
    venv.create(RAY, clear=True)
    python = find_ray()
    assert python is not None
    folder = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True, check=True
    )
    (Path(folder.stdout.strip()) / "shared.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    constraints = Path(__file__).resolve().parents[2] / "constraints.txt"
    words = ["install", "-q", "-c", str(constraints), "ray"]
    return subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *words]).returncode


def find_ray() -> Path | None:
    """The interpreter of Ray's environment; None if there is none."""
    python = RAY / "bin" / "python"
    return python if python.exists() else None
