# SPDX-License-Identifier: Apache-2.0
"""Which task is meant where none, or only a name, is given."""

from spikewright.errors import ConfigError
from spikewright.tasks.base import Task
from spikewright.tasks.classification import Classification
from spikewright.tasks.form import Form
from spikewright.tasks.outputs import Outputs

__all__ = ["task_for"]

_BY_NAME = {task.name: task for task in (Classification(), Outputs())}
_WITH_SETTINGS = ("detection", "segmentation")


def task_for(task: Task | str | None, form: Form) -> Task:
    """Return a task; nothing given means classification for class scores, else outputs.

    Args:
        task: A task, its name, or None.
        form: What the outputs are.

    Raises:
        ConfigError: If the name is unknown or the task needs settings, or the task can say nothing
            of such outputs.

    Example:
        >>> task_for(None, Form("class scores", 3)).name, task_for(None, Form("6 outputs")).name
        ('classification', 'outputs')
    """
    if isinstance(task, str):
        if task not in _BY_NAME:
            hint = "Pass spikewright.tasks.Detection(decode=…, classes=…) or the like."
            wanted = "one with settings" if task in _WITH_SETTINGS else "a task"
            raise ConfigError(
                f"task: expected {wanted} or {' or '.join(map(repr, _BY_NAME))}, got {task!r}. "
                f"{hint}"
            )
        task = _BY_NAME[task]
    if task is None:
        return Classification() if form.classes else Outputs()
    task.check(form)
    return task
