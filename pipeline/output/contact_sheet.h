/*
 * contact_sheet.h - the contact sheet: small pictures of a clip, side by side, as PNG.
 *
 * Candidates come one by one, one a block; the sheet holds CONTACT_CELLS at most.
 * When it is full every second picture goes, and from then on every second
 * candidate is passed over, so that the cells stay evenly spread over the clip
 * and memory does not grow with it.
 *
 * A cell is the picture reduced by a whole factor, the least that makes it no
 * wider than CONTACT_WIDTH: the mean of each square of pixels, rounded half up.
 * Columns and rows that fill no whole square are left out.
 */
#ifndef CONTACT_SHEET_H
#define CONTACT_SHEET_H

#include "base/base.h"

struct contact;

enum { CONTACT_CELLS = 96, CONTACT_WIDTH = 208, CONTACT_GAP = 4, CONTACT_COLUMNS = 32 };

struct contact_config {
    const char *path;  /* ends in .png */
    int width, height; /* of the pictures that come */
    int columns;       /* 1..CONTACT_COLUMNS; fewer if there are fewer pictures */
};

/* ST_ARG, ST_NOMEM. Nothing is written before commit. Whoever opens, closes. */
status contact_open(struct contact **out, const struct contact_config *c) MUST_USE;
void contact_add(struct contact *s, const uint8_t *rgb8); /* [height, width, 3] */

/* Write the file, complete or not at all, fsynced. ST_IO, ST_DEVICE; ST_ARG if
 * there was no picture. */
status contact_commit(struct contact *s) MUST_USE;
void contact_close(struct contact **s); /* NULL is fine; sets NULL */

#endif /* CONTACT_SHEET_H */
