"""Objects whose memory generated code holds views of: it must be neither copied nor replaced."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex

from numpy.typing import NDArray

from symbolic.errors import UsageError


class Uncopied:
    """Refuses `copy`, `deepcopy` and `pickle`: the code of the copy would write into the memory of the first."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise UsageError(
            f"a {type(self).__name__} cannot be copied or pickled, since its code writes into its own memory; "
            "make another one, and copy arrays"
        )


class WeightsOwner(Uncopied):
    """Has its weights in one vector, which is written into and not replaced, and by key as views of it."""

    _flat: NDArray
    _params: dict[str, NDArray]

    @property
    def flat(self) -> NDArray:
        return self._flat

    @property
    def params(self) -> dict[str, NDArray]:
        return dict(self._params)
