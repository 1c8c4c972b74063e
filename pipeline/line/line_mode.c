/* line_mode.c - how the line goes through a tick, in words. */
#include "pipeline/line/line.h"

#include <stdio.h>

const char *line_determinism_name(enum line_determinism d)
{
    return d == LINE_BATCH ? "batch" : "strict";
}

const char *line_wire_name(enum line_wire w) { return w == LINE_FP8 ? "fp8" : "act"; }

const char *line_exchange_name(enum line_exchange e)
{
    return e == LINE_HEADS ? "heads" : "blocks";
}

const char *line_mode_text(struct line_mode m, char buf[LINE_MODE_TEXT])
{
    snprintf(buf, LINE_MODE_TEXT, "%s%s%s", line_determinism_name(m.determinism),
             m.exchange == LINE_HEADS ? ", exchange by heads" : "",
             m.wire == LINE_FP8 ? ", keys and values in fp8" : "");
    return buf;
}
