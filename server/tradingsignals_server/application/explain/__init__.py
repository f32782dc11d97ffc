"""Why a signal was given, and whether it is given again: from its stored inputs."""
