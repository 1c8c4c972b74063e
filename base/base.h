/*
 * base.h - status codes, the error record, TRY, FAIL_OUT.
 *
 * The floor of the tree: every folder may include this header, and it includes
 * only the C library. No type of a vendor's library appears here.
 */
#ifndef BASE_H
#define BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE          __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define COUNT_OF(array)   ((int)(sizeof(array) / sizeof *(array)))

typedef enum {
    ST_OK = 0,
    ST_ARG,      /* the caller broke the contract in the header, or wrong usage      */
    ST_NOMEM,    /* arena full or allocator empty                                    */
    ST_IO,       /* writing or the disk failed; errno is in the message              */
    ST_FORMAT,   /* a file the user gave is missing or has not the stated form       */
    ST_MISMATCH, /* a computed result is not the expected one (verify)               */
    ST_DEVICE,   /* the compute library or device failed                             */
    ST_COMM,     /* the transport failed on this rank, or a deadline passed          */
    ST_PEER,     /* another rank failed; this rank is sound                          */
    ST_CANCELED, /* a stop was asked for; the work may be taken up again             */
    ST_COUNT
} status;

const char *status_name(status st); /* "ok", "io", ...; never NULL */

/* Of two things that happened, is `a` the one to tell of? A failure of one's own goes before
 * a peer's, that before a stop, that before ST_OK; of two alike neither does. */
bool status_outweighs(status a, status b);

/*
 * The last failure on this thread: where it began and how it travelled.
 * Written by fail() and TRY, read once at the top by cmd/.
 */
enum { ERROR_FRAMES = 8, ERROR_MESSAGE = 4096 };
struct error {
    status st;
    char msg[ERROR_MESSAGE]; /* may hold several lines; cut, never overrun */
    int depth;               /* frames recorded, at most ERROR_FRAMES */
    struct {
        const char *file, *expr;
        int line;
    } at[ERROR_FRAMES];
};
const struct error *error_last(void);
void error_clear(void);

/* Take over a failure that happened on another thread, frames and all. */
void error_adopt(const struct error *from);

/* Begin a failure. Gives st, so `return fail(ST_IO, "...")` reads well, and in
 * a way that lets the compiler see it is not ST_OK. */
#define fail(st, ...) (base_fail((st), __FILE__, __LINE__, __VA_ARGS__), base_same(st))
void base_fail(status st, const char *file, int line, const char *fmt, ...) PRINTF_LIKE(4, 5);
static inline status base_same(status st) { return st; }
void base_trace(const char *file, int line, const char *expr);

/* Pass a failure up. TRY returns; TRY_OUT jumps to `out:` with `st` set. FAIL_OUT begins one
 * where there is something to release: FAIL_OUT(ST_IO, "..."). */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        status try_st_ = (expr);                                                                   \
        if (try_st_ != ST_OK) {                                                                    \
            base_trace(__FILE__, __LINE__, #expr);                                                 \
            return try_st_;                                                                        \
        }                                                                                          \
    } while (0)
#define TRY_OUT(expr)                                                                              \
    do {                                                                                           \
        st = (expr);                                                                               \
        if (st != ST_OK) {                                                                         \
            base_trace(__FILE__, __LINE__, #expr);                                                 \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)
#define FAIL_OUT(code, ...)                                                                        \
    do {                                                                                           \
        st = fail((code), __VA_ARGS__);                                                            \
        goto out;                                                                                  \
    } while (0)

#endif /* BASE_H */
