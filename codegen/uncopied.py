"""Objects that must not be copied, because generated code holds views of their memory."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex

from symbolic.errors import UsageError


class Uncopied:
    """Refuses `copy`, `deepcopy` and `pickle`: the code of the copy would write into the memory of the first."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise UsageError(
            f"a {type(self).__name__} cannot be copied or pickled, since its code writes into its own memory; "
            "make another one, and copy arrays"
        )
