"""The layout of all pages: head, style and navigation."""

from __future__ import annotations

from local_sagemaker.web.markup import Markup, tag

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882 }
:root { --ok: #1a7f45; --bad: #c62f2f; --busy: #2563c9; --off: #777 }
@media (prefers-color-scheme: dark) { :root { --ok: #4cc38a; --bad: #ff7b7b; --busy: #7fb1ff; --off: #aaa } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem 1.25rem 4rem }
h1 { font-size: 1.35rem; margin: 1rem 0 .25rem; overflow-wrap: anywhere }
h2 { font-size: 1.05rem; margin: 1.75rem 0 .5rem }
.wide + nav { margin-top: .75rem } nav a, nav b { margin-right: 1rem } a { color: inherit }
table { border-collapse: collapse; min-width: 40% } .wide { overflow-x: auto }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600; font-size: .85rem } td { overflow-wrap: break-word; font-variant-numeric: tabular-nums }
td b { font-size: .85rem } td:nth-child(2):last-child { overflow-wrap: anywhere }
@media (max-width: 40rem) { td:first-child:nth-last-child(2) { display: block; border: 0; padding-bottom: 0 }
td:nth-child(2):last-child { display: block; padding-top: 0 } }
pre { background: var(--soft); padding: .75rem; overflow: auto; max-height: 32rem; font-size: .8rem }
.status { font-weight: 600; white-space: nowrap; color: var(--off) } .none { color: var(--off) }
.Succeeded, .Completed { color: var(--ok) } .Failed, .CompletedWithFailures { color: var(--bad) }
.Executing, .Starting, .InProgress, .Stopping { color: var(--busy) }
svg { max-width: 100%; height: auto } svg text { font: 13px system-ui, sans-serif; fill: currentColor }
svg text.axis { font-size: 11px; fill: var(--off) }
svg .box { fill: var(--soft); stroke: currentColor; stroke-width: 1.5 } svg .edge { fill: none; stroke: var(--off) }
.curves { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0 } figcaption { font-size: .85rem }
"""


def frame(title: str, *body: object, refresh_seconds: int | None = None) -> Markup:
    """A complete document; with `refresh_seconds`, it reloads itself."""
    refresh = tag("meta", http_equiv="refresh", content=refresh_seconds) if refresh_seconds else None
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        refresh,
        tag("title", f"{title} · local SageMaker"),
        tag("style", Markup(_STYLE)),
    )
    navigation = tag(
        "nav", tag("b", "Local SageMaker"), tag("a", "Executions", href="/"), tag("a", "Jobs", href="/ui/jobs")
    )
    return Markup("<!doctype html>" + tag("html", head, tag("body", navigation, tag("h1", title), body), lang="en"))


def missing() -> Markup:
    """The page for an unknown address, usually of an execution that `gc` has deleted."""
    return frame("Page not found", tag("p", "It never existed, or gc has deleted it."))
