"""The import contracts in `pyproject.toml`, and the files that the documents name."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_imports_keep_the_contracts() -> None:
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"
    checked = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert " 0 broken" in checked.stdout


def test_the_page_on_the_architecture_names_every_package_and_no_other() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`dcase_sweep\.([\w.]+)`", row)}
    found = {
        path.stem
        for path in (ROOT / "dcase_sweep").iterdir()
        if (path.suffix == ".py" and not path.stem.startswith("__")) or (path / "__init__.py").is_file()
    }
    assert named == found


def test_source_files_named_in_documents_exist() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), ROOT / "experiments" / "README.md"]
    text = "".join(page.read_text(encoding="utf-8") for page in pages if page.name != "CHANGELOG.md")
    named = set(re.findall(r"`((?:dcase_sweep|hydra_plugins|tests|examples)/[\w/.-]+\.\w+)`", text))

    assert "dcase_sweep/application/experiments.py" in named
    roots = (ROOT, ROOT / "dcase_sweep/cli/project")  # this project and the one that `init` writes
    assert [name for name in sorted(named) if not any((root / name).exists() for root in roots)] == []
