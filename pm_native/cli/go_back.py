"""The way back of an apply that failed, with --atomic."""

from __future__ import annotations

from dataclasses import replace

from pm_native.apply.snapshot import take_snapshot
from pm_native.cli.report import Messages
from pm_native.cli.run_text import run_switch
from pm_native.cli.switch import Switch
from pm_native.errors import ExitCode
from pm_native.plan.make import make_plan, make_removal
from pm_native.plan.model import PlanOptions
from pm_native.state.generations import Generations
from pm_native.state.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.apply.outcome import Outcome, RunOptions
    from pm_native.bus.manager import Manager
    from pm_native.cli.report import Result


async def go_back(
    failed: Result, outcome: Outcome, switch: Switch, manager: Manager | None, options: RunOptions
) -> Result:
    """Undo a switch that failed: to the generation before, or to nothing where there was none."""
    layout, before = switch.layout, switch.installed
    project = switch.plan.project
    messages = Messages()
    messages.say(
        f"{failed.text}\ngoing back to {f'generation {before.generation}' if before else 'what was: nothing'}"
    )
    store = Store(layout, project)
    installed = store.load()
    bundle = Generations(store.directory).bundle(before.generation) if before is not None else None
    snapshot = await take_snapshot(layout, project, bundle, installed, manager)
    # By force: what is new since then is of this very run, whatever protects it from others.
    # What the failed run did not get to runs on the settings of before.
    untouched = {*(installed.to_restart if installed else ())} - {*(before.to_restart if before else ())}
    untouched -= {failure.unit for failure in outcome.failures}
    force = PlanOptions(force=True, as_wanted=frozenset(untouched))
    plan = make_plan(bundle, snapshot, force) if bundle else make_removal(project, snapshot, force)
    command = f"rollback to {before.generation}" if before is not None else "rollback to nothing"
    back = Switch(plan=plan, layout=layout, store=store, installed=installed)
    undone, _ = await run_switch(
        "apply", back, manager, replace(options, allow_missing=True, command=command)
    )
    code = ExitCode.ROLLED_BACK if undone.exit_code is ExitCode.OK else undone.exit_code
    return replace(undone, exit_code=code, data={"failed": failed.data, "rolled_back": undone.data})
