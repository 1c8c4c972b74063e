/*
 * topo.h - the machines a world runs on: from a string, or this one.
 *
 *   "node:2 gpu:8 nvlink ib:400 mem:80GiB"      "node:1 cpu:2 threads:1"
 *
 *   topo  = word { " " word }       each at most once, in any order
 *   word  = "node:" 1..256          machines; 1 if not given
 *         | "gpu:"  1..64           GPUs of each, one rank on each
 *         | "cpu:"  1..1024         cores of each; exactly one of gpu and cpu is needed
 *         | "threads:" 1..1024      cpu: threads of each rank; else the ranks share the cores
 *         | "mem:" size             of each GPU, or of each machine with cpu; "80GiB", "512MiB"
 *         | "nvlink" | "pcie"       gpu: what joins those of a machine; else pcie
 *         | "ib:" 1..10000          between machines: Gbit/s of each rank's card
 */
#ifndef TOPO_H
#define TOPO_H

#include "base/base.h"
#include "base/strbuf.h"

enum topo_kind { TOPO_CPU, TOPO_GPU };
enum topo_link { TOPO_MEMORY, TOPO_PCIE, TOPO_NVLINK };

struct topo {
    enum topo_kind kind;
    int nodes;
    int devices;         /* GPUs or cores of a node */
    int threads;         /* of a rank; 0: the ranks of a node share its cores. GPU: 1 */
    uint64_t memory;     /* bytes of a GPU, or of a node with cpu; 0: not known */
    enum topo_link link; /* within a node */
    double within;       /* bytes/s into a rank from others on its node */
    double between;      /* bytes/s into a rank from other nodes; 0 with one node */
    double latency;      /* seconds of a message */
};

/* ST_ARG names the column, what was found and what is allowed. */
status topo_from_string(struct topo *out, const char *text) MUST_USE;

/* This machine: its cores that this process may use, and its memory. */
void topo_of_machine(struct topo *out);

/* Ranks if none are asked for: one per GPU; per core, or per `threads` cores. */
int topo_ranks(const struct topo *t);

/* The machine of each of `ranks` ranks: filled one by one, as mpirun does; evenly
 * if there are more ranks than cores. ST_ARG if there are more ranks than GPUs. */
status topo_nodes(const struct topo *t, int ranks, int *node) MUST_USE;

/* What it is and the speeds it stands for, for people; no line end. */
void topo_print(struct strbuf *out, const struct topo *t);

#endif /* TOPO_H */
