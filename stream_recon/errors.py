"""Every error that a caller may see, one tree. Each message says what was expected, what was got, where, and what to do.

ReconError
├── ConfigError        the topology or an option cannot work        exit 3
├── InputError         a recording or a file cannot be read         exit 3
├── StateError         the state directory cannot be used           exit 3
│   └── StateHeld      another worker holds this state              exit 3, or another one is made
├── StorageFull        nothing more can be written                  exit 3
├── LogError           the digest log breaks its own rules          exit 3
├── BrokerError        Kafka is not there or refuses                exit 3
│   ├── Unreachable    no answer: a worker tries again              exit 3 at the start
│   └── Fenced         another worker holds this place now          exit 3, or the place is given up
├── KeyServiceError  the service of the root key refuses        exit 3
│   └── KeyServiceAway it does not answer now: a signer waits    exit 3 at the start
├── CheckpointFailed   a checkpoint could not be written or read    never an exit: told, and tried again
├── ProofError         a signature, note or proof does not hold     exit 1 where a proof is checked, else 3
├── Undelivered        a result could not be written                exit 4
└── Refused            one value has no canonical form: the message becomes a dead letter, never an exit
"""

from __future__ import annotations


class ReconError(Exception):
    """Base of all errors that the program raises on purpose."""


class ConfigError(ReconError):
    """The topology or an option cannot work; the text names file, line, field and what to write instead."""


class InputError(ReconError):
    """A recording or another input file cannot be read."""


class StateError(ReconError):
    """The state directory cannot be used: not writable, in use, or from a newer version."""


class StateHeld(StateError):
    """Another worker holds this state open."""


class StorageFull(ReconError):
    """The disk is full; nothing was lost that was already committed."""


class CheckpointFailed(ReconError):
    """A checkpoint could not be written or read: nothing is lost, as the digest log is the truth."""


class Undelivered(ReconError):
    """A result was found and could not be written where it was asked for."""


class ProofError(ReconError):
    """A key, signature, note or envelope is not what it must be; the text says what was found in its place."""


class LogError(ReconError):
    """The digest log breaks its own rules: an unknown format, or a record that cannot stand where it stands."""


class BrokerError(ReconError):
    """A Kafka cluster cannot be reached, or refuses what is asked of it; the text names cluster, topic or group."""


class Unreachable(BrokerError):
    """No answer from a cluster: it may answer a little later."""


class Fenced(BrokerError):
    """Another worker has taken this one's place: what it would still write is refused by the broker."""


class KeyServiceError(ReconError):
    """The service that holds the root key refuses, has no such key, or sent what is not by it; the text never holds a secret."""


class KeyServiceAway(KeyServiceError):
    """No answer from the service that holds the root key, or none for now: it may answer a little later."""


class Refused(ReconError):
    """A value has no canonical form (DESIGN section 4). The text never holds the value."""
