"""Compositions outside Hydra's command line."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hydra.core.global_hydra import GlobalHydra
from hydra.initialize import initialize_config_dir
from hydra.version import VersionBase

from dcase_sweep.config.folders import conf_folder


@contextmanager
def initialized() -> Iterator[None]:
    """Let ``hydra.compose`` read the configuration of this package within the block.

    What the caller has initialized before, such as a test by ``initialize_config_module``, is restored.
    """
    state, base = GlobalHydra.instance(), VersionBase.instance()
    before, version = state.hydra, base.getbase()
    state.clear()
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = before
        if version is not None:
            with suppress(AssertionError):  # nothing was initialized
                base.setbase(version)
