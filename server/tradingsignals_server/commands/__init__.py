"""Commands of the command line, without the parsing of their arguments."""
