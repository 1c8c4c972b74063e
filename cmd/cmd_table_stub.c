/* cmd_table_stub.c - in place of cmd_table.c in a build with MEDIA=0: the commands that need
 * no library beside those of the card. */
#include "cmd/cmd.h"

const struct cmd cmd_table[] = {
    { "verify", "run golden cases and print how far the results are off", cmd_verify },
    { "bench", "time operations, layers and whole parts of a model", cmd_bench },
    { "doctor", "look at this machine: what would keep it from rendering", cmd_doctor },
};
const int cmd_table_count = COUNT_OF(cmd_table);

void cmd_table_begin(void) {}
