/* cmd_table.h - the commands of this build: a file for each kind of build holds them. */
#ifndef CMD_TABLE_H
#define CMD_TABLE_H

#include "cmd/cmd.h"

extern const struct cmd cmd_table[];
extern const int cmd_table_count;

/* Once, before any command: hush the libraries that would speak for themselves. */
void cmd_table_begin(void);

#endif /* CMD_TABLE_H */
