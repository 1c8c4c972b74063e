/* control_note.h - what the ranks of a render tell rank 0 while they run. */
#ifndef CONTROL_NOTE_H
#define CONTROL_NOTE_H

enum control_kind {
    CONTROL_HEARTBEAT,      /* open, what, clip, stage, layer, block of struct track_state */
    CONTROL_LAST_HEARTBEAT, /* the last one */
    CONTROL_BLOCK,          /* a block is encoded: line, clip, block, pictures */
    CONTROL_TICK, /* a line has ended a tick, or is idle: line, stages that held a block, blocks
                     that have not entered, clips admitted, the newest clip in the line */
    CONTROL_CUT,  /* a line will not make a clip that was cut: line, clip */
};

#endif /* CONTROL_NOTE_H */
