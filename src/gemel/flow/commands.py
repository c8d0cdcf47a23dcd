"""What a command is, for one twin of the plant.

Owns    the way from a twin and a name to the command's declaration, and to who receives it.
Never   knows whether it may be sent.
"""

from gemel.flow.fleet import Plan
from gemel.graph.plantfile import Command


def command_of(plan: Plan, twin: str, name: str) -> Command:
    """The command as the twin's interface declares it."""
    return plan.plant.interfaces[plan.plant.twins[twin].interface].commands[name]


def target_of(plan: Plan, twin: str, command: Command) -> str:
    """The asset that receives it: the twin's own, or one across a link."""
    return plan.plant.twins[twin].links[command.at] if command.at else twin
