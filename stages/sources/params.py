"""The parameters that every source has."""

from stages.params import Params


class SourceParams(Params):
    """Parameters common to all sources.

    Attributes
    ----------
    name : str
        Which source.
    classes : list of str or None
        Only these classes; None for all. Unlabelled tracks stay in either case.
    watch : str
        File or folder that DVC watches for changes on behalf of the source.
    """

    name: str
    classes: list[str] | None
    watch: str
