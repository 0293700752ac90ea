"""Configurations as YAML, written by libyaml in a fifth of the time of PyYAML's own code."""

from functools import cache
from typing import Any


def to_yaml(config: Any) -> str:
    """Write a configuration as YAML, as ``OmegaConf.to_yaml`` does; only long texts may be broken at other places.

    Args:
        config: an OmegaConf node, whose interpolations are kept, or plain containers.
    """
    import yaml
    from omegaconf import OmegaConf

    is_node = OmegaConf.is_config(config)
    plain = OmegaConf.to_container(config, resolve=False, enum_to_str=True) if is_node else config
    return str(yaml.dump(plain, default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=_make_dumper()))


@cache
def _make_dumper() -> Any:
    """Make a dumper with OmegaConf's rules; without libyaml it is OmegaConf's own."""
    import yaml
    from omegaconf._utils import get_omega_conf_dumper

    own = get_omega_conf_dumper()
    if not yaml.__with_libyaml__:
        return own

    class Dumper(yaml.CDumper):
        yaml_representers = own.yaml_representers
        yaml_multi_representers = own.yaml_multi_representers

    return Dumper
