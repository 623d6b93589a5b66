"""A board's second connection, for its fleet's requests: a session of its own, which another board can take over."""

from __future__ import annotations

from edge.config import Settings
from edge.mqtt.transport import MqttTransport
from edge.wire.message import Message


class FleetConnections:
    """Of one fleet. The service's protocol `Fleet`."""

    def __init__(self, settings: Settings) -> None:
        self._topics = settings.topics
        self._broker = settings.broker.model_copy(update={"receive_maximum": settings.fleet_window})

    def own(self, will: Message) -> MqttTransport:
        """The board's own."""
        members = self._topics.member("+")
        return MqttTransport(
            self._broker,
            self._client_id(self._topics.device),
            self._topics.shared,
            will,
            acknowledges=True,
            passing=[members],
        )

    def heirs(self, device: str) -> MqttTransport:
        """One in another board's place, whose session it finds."""
        return MqttTransport(self._broker, self._client_id(device), [], acknowledges=True, gives_up=True)

    def _client_id(self, device: str) -> str:
        """No device can be named so, whatever its name is."""
        return f"edge:{self._topics.fleet}:{device}"
