"""Why there is no connection to the broker, and what to do: the words for it."""

from __future__ import annotations

import socket
import ssl

from edge.config import Broker

SESSION_TAKEN_OVER, NOT_AUTHORIZED, BAD_USER_NAME = 0x8E, 0x87, 0x86
CLOCK = "; is this board's clock right?"
OF_CERTIFICATES = {9: CLOCK, 10: CLOCK, 62: "", 64: ""}
"""What to add to OpenSSL's own words, by its X509_V_ERR number: not yet valid, expired, other host, other address."""
OF_REFUSALS = {
    BAD_USER_NAME: "check broker.username and its password",
    NOT_AUTHORIZED: "check broker.username and its password",
    0x84: "set broker.protocol to the version that it speaks",
    0x85: "it does not take the name of this board (device) as a client id",
    0x8A: "this client is banned there",
    0x8C: "it wants another way to authenticate, which is not supported",
}
"""What to do about a CONNACK, by its reason code (MQTT 5, section 3.2.2.2)."""


def of_error(error: BaseException | None, broker: Broker) -> str:
    """Of a connection that could not be made; None where the system said nothing."""
    at = f"{broker.host}:{broker.port}"
    match error:
        case ssl.SSLCertVerificationError():
            advice = OF_CERTIFICATES.get(error.verify_code, "; is broker.tls_ca the authority that signed it?")
            return f"the certificate of {at} is not trusted: {error.verify_message.rstrip('.')}{advice}"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "UNEXPECTED_EOF_WHILE_READING" | "HTTP_REQUEST"):
            return f"{at} speaks no TLS; name its TLS port (8883 is usual), or leave out broker.tls_ca"
        case ssl.SSLError():
            return f"no TLS with {at}: {error.reason or error}"
        case socket.gaierror():
            return f"no broker: the name {broker.host} is not known ({error.strerror}); check broker.host and DNS"
        case ConnectionRefusedError():
            return f"no MQTT broker answers at {at}: nothing listens there (connection refused)"
        case TimeoutError():
            return f"no MQTT broker answers at {at}: timed out; is it on, and no firewall between?"
    return f"no MQTT broker answers at {at}" + (f" ({error})" if error else "")


def of_refusal(value: int, name: str, broker: Broker) -> str:
    """Of a CONNACK that says no. value, name: its reason code."""
    advice = OF_REFUSALS.get(value)
    return f"{broker.host}:{broker.port} refuses us: {name}" + (f"; {advice}" if advice else "")


def of_silence(error: OSError | None, broker: Broker) -> str:
    """Of a connection that ended before the broker's first word. error: what the system said of it, if anything."""
    at = f"{broker.host}:{broker.port}"
    reason = getattr(error, "reason", None) or ""
    if "CERTIFICATE" in reason or "HANDSHAKE" in reason:
        return f"{at} does not take our certificate ({reason}); check broker.tls_certificate and tls_key"
    wants = "a client certificate (broker.tls_certificate)" if broker.tls_ca else "TLS (broker.tls_ca)"
    return f"{at} ends the connection without an answer; does it want {wants}, or another broker.protocol?"


def of_taken_over(client_id: str) -> str:
    """Of a client id that somebody else uses."""
    return f"another client connected with our client id {client_id!a}; is a second daemon of this name running?"
