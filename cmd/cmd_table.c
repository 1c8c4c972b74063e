/* cmd_table.c - every command. */
#include "cmd/cmd_table.h"
#include "pipeline/output/av/codec.h"

const struct cmd cmd_table[] = {
    { "render", "render the clips of jobs, until all are done", cmd_render },
    { "check", "validate jobs and model cards, print the expanded plan", cmd_check },
    { "plan", "what each rank of a world would do, hold and exchange, and how fast", cmd_plan },
    { "verify", "run golden cases and print how far the results are off", cmd_verify },
    { "inspect", "list a checkpoint's tensors with their hashes; of a clip, how it changes",
      cmd_inspect },
    { "bench", "time operations, layers and whole parts of a model", cmd_bench },
    { "doctor", "look at this machine: what stands in the way of a render", cmd_doctor },
};
const int cmd_table_count = COUNT_OF(cmd_table);

void cmd_table_begin(void) { codec_quiet(); }
