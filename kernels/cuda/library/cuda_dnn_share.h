/*
 * cuda_dnn_share.h - what cuDNN compiled, as text, for all contexts of the process on cards
 * of one kind: the first compiles, the others load.
 *
 * A plan itself is not shared: cuDNN does not promise that several threads may run one. Its
 * text (cuDNN's JSON, with the code in it) makes another plan like it without heuristics and
 * without a compiler. cuDNN has one for the engines that compile, which are the slow ones.
 *
 * Any thread may call. What is kept is kept until the process ends.
 * Private to kernels/cuda/cuda_dnn_*.
 */
#ifndef CUDA_DNN_SHARE_H
#define CUDA_DNN_SHARE_H

#include "kernels/cuda/library/cuda_dnn_graph.h"

enum { CUDA_DNN_CARD_TEXT = 300 };

/* Texts are of a kind of card, named in whatever way, and a graph. One thread at a time looks
 * for one and, where there is none, makes it: from begin to end. */
void cuda_dnn_share_begin(void);
void cuda_dnn_share_end(void);

/* In between. NULL: there is none. */
const char *cuda_dnn_share_find(const char *card, const struct cuda_dnn_graph *g,
                                struct cuda_dnn_facts *facts);

/* In between. Takes over the text, which is of malloc. Where there is no memory to keep it,
 * others make it again. */
void cuda_dnn_share_keep(const char *card, const struct cuda_dnn_graph *g,
                         const struct cuda_dnn_facts *facts, char *text);

#endif /* CUDA_DNN_SHARE_H */
