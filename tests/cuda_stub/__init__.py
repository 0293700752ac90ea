"""A GPU that computes nothing, so that what runs only on a GPU can be run without one.

PyTorch's CUDA build calls CUDA as ever, and finds the functions of ``device.c`` in its place. Kernels do nothing, so
values are meaningless; everything else happens: placement of tensors, streams, recording and replaying of graphs,
waiting, running out of memory, Triton's compilation. Needed are a CUDA build of PyTorch for Linux, gcc and nm.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).parent
#: The libraries of PyTorch that call CUDA.
_CALLERS = ("libtorch_cuda", "libc10_cuda", "libtorch_python", "libcaffe2_nvrtc", "libtorch_cuda_linalg")
_PREFIXES = ("__cuda", "cuda", "cu", "nvrtc")


def find_obstacle() -> str | None:
    """Return why the stub cannot be used here; None if it can."""
    if not (_find_torch() / "lib" / "libtorch_cuda.so").is_file():
        return "PyTorch is not a CUDA build"
    if importlib.util.find_spec("triton") is None:
        return "Triton, whose copy of CUDA's headers is used, is not installed"
    missing = [command for command in ("gcc", "nm") if shutil.which(command) is None]
    return f"{' and '.join(missing)} not found" if missing else None


def build(folder: Path) -> dict[str, str]:
    """Compile the stub into a folder, and return the environment in which commands find it.

    Raises:
        subprocess.CalledProcessError: if a file cannot be compiled.
    """
    folder.mkdir(parents=True, exist_ok=True)
    includes = [f"-I{each}" for each in _list_headers()]
    _run("gcc", "-w", "-c", "-fPIC", "-O1", *includes, "-o", folder / "device.o", _SOURCE / "device.c")
    defined = _list_symbols(folder / "device.o", "--defined-only")
    missing = sorted(_list_called() - defined)
    (folder / "rest.c").write_text("".join(f"int {name}(void) {{ return 0; }}\n" for name in missing))
    stub = folder / "libcuda_stub.so"
    shared = ("gcc", "-w", "-shared", "-fPIC")
    _run(*shared, f"-Wl,-soname,{stub.name}", "-o", stub, folder / "device.o", folder / "rest.c", "-ldl", "-lpthread")
    # PyTorch and Triton open the driver by its name.
    driver = "libcuda.so.1"
    (folder / "driver.c").write_text("")
    linked = ("-Wl,--no-as-needed", f"-L{folder}", "-lcuda_stub")
    _run(*shared, f"-Wl,-soname,{driver}", "-o", folder / driver, folder / "driver.c", *linked)
    paths = [str(_SOURCE / "startup"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("LD_LIBRARY_PATH")])),
        "LD_PRELOAD": str(stub),
        "PYTHONPATH": os.pathsep.join(paths),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }


def _find(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _find_torch() -> Path:
    return _find("torch")


def _list_headers() -> list[Path]:
    """Return the folders of CUDA's headers: those of PyTorch's version if its packages have them, and Triton's."""
    packages = _find_torch().parent / "nvidia"
    return [*sorted(packages.glob("cu*/include")), _find("triton") / "backends" / "nvidia" / "include"]


def _list_called() -> set[str]:
    """Return the functions of CUDA that PyTorch and Triton call."""
    libraries = [_find_torch() / "lib" / f"{name}.so" for name in _CALLERS]
    called = set[str]().union(*(_list_symbols(each, "-D", "--undefined-only") for each in libraries if each.is_file()))
    called = {name for name in called if name.startswith(_PREFIXES) and not name.startswith("cudnn")}
    # Triton compiles a module that calls the driver when it is first used.
    triton = (_find("triton") / "backends" / "nvidia" / "driver.c").read_text(encoding="utf-8")
    return called | set(re.findall(r"\bcu[A-Z]\w*(?=\()", triton))


def _list_symbols(library: Path, *options: str) -> set[str]:
    lines = _run("nm", *options, library).splitlines()
    return {line.split()[-1].partition("@")[0] for line in lines if line.strip()}


def _run(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
    return done.stdout
