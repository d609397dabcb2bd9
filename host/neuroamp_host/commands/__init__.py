"""The subcommands of `neuroamp`, one file each: `add_arguments(parser)` and `run(args)`."""
