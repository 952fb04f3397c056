"""Variants: the few words that tell configurations of one method apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from uadbench.files.results import Result


def variants(entries: Sequence[Sequence[Result]]) -> list[str]:
    """For each entry the preset and the parameters in which it differs from others with its title.

    A method with one configuration needs no words but its preset. Where preset and parameters agree, the version
    differs, and where even that agrees, the configuration's digest is shown.
    """
    firsts = [results[0] for results in entries]
    names = []
    for one in firsts:
        siblings = [other for other in firsts if other is not one and _title(other) == _title(one)]
        names.append(_variant(one, siblings))
    return [_unique(i, names, firsts) for i in range(len(names))]


def _variant(one: Result, siblings: Sequence[Result]) -> str:
    words = [str(one.provenance.get("preset") or "")]
    params = _params(one)
    differing = [name for name in params if any(_params(other).get(name) != params[name] for other in siblings)]
    words += [f"{name}={plain(params[name])}" for name in differing]
    if not differing and any(_version(other) != _version(one) for other in siblings):
        words.append(_version(one))
    return ", ".join(word for word in words if word)


def _unique(i: int, names: Sequence[str], firsts: Sequence[Result]) -> str:
    same = [j for j in range(len(names)) if names[j] == names[i] and _title(firsts[j]) == _title(firsts[i])]
    if len(same) == 1:
        return names[i]
    return ", ".join(word for word in (names[i], firsts[i].configuration[:6]) if word)


def plain(value: Any) -> str:
    """A parameter or a record of provenance as short text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(part)}" for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _title(result: Result) -> str:
    return str(result.provenance.get("title") or result.provenance.get("method") or "")


def _params(result: Result) -> Mapping[str, Any]:
    return dict(result.provenance.get("params") or {})


def _version(result: Result) -> str:
    return f"{result.provenance.get('distribution', '')} {result.provenance.get('distribution_version', '')}".strip()
