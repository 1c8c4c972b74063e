/* control_note.h - what the ranks of a render tell rank 0 while they run. */
#ifndef CONTROL_NOTE_H
#define CONTROL_NOTE_H

enum control_kind {
    CONTROL_HEARTBEAT,      /* open, what, clip, stage, layer, block of struct track_state */
    CONTROL_LAST_HEARTBEAT, /* the last one */
    CONTROL_BLOCK,          /* a block is encoded: line, clip of the batch, block, pictures */
    CONTROL_TICK,           /* a line begins a tick: line, stages that hold a block */
};

#endif /* CONTROL_NOTE_H */
