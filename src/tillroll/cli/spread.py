"""Groups of options: a parameter of a command whose type is a NamedTuple stands for an option of each of its fields."""

import inspect
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, get_type_hints


def spread(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command, in which each field of a parameter that is a NamedTuple is an option in its place."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for parameter in inspect.signature(run, eval_str=True).parameters.values():
        group = parameter.annotation
        if hasattr(group, "_field_defaults"):
            groups[parameter.name] = group
            for name, hint in get_type_hints(group, include_extras=True).items():
                parameters.append(parameter.replace(name=name, default=group._field_defaults[name], annotation=hint))
        else:
            parameters.append(parameter)

    def command(**given: Any) -> Any:
        for name, group in groups.items():
            given[name] = group(*[given.pop(field) for field in group._fields])
        return run(**given)

    update_wrapper(command, run)
    vars(command)["__signature__"] = inspect.Signature(parameters)
    return command if groups else run
