"""What the commands of the command line do, without the parsing of their arguments."""
