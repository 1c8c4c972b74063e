/* cmd.h - the subcommands. Each is one file, cmd/cmd_NAME.c. */
#ifndef CMD_H
#define CMD_H

#include "base/base.h"

/* argv[0] is the command's name. What is returned becomes the exit code; where it is ST_OK and
 * what was printed to stdout could not all be written, main makes it ST_IO. */
struct cmd {
    const char *name, *what;
    status (*run)(int argc, char **argv);
};

/* ST_OK 0; ST_ARG, ST_FORMAT 2; ST_COMM 71; ST_CANCELED 75; anything else 1. */
int cmd_exit_code(status st);

/* Say on stderr what went wrong, unless that has been done: then the record is clear.
 * What only follows from another rank's failure is for the debug level. */
void cmd_report(status st);

/* The commands of this build: cmd_table.c, or in a bare build cmd_table_stub.c. */
extern const struct cmd cmd_table[];
extern const int cmd_table_count;

/* Once, before any command: hush the libraries that would speak for themselves. */
void cmd_table_begin(void);

/* From now on an exception that leaves a C++ library ends the process with a message and code 1,
 * not by abort. */
void cmd_catch_throws(void);

status cmd_render(int argc, char **argv);
status cmd_submit(int argc, char **argv);
status cmd_work(int argc, char **argv);
status cmd_queue(int argc, char **argv);
status cmd_serve(int argc, char **argv);
status cmd_launch(int argc, char **argv);
status cmd_check(int argc, char **argv);
status cmd_inspect(int argc, char **argv);
status cmd_card(int argc, char **argv);
status cmd_plan(int argc, char **argv);
status cmd_verify(int argc, char **argv);
status cmd_bench(int argc, char **argv);
status cmd_doctor(int argc, char **argv);
status cmd_extend(int argc, char **argv);
status cmd_sweep(int argc, char **argv);

#endif /* CMD_H */
