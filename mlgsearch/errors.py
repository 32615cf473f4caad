"""The error family: what a caller did wrong, worded so that the caller can fix it."""


class MlgsearchError(Exception):
    """Base of every error this package raises on purpose."""


class UserError(MlgsearchError):
    """A mistake its user can fix: the message says what, where, and what to write instead.

    The command line prints the message alone and exits with code 2.
    """


class StudyFileError(UserError):
    """A study file is not valid; the message starts with the file and the key."""


class StudyNotFoundError(UserError):
    """No study of that name is in the database."""


class StudyConflictError(UserError):
    """A study of that name exists with different content, or another driver holds it."""


class LeaseLostError(StudyConflictError):
    """Another driver took the study over: whoever meets this stops and writes nothing more."""


class StudyFailedError(UserError):
    """All trials of a study failed, or so many of the first that the others would as well."""


class RayLostError(UserError):
    """A process of Ray's without which nothing can be trained has ended."""


class DiskFullError(UserError):
    """There is no room for a study's files, or they reached the bound that its file sets."""


class ArtifactsAwayError(UserError):
    """The store of a study's artifacts cannot be opened, does not answer, or refuses."""


class DatabaseAwayError(UserError):
    """The database cannot be written, so results wait on the driver's own disk."""


class CodeNotAllowedError(UserError):
    """What is stored names code of its user, which is imported only where the user says so."""


class BudgetError(UserError):
    """No network in range is as small as was asked for; the message says how small one can be."""


class SettingError(UserError):
    """A layer setting is malformed or does not fit its layer."""


class DataError(UserError):
    """Training data or a checkpoint is missing, foreign or damaged."""


class StorageError(UserError):
    """The database cannot be opened, is not ours, or has a schema this version does not know."""


class TrialNotFoundError(UserError):
    """The study has no trial of that number."""
