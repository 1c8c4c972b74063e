/*
 * cuda_dnn_share.c - compiled plans as text, for all contexts of the process.
 *
 * Ranks that are threads of one process open a context each, and all meet the same graphs at the
 * same time. Without this every one of them would compile the same kernels, up to a second each.
 * With it the first compiles while the others wait for the lock; then they load its text.
 *
 * The lock is held while a plan is made. That is safe because making one waits for no stream and
 * no other rank; anything that did could not be done in here.
 */
#include "kernels/cuda/library/cuda_dnn_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shared {
    struct shared *next;
    char card[CUDA_DNN_CARD_TEXT];
    struct cuda_dnn_graph graph;
    struct cuda_dnn_facts facts;
    char *text;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared *first;

void cuda_dnn_share_begin(void) { pthread_mutex_lock(&lock); }
void cuda_dnn_share_end(void) { pthread_mutex_unlock(&lock); }

const char *cuda_dnn_share_find(const char *card, const struct cuda_dnn_graph *g,
                                struct cuda_dnn_facts *facts)
{
    for (const struct shared *s = first; s; s = s->next) {
        if (strcmp(s->card, card) != 0 || !cuda_dnn_same(&s->graph, g)) continue;
        *facts = s->facts;
        return s->text;
    }
    return NULL;
}

void cuda_dnn_share_keep(const char *card, const struct cuda_dnn_graph *g,
                         const struct cuda_dnn_facts *facts, char *text)
{
    struct shared *const s = malloc(sizeof *s);

    if (!s) {
        free(text);
        return;
    }
    *s = (struct shared){ .next = first, .graph = *g, .facts = *facts, .text = text };
    snprintf(s->card, sizeof s->card, "%s", card);
    first = s;
}
