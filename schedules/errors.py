"""What can be wrong with numbers handed to this package.

ScheduleError
├── InvalidGraph      a unit graph that contradicts itself
├── InvalidSchedule   a table that reuses what was never computed, or has no sensible shape
├── InvalidProfile    change statistics that do not fit their units
├── InvalidCosts      costs that are negative, missing or measured for other units
└── InvalidBook       a plan book that cannot be read
"""


class ScheduleError(ValueError):
    """Something in a schedule, profile, cost model or plan book is wrong."""


class InvalidGraph(ScheduleError):
    """A unit graph contradicts itself."""


class InvalidSchedule(ScheduleError):
    """A schedule table cannot be run."""


class InvalidProfile(ScheduleError):
    """Change statistics do not fit the units or steps they are used for."""


class InvalidCosts(ScheduleError):
    """Costs are negative, missing, or belong to other units."""


class InvalidBook(ScheduleError):
    """A plan book cannot be read."""
