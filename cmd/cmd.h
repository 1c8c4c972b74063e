/* cmd.h - the subcommands. Each is one file, cmd/cmd_NAME.c. */
#ifndef CMD_H
#define CMD_H

#include "base/base.h"

/* argv[0] is the command's name. What is returned becomes the exit code:
 * ST_OK 0; ST_ARG, ST_FORMAT 2; ST_CANCELED 75; anything else 1. */
struct cmd {
    const char *name, *what;
    status (*run)(int argc, char **argv);
};

status cmd_render(int argc, char **argv);
status cmd_check(int argc, char **argv);
status cmd_inspect(int argc, char **argv);
status cmd_verify(int argc, char **argv);
status cmd_bench(int argc, char **argv);
status cmd_doctor(int argc, char **argv);

#endif /* CMD_H */
