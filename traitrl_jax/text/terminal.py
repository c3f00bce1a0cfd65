"""Text of files and models on a terminal."""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline


def harmless(text: str) -> str:
    """`text` with control characters as visible escapes: as they are, they could move the cursor or rename the window."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
