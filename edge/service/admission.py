"""Who is let in: a request that is new, that fits, and that could be written down."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from edge.config import Limits, Settings
from edge.errors import EngineFailed, Fault, TooLarge, Unavailable, Unsupported
from edge.governor.decision import Memory
from edge.service import journal_file
from edge.service.answering import ATTEMPTS_MAX
from edge.service.clock import now
from edge.service.elsewhere import Elsewhere
from edge.service.journal import Journal
from edge.service.journal_file import Entry, JournalError, Known, Moment
from edge.service.picture_files import read_picture
from edge.service.queue import URGENCY, Queue
from edge.service.repeats import Repeats, names_of
from edge.service.replies import Replies
from edge.service.seat import Seat
from edge.service.speed import Speed
from edge.service.vectors import check_vectors
from edge.service.waiting import Waiting
from edge.wire.chat import ChatRequest
from edge.wire.message import INHERITED, Message, handed_on_count
from edge.wire.pictures import tokens_at_most
from edge.wire.request import Request, parse_request
from edge.wire.topics import Topics
from edge.wire.volatile import Forms

log = logging.getLogger(__name__)

LAID_LAST = "lines of the system prompt that change from call to call were laid before the last turn of user"
SHORT_BYTES = 2000
"""Of a prompt that is let in where memory is short; a picture's crop counts as much."""
INHERITED_MAX = 3
"""So many boards may go away for good with a request before it is taken for the reason."""
BOARD_SECONDS = 30
"""Until it is worth asking again; neither memory nor a battery is short for less (edge/governor)."""


class Admission:
    """From a request to a place in the queue."""

    def __init__(
        self,
        settings: Settings,
        seat: Seat,
        topics: Topics,
        queue: Queue,
        journal: Journal,
        replies: Replies,
        repeats: Repeats,
        speed: Speed,
        elsewhere: Elsewhere,
    ) -> None:
        self._limits, self._seat, self._topics = settings.limits, seat, topics
        self._queue, self._journal, self._replies, self._repeats = queue, journal, replies, repeats
        self._speed, self._elsewhere = speed, elsewhere
        self._volatile = Forms(settings.prompts.volatile)
        self.is_ready = False
        self.memory: Memory = "enough"
        """How much memory the board has left for what is asked, by its governor."""
        self.hand_on: Callable[[Message, Fault], bool] = lambda _message, _fault: False
        """Whether a request that would be refused for this is another board's now."""
        self.check_tools: Callable[[Request], object] = lambda _request: None
        """Raises Fault where a request asks for tools of the board that it may not have."""
        self.refuses = ""
        """Why it lets nobody in, in words."""

    def admit(self, message: Message, request: Request, known: Known | None) -> None:
        """Into the queue and the journal; a repeat gets the answer that there is. Raises Fault where it may not."""
        if self._repeats.has(message, request, known):
            return
        if (gone := handed_on_count(message, INHERITED)) >= INHERITED_MAX:
            raise EngineFailed(
                f"{gone} boards went away for good while they had this request, so it is not tried again"
            )
        if self._replies.is_backed_up:
            raise Unavailable("the broker takes no answers", retry_after=60)
        self._check(request)
        self._check_board(request)
        self._queue.check(request)
        waiting = Waiting(self._journal.file.next_number(), request, now(), message.digest(), is_inherited=gone > 0)
        self._queue.put(waiting)
        self._replies.met(message, waiting.number)
        self._journal.write(
            journal_file.accept(_entry(message, waiting)), lambda error: self._written(message, waiting, error)
        )

    def restore(self, entry: Entry) -> None:
        """A request that an earlier daemon accepted: once more into the queue, or ended where that makes no sense."""
        gone = Moment.now().since(entry.accepted)
        try:
            request = self.parse(entry.message)
            self._check_pictures(request)
            self._fetch_pictures(request)
        except Exception as error:  # other limits than when it was accepted, or what would end every start
            log.warning("request %s cannot be answered any more: %r", entry.id, error)
            self._journal.write(journal_file.withdraw(entry.number))
            with contextlib.suppress(ValueError):  # of a fleet that this board is in no more
                self._replies.refuse(entry.message, error if isinstance(error, Fault) else unforeseen())
            return None
        request = replace(request, address=replace(request.address, id=entry.id))
        waiting = Waiting(entry.number, request, now() - gone, entry.digest, entry.attempts)
        waiting.is_forgotten, waiting.calls = not entry.keeps, list(entry.calls)
        waiting.is_inherited = handed_on_count(entry.message, INHERITED) > 0
        if entry.attempts >= ATTEMPTS_MAX:
            fault = EngineFailed(f"the daemon ended {entry.attempts} times while it was answering this")
            return self._replies.end(waiting, waiting.failure(fault))
        self._queue.put(waiting)
        self._queue.written(waiting)
        return None

    @property
    def _with_pictures(self) -> int:
        return self._limits.picture_bytes if any(each.pictures for each in self._seat.manifests) else 0

    @property
    def bytes_max(self) -> int:
        """Of a request, with pictures where this board sees them."""
        return max(self._limits.payload_bytes, self._with_pictures)

    def parse(self, message: Message) -> Request:
        """A message as a request, within this board's limits; raises Fault."""
        request = parse_request(message, self._topics, self._limits.payload_bytes, self._with_pictures)
        return laid_last(lowered(request, self._limits), self._volatile)

    def _check(self, request: Request) -> None:
        if request.chat.input is not None:
            return check_vectors(request.chat, self._seat.manifest_for(request.chat), self._seat.shelf.names)
        if self._elsewhere.reason(request) in (None, "hot"):
            self.check_tools(request)
            self._check_pictures(request)
        return self._fetch_pictures(request)

    def _check_pictures(self, request: Request) -> None:
        """Count what all of them may cost; raises Fault where that is too much."""
        manifest, images = self._seat.manifest_for(request.chat), request.chat.images()
        seen = manifest.pictures
        if not images:
            return
        if seen is None:
            raise Unsupported(f"{manifest.name} reads text alone, no pictures", "messages")
        crops = (min(picture.crops_max, seen.crops_max) for picture in request.chat.pictures())
        tokens, room = sum(tokens_at_most(count, seen.side_tokens) for count in crops), manifest.context_length
        if tokens >= room:
            raise TooLarge(
                f"these pictures may take {tokens} tokens, but the context holds {room} with text and answer;"
                " ask for less detail, or with fewer of them",
                "messages",
            )

    def _fetch_pictures(self, request: Request) -> None:
        """Those that lie here."""
        for image in request.chat.images():
            if image.file_name is not None:
                folder, most = self._limits.picture_folder, self._limits.picture_bytes
                image.fill(read_picture(folder, image.file_name, most))

    def _check_board(self, request: Request) -> None:
        if self.refuses:
            raise Unavailable(f"the board lets nobody in: {self.refuses}", retry_after=BOARD_SECONDS)
        if self.memory == "short only" and self._speed.prompt_bytes(request) > SHORT_BYTES:
            short = f"the board is short of memory and takes prompts of {SHORT_BYTES} bytes at most"
            raise Unavailable(short, retry_after=BOARD_SECONDS)

    def _written(self, message: Message, waiting: Waiting, error: JournalError | None) -> None:
        """It is on disk: tell the asker where it waits. It is not: take it back, since a power cut would lose it."""
        if error is None:
            self._queue.written(waiting)
            place = self._queue.place(waiting)
            if place or not self.is_ready:
                self._replies.queued(waiting.request, place, self._queue.seconds_before(waiting))
        elif self._queue.remove(waiting):
            full = Unavailable("the journal cannot be written; the board's disk may be full", retry_after=60)
            if not self.hand_on(message, full):
                self._replies.refuse(message, full)


def unforeseen() -> Fault:
    """What an asker is told of a fault of ours: it must not be asked to send the same again and again."""
    return Fault("this message could not be taken; the board's log says why")


def lowered(request: Request, limits: Limits) -> Request:
    """A request without what is over the operator's ceilings, and a warning for each that was."""
    chat, ceiling = request.chat, limits.max_tokens_ceiling
    changes: dict[str, int | str] = {}
    if ceiling is not None and (chat.max_tokens or limits.max_tokens) > ceiling:
        changes["max_tokens"] = ceiling
    if URGENCY[chat.priority] < URGENCY[limits.priority_ceiling]:
        changes["priority"] = limits.priority_ceiling
    asked = {
        name: value for name, value in changes.items() if getattr(chat, name) != ChatRequest.model_fields[name].default
    }
    warnings = tuple(f"{name} was lowered to {value}, this board's ceiling" for name, value in asked.items())
    return replace(request, chat=chat.model_copy(update=changes), warnings=request.warnings + warnings)


def laid_last(request: Request, volatile: Forms) -> Request:
    """A request whose system prompts' lines of these forms are laid before the user's last turn, and a warning then."""
    return replace(request, warnings=(*request.warnings, LAID_LAST)) if request.chat.lay_last(volatile) else request


def _entry(message: Message, waiting: Waiting) -> Entry:
    address = waiting.request.address
    return Entry(
        waiting.number,
        address.id,
        waiting.digest,
        message,
        Moment.now(),
        tuple(names_of(waiting.request)),
        message.packet_identifier,
        share=address.share,
        keeps=waiting.keeps,
    )
