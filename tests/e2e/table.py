"""What was seen to hold, told at the end of a run: for each protocol and kind of route, what came of each event."""

# By protocol and kind of route, by the way (who calls, who answers), by event: in a word.
_seen = {}


def note(protocol, kind, way, event, word="ok"):
    _seen.setdefault((protocol, kind), {}).setdefault(way, {})[event] = word


def lines():
    """A line for each protocol and kind, with all the ways of which the same is to be said."""
    events = list(dict.fromkeys(event for ways in _seen.values() for cells in ways.values() for event in cells))
    rows = [("protocol", "callers → upstreams", "route", *events)] if _seen else []
    for (protocol, kind), ways in _seen.items():
        alike = {}
        for way, cells in sorted(ways.items()):
            alike.setdefault(tuple(cells.get(event, "") for event in events), []).append(way)
        rows += [(protocol, told(together), kind, *words) for words, together in alike.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def told(ways):
    callers, origins = (list(dict.fromkeys(side)) for side in zip(*ways, strict=True))
    if len(ways) == len(callers) * len(origins):
        return f"{' '.join(callers)} → {' '.join(origins)}"
    return ", ".join(f"{caller} → {origin}" for caller, origin in ways)
