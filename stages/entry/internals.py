"""The names of Hydra and DVC that their documentation does not promise to keep, all in one place."""

from functools import cache
from types import SimpleNamespace


@cache
def internals() -> SimpleNamespace:
    """Import them; ``tests/unit/test_slips.py`` fails if one is gone or has another signature."""
    from dvc.cli import main, parse_args
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import get_hydra_sweeps
    from dvc.utils.serialize import modify_yaml
    from dvc_data.hashfile.build import build
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return SimpleNamespace(
        run_dvc=main,  # the program `dvc`
        options=parse_args,  # of its command line
        by_file=to_path_overrides,  # words of -S, by the file of parameters that they change
        experiments=get_hydra_sweeps,  # what `model=mlp,cnn` stands for
        modify_yaml=modify_yaml,  # a file, as DVC itself changes params.yaml
        hash_folder=build,  # from DVC's own record where a file has not changed
        Loader=ConfigLoaderImpl,  # its load_configuration composes conf/
        parser=OverridesParser.create(),  # of KEY=VALUE
    )
