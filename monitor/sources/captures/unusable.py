"""Why a captured record cannot be used."""


class Unusable(ValueError):
    """A record is not what its platform writes; the text says why, for all such records alike."""
