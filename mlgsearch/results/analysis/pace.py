"""How long something still takes, by what was done of it."""


def time_left_s(pace: tuple[int, float], remaining: int) -> float | None:
    """Extrapolate in seconds; None where nothing was done yet, and a pace is not known.

    Args:
        pace: how many were done, and in how many seconds. What is done side by side is in it.
        remaining: how many are to be done.
    """
    done, seconds = pace
    if remaining <= 0:
        return 0.0
    return None if done < 1 else seconds / done * remaining
