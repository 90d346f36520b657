//! One file per command. What a command is asked for goes to standard output, all else to standard error.
