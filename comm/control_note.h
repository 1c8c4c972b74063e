/* control_note.h - what the ranks of a render tell rank 0 while they run. */
#ifndef CONTROL_NOTE_H
#define CONTROL_NOTE_H

enum render_note {
    NOTE_ALIVE, /* a sign of life: open, what, clip, stage, layer, block of struct track_state */
    NOTE_BYE,   /* the last one */
    NOTE_BLOCK, /* a block is encoded: line, clip of the batch, block, pictures */
    NOTE_TICK,  /* a line begins a tick: line, stages that hold a block */
};

#endif /* CONTROL_NOTE_H */
