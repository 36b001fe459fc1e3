"""What can go wrong with a lab, below the project's own error tree."""

from __future__ import annotations

from globaldb.errors import ConfigurationError, OperationalError


class LabError(OperationalError):
    """The lab could not do what was asked; its logs tell more."""


class LabNotRunningError(LabError):
    """There is no such lab, or it does not answer."""


class LabSpecError(ConfigurationError, ValueError):
    """A name or number given to the lab is not one it can use."""
