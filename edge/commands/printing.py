"""An answer on standard output as it comes: pieces may be lost or come again, the terminal message has the whole."""

from __future__ import annotations


class Printing:
    """What of an answer is printed: its pieces up to the first that is missing, at the end the rest of its text.

    An engine that died has the answer begun again, with pieces from index 0. Where the second is not what was printed
    of the first, nothing more is printed before the end, and then the whole again, on lines of its own.
    """

    def __init__(self) -> None:
        self.printed = ""
        self.is_within_line = False
        """Whether what was printed last did not end its line."""
        self._pieces: list[str] = []
        self._text = ""

    def piece(self, index: int, text: str) -> None:
        """A piece; what is certain of the answer is printed."""
        if not 0 <= index <= len(self._pieces):
            return  # one before it is missing
        if index < len(self._pieces):
            if self._pieces[index] == text:
                return  # a copy, or the same said again
            del self._pieces[index:]
            self._text = "".join(self._pieces)
        self._pieces.append(text)
        self._text += text
        self._print_rest_of(self._text)

    def _print_rest_of(self, text: str) -> None:
        """Print a text that goes on where the printed one ends."""
        if text.startswith(self.printed):
            print(text[len(self.printed) :], end="", flush=True)
            self.printed, self.is_within_line = text, bool(text) and not text.endswith("\n")

    def end(self, text: str, pieces: int, is_answer: bool) -> str | None:
        """Print the rest of a terminal message's text; why standard output is not that text alone, or None.

        pieces: how many there were, by that message. is_answer: whether it is complete; of one that was broken off
        what is printed may be more than the message has.
        """
        fault = None
        if not text and pieces:  # the message was too large for the broker, as its warning says
            lost = pieces - len(self._pieces)
            fault = f"{lost} of {pieces} pieces of the answer are lost" if lost > 0 else None
        elif not text.startswith(self.printed) and (is_answer or not self.printed.startswith(text)):
            fault = "the board began its answer again and said something else; the whole of it comes last"
            print(flush=True)
            self.printed = ""
        self._print_rest_of(text)
        if self.printed or is_answer:
            print(flush=True)
            self.is_within_line = False
        return fault
