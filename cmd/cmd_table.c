/* cmd_table.c - every command. */
#include "cmd/cmd.h"
#include "pipeline/output/av/codec.h"

const struct cmd cmd_table[] = {
    { "render", "render the clips of jobs, until all are done", cmd_render },
    { "extend", "make a finished clip longer", cmd_extend },
    { "submit", "put the clips of jobs into a queue", cmd_submit },
    { "work", "render what a queue has", cmd_work },
    { "queue", "make a queue, look at it, give orders", cmd_queue },
    { "launch", "print a script that starts worlds under Slurm, or submit it", cmd_launch },
    { "serve", "show a queue as a page, for Prometheus and as JSON", cmd_serve },
    { "check", "validate jobs and model cards, print the expanded plan", cmd_check },
    { "plan", "what each rank of a world would do, hold and exchange, and how fast", cmd_plan },
    { "verify", "run golden cases and print how far they are off; or read finished clips again",
      cmd_verify },
    { "inspect", "list a checkpoint's tensors with their hashes; of a clip, how it changes",
      cmd_inspect },
    { "card", "write a model card for the files of a folder", cmd_card },
    { "sweep", "remove what killed renders have left in output folders", cmd_sweep },
    { "bench", "time operations, layers and whole parts of a model", cmd_bench },
    { "doctor", "look at this machine: what would keep it from rendering", cmd_doctor },
};
const int cmd_table_count = COUNT_OF(cmd_table);

void cmd_table_begin(void)
{
    cmd_catch_throws();
    codec_quiet();
}
