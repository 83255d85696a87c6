"""Who may connect, and who may call, publish and subscribe to what: the rules of one project."""

from __future__ import annotations

from pm_native.runtime.ipc import codec
from pm_native.runtime.ipc.topics import covers, is_pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pm_native.runtime.ipc.identity import Identity

VERBS = ("call", "publish", "subscribe")
EVERYBODY = "*"
USER = "user:"


class Rights:
    """What one peer may do; None: everything. `call` has names of processes, the others patterns of topics."""

    __slots__ = ("call", "publish", "subscribe")

    def __init__(
        self,
        call: tuple[str, ...] | None = None,
        publish: tuple[str, ...] | None = None,
        subscribe: tuple[str, ...] | None = None,
    ) -> None:
        self.call = call
        self.publish = publish
        self.subscribe = subscribe

    def may_call(self, process: str) -> bool:
        """Whether it may call, and send to, the process."""
        return self.call is None or process in self.call or EVERYBODY in self.call

    def may_publish(self, topic: str) -> bool:
        """Whether it may publish on the topic."""
        return self.publish is None or any(covers(pattern, topic) for pattern in self.publish)

    def may_subscribe(self, pattern: str) -> bool:
        """Whether it may subscribe to all that the pattern matches."""
        return self.subscribe is None or any(covers(allowed, pattern) for allowed in self.subscribe)


ALL = Rights()


class Access:
    """The rules of a project: `rules` by the name of a process, by `*` for every other one, and by `user:NAME`.

    The project's own are its processes, as cgroups tell them, that run as one of `users`. From a login session, one
    of those users may connect, too, and root; and whom a rule `user:NAME` names, from anywhere.
    """

    def __init__(
        self, users: frozenset[int], rules: Mapping[str, Rights], named: Mapping[int, Rights]
    ) -> None:
        self.users = users | {0}
        self.rules = rules
        self.named = named

    def rights(self, identity: Identity) -> Rights | None:
        """What a peer may do; None: it may not connect."""
        if identity.process and identity.uid in self.users:
            return self.rules.get(identity.process) or self.rules.get(EVERYBODY, ALL)
        if identity.uid in self.named:
            return self.named[identity.uid]
        if identity.uid == 0 or (identity.is_session and identity.uid in self.users):
            return ALL
        return None


def access_from(text: str, uid_of: Callable[[str], int]) -> Access:
    """The rules in the JSON `{"users": [...], "rules": {WHO: {"call": [...], ...}}}`; ValueError says what is wrong."""
    data = codec.decode(text.encode())
    if not isinstance(data, dict) or not isinstance(data.get("rules", {}), dict):
        raise ValueError("the access rules are an object with `users` and `rules`")  # noqa: TRY004 - bad JSON
    users = frozenset(map(uid_of, _names("users", data.get("users", []))))
    rules: dict[str, Rights] = {}
    named: dict[int, Rights] = {}
    for who, given in data.get("rules", {}).items():
        if not isinstance(given, dict) or not given.keys() <= set(VERBS):
            raise ValueError(f"the rule of {who} is an object of {', '.join(VERBS)}")
        rights = Rights(**{verb: _names(f"{who}.{verb}", names) for verb, names in given.items()})
        for pattern in (*(rights.publish or ()), *(rights.subscribe or ())):
            if not is_pattern(pattern):
                raise ValueError(f"the rule of {who} has no pattern of topics: {pattern!r}")
        if who.startswith(USER):
            named[uid_of(who.removeprefix(USER))] = rights
        else:
            rules[who] = rights
    return Access(users, rules, named)


def _names(what: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{what} is a list of names")
    return tuple(value)
