"""An access list as Mosquitto has it: who may read and write which topics.

`topic` lines are for the `user` above them, and before the first for clients without a user name; `pattern` lines are
for everybody, with %u and %c for the user name and the client id. A deny comes first, wherever it stands.
Source: mosquitto.conf(5), acl_file, and src/security_default.c of Mosquitto 2.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import ConfigError
from edge.mqtt.broker.passwords import lines
from edge.mqtt.broker.topics import covers, matches, overlaps, valid_filter

READ, WRITE, DENY = 1, 2, 0
ACCESS = {"read": READ, "write": WRITE, "readwrite": READ | WRITE, "deny": DENY}
BRIDGE_STATE = "$SYS/broker/connection/+/state"


@dataclass(frozen=True)
class Rule:
    """A filter, and what may be done with its topics."""

    pattern: str
    access: int


def is_the_brokers(topic: str) -> bool:
    """Whether no client may publish there, whatever a list says."""
    return topic.startswith("$share") or (topic.startswith("$SYS") and not matches(BRIDGE_STATE, topic))


class Everything:
    """The rights of every client where there is no list."""

    def may_read(self, topic: str) -> bool:  # noqa: ARG002 - a Rights
        """Yes."""
        return True

    def may_write(self, topic: str) -> bool:
        """Whatever is not the broker's own."""
        return not is_the_brokers(topic)

    def may_subscribe(self, pattern: str) -> bool:  # noqa: ARG002 - a Rights
        """Yes."""
        return True


class Listed:
    """One client's rights: its user's own rules, then the patterns with its names in them, denials first in each."""

    def __init__(self, *stages: list[Rule]) -> None:
        self._rules = [rule for stage in stages for rule in sorted(stage, key=lambda rule: rule.access != DENY)]

    def may_read(self, topic: str) -> bool:
        """Whether it may be sent messages of the topic."""
        return not topic.startswith("$share") and self._may(topic, READ)

    def may_write(self, topic: str) -> bool:
        """Whether it may publish on the topic."""
        return not is_the_brokers(topic) and self._may(topic, WRITE)

    def may_subscribe(self, pattern: str) -> bool:
        """Whether there is anything within the filter that it may read; Mosquitto takes any and sends nothing."""
        denied: list[str] = []
        for rule in self._rules:
            if rule.access == DENY:
                denied.append(rule.pattern)
            elif rule.access & READ and overlaps(rule.pattern, pattern):
                is_denied = any(covers(each, pattern) or covers(each, rule.pattern) for each in denied)
                if not is_denied:
                    return True
        return False

    def _may(self, topic: str, access: int) -> bool:
        for rule in self._rules:
            if (rule.access == DENY or rule.access & access) and matches(rule.pattern, topic):
                return rule.access != DENY
        return False


@dataclass
class Acl:
    """An access list."""

    users: dict[str | None, list[Rule]] = field(default_factory=dict)
    patterns: list[Rule] = field(default_factory=list)

    def rights(self, user: str | None, client_id: str) -> Listed:
        """What a client may do. One with a wildcard in its names has no pattern: it would widen them."""
        own = self.users.get(user, [])
        if set("+#") & set((user or "") + client_id):
            return Listed(own)
        return Listed(own, [made for rule in self.patterns if (made := _with_names(rule, user, client_id))])


def read_acl(path: Path) -> Acl:
    """The rules of an access list; ConfigError with file and line where it is none."""
    acl, user = Acl(), None
    for place, line in lines(path):
        keyword, _, rest = line.lstrip(" ").partition(" ")
        if keyword == "user":
            user = rest.strip()
            if not user:
                raise ConfigError(f"{place}: user without a name")
        elif keyword == "topic":
            acl.users.setdefault(user, []).append(_rule(rest.lstrip(" "), place))
        elif keyword == "pattern":
            acl.patterns.append(_rule(rest.lstrip(" "), place))
        else:
            raise ConfigError(
                f"{place}: {keyword[:40]!r} is neither topic nor user nor pattern, and a comment begins with #"
            )
    return acl


def _rule(text: str, place: str) -> Rule:
    """What stands behind `topic` and `pattern`: the access, which may be left out, and a filter."""
    word, separator, pattern = text.partition(" ")
    if not separator:
        word, pattern = "readwrite", word
    if word not in ACCESS:
        raise ConfigError(f"{place}: {word[:40]!r} is neither read, write, readwrite nor deny")
    if not valid_filter(pattern.strip()):
        raise ConfigError(f"{place}: {pattern.strip()[:80]!r} is no topic filter")
    return Rule(pattern.strip(), ACCESS[word])


def _with_names(rule: Rule, user: str | None, client_id: str) -> Rule | None:
    """A pattern for one client; None where it needs a user name that there is not."""
    if "%u" in rule.pattern and user is None:
        return None
    parts = rule.pattern.split("%c")
    return Rule(client_id.join(part.replace("%u", user or "") for part in parts), rule.access)
