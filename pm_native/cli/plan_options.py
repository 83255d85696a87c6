"""`--adopt`, `--force`, `--reconcile`, `--no-prune`: what plan and apply may do beyond following the config."""

from __future__ import annotations

from functools import wraps

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.plan.model import PlanOptions


def with_plan_options(function: Callable[..., int]) -> Callable[..., int]:
    """The options that plan and apply share; the command gets them as `plan_options`."""

    @wraps(function)  # carries the options that were declared below, too
    def collect(
        *args: object, adopt: bool, force: bool, reconcile: bool, no_prune: bool, **rest: object
    ) -> int:
        from pm_native.plan.model import PlanOptions  # noqa: PLC0415 - not for --help

        options = PlanOptions(adopt=adopt, force=force, reconcile=reconcile, prune=not no_prune)
        return function(*args, plan_options=options, **rest)

    declared = (
        click.option(
            "--adopt", is_flag=True, help="Take over unit files that are not ours; they are saved."
        ),
        click.option(
            "--force", is_flag=True, help="Write over what was edited by hand; take away what is protected."
        ),
        click.option("--reconcile", is_flag=True, help="Undo what was stopped, disabled or set by hand."),
        click.option("--no-prune", is_flag=True, help="Leave what is no longer in the config as it is."),
    )
    wrapped: Callable[..., int] = collect
    for option in reversed(declared):
        wrapped = option(wrapped)
    return wrapped


def option_words(options: PlanOptions) -> list[str]:
    """The options that are given, as on the command line without the dashes."""
    given = {
        "adopt": options.adopt,
        "force": options.force,
        "no-prune": not options.prune,
        "reconcile": options.reconcile,
    }
    return [word for word, is_given in given.items() if is_given]


def options_of(shown: object) -> PlanOptions:
    """The options that a plan was made with, from what `plan_data` said of it."""
    from pm_native.plan.model import PlanOptions  # noqa: PLC0415 - not for --help

    words = shown.get("options", ()) if isinstance(shown, dict) else ()
    return PlanOptions(
        adopt="adopt" in words,
        force="force" in words,
        reconcile="reconcile" in words,
        prune="no-prune" not in words,
    )
