/*
 * journal.h - a file of records that only grows: what was synced of it survives a kill and a power
 * loss, and what was not is told from it when it is read.
 *
 *   record: "rmrecord", number I64, bytes I64, SHA-256 of these three and the bytes as hex,
 *           the bytes
 *
 * Numbers are of the byte order of the machine. A reader checks every size against the file and
 * every record against its checksum: a record that is cut, or is none, is an error inside the
 * length that the reader was opened with, and never read behind it.
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include "base/base.h"

/* ---- writing ---- */

/* One owner, one thread. */
struct journal {
    char *path;
    int fd;
    int64_t size;          /* bytes of all records */
    unsigned char *record; /* one, as it goes to the file; [room] */
    size_t room;
};

/* A new file, or one that is emptied. ST_IO. journal_close when done; safe on a zeroed one. */
status journal_open(struct journal *j, const char *path) MUST_USE;
status journal_append(struct journal *j, int64_t number, const void *bytes, size_t len) MUST_USE;
status journal_sync(struct journal *j) MUST_USE; /* all records are on disk */
void journal_close(struct journal *j);           /* what is not synced may be lost */

/* ---- records as bytes, for a file that is written whole ---- */

enum { JOURNAL_HEAD = 8 + 8 + 8 + 64 };
status journal_head(unsigned char head[JOURNAL_HEAD], int64_t number, const void *bytes,
                    size_t len) MUST_USE;

/* ---- reading ---- */

struct journal_reader {
    char *path;
    int fd;
    int64_t at, end;      /* of the next record; of what may be read */
    int64_t number;       /* the record that was read last */
    unsigned char *bytes; /* of it, `len` of them; the reader's, until the next is read */
    size_t len, room;
};

/* length: of the records that count, in bytes; -1: all of the file. ST_FORMAT if it is missing or
 * shorter. journal_reader_close when done; safe on a zeroed one. */
status journal_reader_open(struct journal_reader *r, const char *path, int64_t length) MUST_USE;

/* The next record, of at most `most` bytes. *more false: there is none, all is well. ST_FORMAT
 * for one that is damaged, with its place. */
status journal_read(struct journal_reader *r, size_t most, bool *more) MUST_USE;

/* The next record must be there, and be this one. */
status journal_expect(struct journal_reader *r, int64_t number, size_t len) MUST_USE;

/* Go on at a record that begins there, which the next reading finds out. */
void journal_seek(struct journal_reader *r, int64_t at);
void journal_reader_close(struct journal_reader *r);

#endif /* JOURNAL_H */
